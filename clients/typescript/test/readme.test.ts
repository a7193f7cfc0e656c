// What the README says, as a product follows it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const packageFolder = fileURLToPath(new URL("..", import.meta.url));
const readme = readFileSync(join(packageFolder, "README.md"), "utf8");
const scratch = join(packageFolder, "dist-test", "readme"); // in the package, which so finds itself by its name
after(() => rmSync(scratch, { recursive: true, force: true }));

/** What a new project of TypeScript has, and the libraries of where the program runs. */
const projects = { Node: { lib: ["ES2022"], types: ["node"] }, browser: { lib: ["ES2022", "DOM"], types: [] } };

for (const [i, [name, where]] of Object.entries(projects).entries()) {
  test(`the program for ${name} compiles`, { timeout: 60_000 }, () => {
    const programs = [...readme.matchAll(/```ts\n([^]*?)```/g)].map(([, program]) => program ?? "");
    const program = programs.filter((one) => one.includes("open({"))[i] ?? assert.fail("there is none");
    mkdirSync(scratch, { recursive: true });
    writeFileSync(join(scratch, "program.ts"), program);
    const strict = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noEmit: true };
    const compilerOptions = { module: "nodenext", target: "ES2022", ...strict, ...where };
    writeFileSync(join(scratch, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }));
    const tsc = fileURLToPath(import.meta.resolve("typescript/bin/tsc"));
    execFileSync(process.execPath, [tsc, "-p", scratch], { encoding: "utf8" }); // throws with what is wrong
  });
}

test("links lead to the web, or into the package", () => {
  const { files } = JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8")) as { files: string[] };
  const links = [...readme.matchAll(/\]\(([^)]*)\)/g)].map(([, link]) => link ?? "");
  assert.ok(links.length >= 4);
  for (const link of links.filter((one) => !one.startsWith("https://"))) {
    assert.ok(files.includes(link.split("/")[0] ?? "") && existsSync(join(packageFolder, link)), link);
  }
});

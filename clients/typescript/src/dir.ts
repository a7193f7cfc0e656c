import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { maxStored } from "./record.js";
import type { Store } from "./store.js";
import { hour } from "./times.js";

/**
 * Keeps the documents in a folder of the product's own, which it makes for its user alone. Several processes of the
 * product may share it.
 *
 * @param path the folder, as `join(homedir(), ".config", "com.example.reports", "license")`
 */
export function dir(path: string): Store {
  return { load: (name) => load(path, name), save: (name, document) => save(path, name, document) };
}

function fileOf(folder: string, name: string): string {
  return join(folder, `${name}.state`);
}

async function load(folder: string, name: string): Promise<string | undefined> {
  try {
    return await readUpTo(fileOf(folder, name), maxStored + 1);
  } catch (problem) {
    if (codeOf(problem) === "ENOENT") {
      return undefined;
    }
    throw problem;
  }
}

/** Reads the first bytes of a file, in UTF-8. */
export async function readUpTo(path: string, most: number): Promise<string> {
  const file = await open(path, "r");
  try {
    const bytes = Buffer.alloc(Math.min((await file.stat()).size, most));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return bytes.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Writes a temporary file for its user alone, and renames it. */
async function save(folder: string, name: string, document: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = join(folder, `${name}.${randomBytes(8).toString("hex")}.tmp`);
  try {
    await write(temporary, document);
    await renameOver(temporary, fileOf(folder, name));
  } catch (problem) {
    await rm(temporary, { force: true });
    throw problem;
  } finally {
    await sweep(folder, name);
  }
}

async function write(path: string, document: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(document);
    await file.sync(); // else a crash could leave the new name on an empty file
  } finally {
    await file.close();
  }
}

/** Tries again, because Windows renames over no file that another process has open. */
async function renameOver(from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await rename(from, to);
    } catch (problem) {
      if (process.platform !== "win32" || attempt === 10) {
        throw problem;
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** Removes what a crash has left of earlier writes. */
async function sweep(folder: string, name: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const left of names.filter((one) => one.startsWith(`${name}.`) && one.endsWith(".tmp"))) {
    const path = join(folder, left);
    const written = await stat(path).catch(() => undefined);
    if (written !== undefined && Date.now() - written.mtimeMs > hour) {
      await rm(path, { force: true }).catch(() => undefined);
    }
  }
}

export function codeOf(problem: unknown): unknown {
  return problem instanceof Error && "code" in problem ? problem.code : undefined;
}

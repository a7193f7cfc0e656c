// A web site that uses the client as it was built, and the browser that visits it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { accessSync, constants, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type Browser } from "playwright-core";

const page = `<!DOCTYPE html>
<script type="importmap">{"imports": {"open-licenser": "/client/index.js", "jose": "/jose/index.js"}}</script>
<script type="module">
  import * as licensing from "open-licenser";
  globalThis.licensing = licensing;
</script>
`;

/** Where modules come from. The package jose may be anywhere that Node finds it. */
const folders = new Map([
  ["client", fileURLToPath(new URL("../dist/", import.meta.url))],
  ["jose", fileURLToPath(new URL(".", import.meta.resolve("jose")))],
]);

export class Site {
  readonly #server: Server;
  /** How often a request came that redirects. */
  redirected = 0;

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(): Promise<Site> {
    const site = new Site();
    site.#server.listen(0, "127.0.0.1");
    await once(site.#server, "listening");
    return site;
  }

  url(host = "127.0.0.1"): string {
    return `http://${host}:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer({ url = "/" }: IncomingMessage, response: ServerResponse): void {
    const [, folder, file] = /^\/([a-z]+)\/((?:[a-z_]+\/)*[a-z0-9_]+\.js)$/i.exec(url) ?? [];
    const root = folders.get(folder ?? "");
    if (root !== undefined && file !== undefined) {
      response.setHeader("Content-Type", "text/javascript").end(readFileSync(join(root, file)));
    } else if (url === "/") {
      response.setHeader("Content-Type", "text/html").end(page);
    } else if (url === "/portal/verify-license") {
      this.redirected++;
      response.writeHead(307, { Location: "/portal/login" }).end();
    } else {
      response.writeHead(404).end();
    }
  }
}

/** Names the program of a browser that the test must use: a Chromium or Chrome. It is skipped where it says none. */
const variable = "LICENSER_TEST_BROWSER";

/** Returns the program of a browser, or why there is none. */
export function findBrowser(): { program: string } | { missing: string } {
  const wanted = process.env[variable];
  if (wanted === "none") {
    return { missing: `${variable} is none` };
  }
  if (wanted) {
    return { program: wanted };
  }
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const program = names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isProgram);
  return program === undefined ? { missing: `no Chromium in PATH, and ${variable} names none` } : { program };
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A host name for pages that browsers do not count as safe, unlike 127.0.0.1. */
export const insecureHost = "shop.example";

export async function startBrowser(program: string): Promise<Browser> {
  assert.notEqual(program, "");
  return chromium.launch({
    executablePath: program,
    chromiumSandbox: process.getuid?.() !== 0, // Chromium has no sandbox for root
    args: [`--host-resolver-rules=MAP ${insecureHost} 127.0.0.1`],
  });
}

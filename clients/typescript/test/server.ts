// The local server of the repository that this package is in.

import assert from "node:assert/strict";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, utimesSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export interface Issued {
  licenseid: string;
  licensekey: string;
  shortkey: string;
}

export class Server {
  readonly #folder = mkdtempSync(join(tmpdir(), "open-licenser-"));
  readonly #program = join(this.#folder, process.platform === "win32" ? "licenser.exe" : "licenser");
  readonly #data = join(this.#folder, "data");
  readonly #port: number;
  #running: ChildProcess | undefined;

  private constructor(port: number) {
    this.#port = port;
    process.on("exit", () => this.#running?.kill("SIGKILL"));
  }

  static async build(): Promise<Server> {
    const server = new Server(await freePort()); // the server comes back at the same address
    const root = fileURLToPath(new URL("../../..", import.meta.url));
    await promisify(execFile)("go", ["build", "-o", server.#program, "./cmd/licenser"], { cwd: root });
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const parameters = ["serve", "--listen", `127.0.0.1:${this.#port}`, "--data", this.#data];
    const running = spawn(this.#program, parameters, { stdio: ["ignore", "pipe", "ignore"] });
    this.#running = running;
    assert.ok(running.stdout);
    for await (const line of createInterface(running.stdout)) {
      if (line.includes("listens on")) {
        running.stdout.resume();
        return;
      }
    }
    assert.fail("the server does not start");
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running !== undefined && running.exitCode === null) {
      const ended = once(running, "exit");
      running.kill("SIGKILL");
      await ended;
    }
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true });
  }

  /** Calls the command line on the server's data. */
  async run(...parameters: string[]): Promise<string> {
    return (await promisify(execFile)(this.#program, [...parameters, "--data", this.#data])).stdout;
  }

  /** Has the successor of the token key sign, which was prepared long enough ago. */
  async promote(): Promise<void> {
    const ago = Date.now() / 1000 - 49 * 3600; // the key is published since its file was written
    utimesSync(join(this.#data, "token-key-next.pem"), ago, ago);
    await this.run("token-key", "promote");
  }

  issue(more: object = {}): Promise<Issued> {
    return this.#call("/licenses", {
      customername: "Example Ltd",
      expirationdate: "2099-01-31",
      services: [{ serviceName: "Reports", serviceValue: "reports" }],
      appurls: [{ URL: "https://app.example.com" }],
      ...more,
    });
  }

  async change(license: Issued, what: "revoke" | "reinstate"): Promise<void> {
    await this.#call(`/licenses/${license.licenseid}/${what}`, { reason: "a test" });
  }

  /** Returns a license file, as the page for customers makes it. */
  async licenseFile(question: object): Promise<string> {
    const { message } = await this.#call<{ message: string }>("/verify-license", question);
    return `${message}\r\n`;
  }

  async #call<T = Issued>(path: string, body: object): Promise<T> {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(this.url + path, { method: "POST", headers, body: JSON.stringify(body) });
    const text = await response.text();
    assert.ok(response.ok, `${path}: ${response.status} ${text}`);
    return JSON.parse(text) as T;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

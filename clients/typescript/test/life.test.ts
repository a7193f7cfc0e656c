// Leads products through their life with the local server.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openIn, type Client } from "../dist/client.js";
import { ClockError, memory, open, type Config, type State } from "open-licenser";
import { dir, importFile } from "open-licenser/node";
import { day, hour, minute, wantStatus } from "./fakes.js";
import { Server } from "./server.js";

const scratch = mkdtempSync(join(tmpdir(), "open-licenser-"));
let server: Server;
before(async () => {
  server = await Server.build();
});
after(async () => {
  await server?.remove();
  rmSync(scratch, { recursive: true });
});

/** One that a customer has installed. */
class Product {
  /** By how much its clock is ahead. */
  clock = 0;
  #client: Client | undefined;

  constructor(readonly config: Config) {}

  get client(): Client {
    return this.#client ?? assert.fail("the product does not run");
  }

  async start(): Promise<State> {
    const environment = { now: () => Date.now() + this.clock, random: Math.random, later: () => () => {} };
    this.#client = await openIn(this.config, environment);
    return this.#client.state();
  }

  async restart(): Promise<State> {
    await this.client.close();
    return this.start();
  }
}

test("the life of a product", async () => {
  const issued = await server.issue();
  await server.run("token-key", "prepare");
  const product = new Product({
    url: server.url,
    key: issued.shortkey,
    service: "reports",
    trusted: await server.run("token-key", "export"),
    store: dir(join(scratch, "life")),
  });
  wantStatus(await product.start(), "Active");
  const { license, usableUntil } = await product.client.refresh();
  assert.equal(license?.id, issued.licenseid);
  assert.equal(license?.customerName, "Example Ltd");
  assert.ok(license.allows("reports") && license.allowsHost("app.example.com") && !license.allows("other"));
  assert.ok(Number(usableUntil) - Date.now() > 89 * day);

  await server.stop();
  wantStatus(await product.restart(), "Active");
  wantStatus(await product.client.refresh(), "Offline");
  assert.match(String(product.client.state().error?.message), /not reached: .*ECONNREFUSED/);
  product.client.check();
  await server.start();
  wantStatus(await product.client.refresh(), "Active");

  await server.change(issued, "revoke");
  wantStatus(await product.client.refresh(), "Refused", "LICENSE_REVOKED");
  await server.stop();
  wantStatus(await product.restart(), "Refused", "LICENSE_REVOKED");
  await server.start();
  await server.change(issued, "reinstate");
  wantStatus(await product.restart(), "Active");

  await server.promote();
  wantStatus(await product.client.refresh(), "Active");
  await server.stop();
  wantStatus(await product.restart(), "Active");

  await product.client.close();
  product.clock = -25 * hour;
  wantStatus(await product.start(), "ClockBack");
  assert.throws(() => product.client.check(), ClockError);
  await product.client.close();
  await server.start();
  product.clock = 0;
  wantStatus(await product.start(), "Active");

  const { licensekey } = await server.issue();
  wantStatus(await product.client.setKey(` ${licensekey.slice(0, 50)}\r\n${licensekey.slice(50)}`), "Active");
  wantStatus(await product.client.setKey("no key"), "Refused", "INVALID_LICENSE");
  await product.client.close();
});

test("a seat is taken, given back, and taken by another computer", async (t) => {
  const server = await Server.build(); // whose token key has not been replaced yet
  t.after(() => server.remove());
  const issued = await server.issue({ maxdevices: 1, leaseminutes: 60 });
  const on = (computer: string) =>
    new Product({
      url: server.url,
      key: issued.licensekey,
      trustOnFirstUse: true,
      store: dir(join(scratch, computer)),
      fingerprint: `the machine id of ${computer}`,
      deviceName: computer,
    });
  const [first, second] = [on("front desk"), on("back office")];
  const state = await first.start();
  wantStatus(state, "Active");
  assert.ok(Number(state.retryAt) - Date.now() < 31 * minute);
  assert.ok(state.license?.device);
  wantStatus(await second.start(), "Refused", "DEVICE_LIMIT_REACHED");
  const { limit, devices } = await second.client.devices();
  assert.equal(limit, 1);
  assert.deepEqual(devices.map(({ name, isThis }) => [name, isThis]), [["front desk", false]]);
  await second.client.release(devices[0]?.id);
  wantStatus(await second.client.refresh(), "Active");
  wantStatus(await first.client.refresh(), "Refused", "DEVICE_LIMIT_REACHED");
  await second.client.release();
  wantStatus(second.client.state(), "Unknown");
  wantStatus(await first.client.refresh(), "Active");
  await second.client.close();

  await server.run("token-key", "prepare");
  await server.promote(); // the keys are fetched anew
  wantStatus(await first.restart(), "Active");
  wantStatus(await first.client.refresh(), "Active");
  await first.client.close();
});

test("a computer without a network has a license file", async () => {
  const issued = await server.issue({ maxdevices: 1 });
  const fingerprint = "the machine id of a ship";
  const file = join(scratch, "license.lic");
  writeFileSync(file, await server.licenseFile({ licensekey: issued.licensekey, fingerprint }));
  const config = {
    url: "http://127.0.0.1:9", // nobody is there
    key: issued.shortkey,
    trusted: await server.run("token-key", "export"),
    store: dir(join(scratch, "ship")),
  };
  const ship = new Product({ ...config, fingerprint });
  wantStatus(await ship.start(), "Unknown");
  wantStatus(await importFile(ship.client, file), "Active");
  wantStatus(await ship.restart(), "Active");
  await ship.client.close();
  const other = new Product({ ...config, store: memory(), fingerprint: "the machine id of another" });
  wantStatus(await other.start(), "Unknown");
  await assert.rejects(importFile(other.client, file), /another device/);
  writeFileSync(file, "no token");
  await assert.rejects(importFile(other.client, file));
  wantStatus(other.client.state(), "Unknown");
  await other.client.close();
});

test("an open client keeps no process alive, nor does the time that a request had", { timeout: 30_000 }, async () => {
  const { licensekey } = await server.issue();
  const script = `
    import { memory, open } from "open-licenser";
    const client = await open({ url: process.argv[1], key: process.argv[2], trustOnFirstUse: true, store: memory() });
    console.log(client.state().status);`;
  const parameters = ["--input-type=module", "--eval", script, server.url, licensekey];
  const { stdout } = await promisify(execFile)(process.execPath, parameters, { cwd: packageFolder, timeout: 12_000 });
  assert.equal(stdout, "Active\n");
});

test("the timer of a real client asks by itself", { timeout: 30_000 }, async () => {
  const { licensekey } = await server.issue();
  await server.stop();
  const config = { url: server.url, key: licensekey, trustOnFirstUse: true, store: memory() };
  const client = await open(config);
  wantStatus(client.state(), "Unknown");
  await server.start();
  const changes = client.changes();
  const held = setTimeout(() => {}, 20_000); // the client keeps no process alive
  wantStatus((await changes.next()).value ?? assert.fail("the changes have ended"), "Active");
  clearTimeout(held);
  await client.close();
});

test("the example runs", { timeout: 30_000 }, async () => {
  const { licensekey } = await server.issue();
  const env = { ...process.env, XDG_CONFIG_HOME: scratch, HOME: scratch };
  const guard = (...parameters: string[]) =>
    promisify(execFile)(process.execPath, ["examples/guard.mjs", ...parameters], { cwd: packageFolder, env });
  const { stdout } = await guard("--url", server.url, "--key", licensekey);
  assert.match(stdout, /The report for Example Ltd/);
  await server.stop();
  const again = await guard("--url", server.url);
  assert.match(again.stdout, /The report for Example Ltd/);
  const program = join(scratch, "guard.exe");
  const build = ["build", "-C", "../../client", "-o", program, "./examples/guard"];
  await promisify(execFile)("go", build, { cwd: packageFolder });
  const inGo = await promisify(execFile)(program, ["--url", server.url], { env }); // with what Node has stored
  assert.match(inGo.stdout, /The report for Example Ltd/);
  const failed = { code: 1, stdout: /This part is free[^]*connect/i };
  await assert.rejects(guard("--url", server.url, "--key", "no key"), failed);
  await server.start();
  await promisify(execFile)(program, ["--url", server.url, "--key", licensekey], { env });
  await server.stop();
  assert.match((await guard("--url", server.url)).stdout, /The report for Example Ltd/); // with what Go has stored
  await server.start();
});

const packageFolder = fileURLToPath(new URL("..", import.meta.url));

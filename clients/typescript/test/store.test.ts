import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, test } from "node:test";
import { promisify } from "node:util";
import { fingerprintFrom, installationIDIn } from "../dist/fingerprint.js";
import { installationID, localStore, memory, open } from "open-licenser";
import { dir, fingerprintOf } from "open-licenser/node";
import { FakeService, hour, wantStatus } from "./fakes.js";

const scratch = mkdtempSync(join(tmpdir(), "open-licenser-"));
after(() => rmSync(scratch, { recursive: true }));

describe("dir", () => {
  test("a document is replaced as a whole, by several at once", async () => {
    const folder = join(scratch, "a", "b");
    const store = dir(folder);
    assert.equal(await store.load("license"), undefined);
    const texts = ["a".repeat(10_000), "b".repeat(20_000)];
    await Promise.all(
      texts.map(async (text) => {
        for (let i = 0; i < 20; i++) {
          await store.save("license", text);
          assert.ok(texts.includes(String(await store.load("license"))));
        }
      }),
    );
    assert.deepEqual(readdirSync(folder), ["license.state"]);
  });

  test("what a crash has left is removed, and what another process writes is not", async () => {
    const folder = join(scratch, "crashed");
    mkdirSync(folder);
    const ago = (Date.now() - 2 * hour) / 1000;
    for (const name of ["license.1.tmp", "license.2.tmp", "other.1.tmp"]) {
      writeFileSync(join(folder, name), "");
      if (name !== "license.2.tmp") {
        utimesSync(join(folder, name), ago, ago);
      }
    }
    await dir(folder).save("license", "x");
    assert.deepEqual(readdirSync(folder).sort(), ["license.2.tmp", "license.state", "other.1.tmp"]);
  });

  test("nobody else reads it", { skip: process.platform === "win32" }, async () => {
    const folder = join(scratch, "private");
    await dir(folder).save("license", "x");
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.equal(statSync(join(folder, "license.state")).mode & 0o777, 0o600);
  });

  test("a save that fails leaves the document as it was, and nothing beside it", async () => {
    const folder = join(scratch, "failing");
    mkdirSync(join(folder, "license.state", "in the way"), { recursive: true });
    await assert.rejects(async () => dir(folder).save("license", "x"));
    assert.deepEqual(readdirSync(folder), ["license.state"]);
    await assert.rejects(async () => dir(join(scratch, "failing", "license.state", "in the way\0")).load("x"));
  });

  test("a file that is far too large is not read to its end", async () => {
    const folder = join(scratch, "large");
    mkdirSync(folder);
    writeFileSync(join(folder, "license.state"), "x".repeat(3 << 20));
    assert.equal((await dir(folder).load("license"))?.length, (1 << 20) + 1);
  });
});

test("memory", async () => {
  const store = memory();
  assert.equal(await store.load("license"), undefined);
  await store.save("license", "x");
  assert.equal(await store.load("license"), "x");
  assert.equal(await memory().load("license"), undefined);
});

/** Puts an object in the place of the browser's localStorage. */
function withStorage(get: () => object): void {
  Object.defineProperty(globalThis, "localStorage", { get, configurable: true });
}

function workingStorage(): Storage {
  const items = new Map<string, string>();
  const storage = {
    getItem: (name: string) => items.get(name) ?? null,
    setItem: (name: string, value: string) => void items.set(name, value),
  };
  return storage as unknown as Storage;
}

describe("localStore", () => {
  const before = Object.getOwnPropertyDescriptor(globalThis, "localStorage");
  afterEach(() => {
    Reflect.deleteProperty(globalThis, "localStorage");
    if (before !== undefined) {
      Object.defineProperty(globalThis, "localStorage", before);
    }
  });

  test("each prefix has its own documents", async () => {
    const storage = workingStorage();
    withStorage(() => storage);
    await localStore("a").save("license", "x");
    assert.equal(await localStore("a").load("license"), "x");
    assert.equal(await localStore("b").load("license"), undefined);
    assert.equal(localStorage.getItem("a.license"), "x");
  });

  const full = () => {
    throw new DOMException("it is full", "QuotaExceededError");
  };
  const blocked = () => {
    throw new DOMException("it is blocked", "SecurityError");
  };
  for (const [name, storage] of Object.entries({ full: () => ({ ...workingStorage(), setItem: full }), blocked })) {
    test(`${name}: the client works as long as the page is open`, async () => {
      withStorage(storage);
      const service = new FakeService();
      service.time.set(Date.now());
      const client = await open(await service.config(localStore("a")));
      wantStatus(client.state(), "Active");
      await client.close();
      assert.equal(installationID("a"), "");
    });
  }

  test("an installation has one id, and each product another", () => {
    const storage = workingStorage();
    withStorage(() => storage);
    const id = installationID("a");
    assert.match(id, /^[0-9a-f]{40}$/);
    assert.equal(installationID("a"), id);
    assert.notEqual(installationID("b"), id);
  });

  test("an id that an installation cannot have made is replaced", () => {
    const storage = workingStorage();
    withStorage(() => storage);
    for (const foreign of ["x".repeat(40), "ü".repeat(20), "0".repeat(300), "0".repeat(39), ""]) {
      storage.setItem("open-licenser.a.id", foreign);
      assert.match(installationID("a"), /^[0-9a-f]{40}$/);
    }
  });
});

describe("fingerprint", () => {
  test("is that of the Go client", () => {
    const want = "62a3caa9f00cd75d0f171a80ca69a9157e238952c56ff678bf9f8ab63e2cd243";
    assert.equal(fingerprintFrom("machine", "app"), want);
    assert.notEqual(fingerprintFrom("machine", "other"), want);
    assert.equal(fingerprintFrom("", "app"), "");
    assert.equal(fingerprintOf("app"), fingerprintOf("app"));
  });

  test("a machine without an id gets a random one, the same for all", () => {
    const folder = join(scratch, "new", "open-licenser");
    const id = installationIDIn(folder, "app");
    assert.match(id, /^[0-9a-f]{40}$/);
    assert.equal(installationIDIn(folder, "app"), id);
    assert.notEqual(installationIDIn(folder, "other"), id);
    assert.deepEqual(readdirSync(folder).filter((name) => !/^[0-9a-f]{32}\.id$/.test(name)), []);
  });

  test("is empty where nothing can be kept", () => {
    const file = join(scratch, "a file");
    writeFileSync(file, "");
    assert.equal(installationIDIn(join(file, "open-licenser"), "app"), "");
    assert.equal(installationIDIn("", "app"), "");
  });

  test("processes that start at once read the same id", async () => {
    const folder = join(scratch, "raced");
    const script = "const [url, folder] = process.argv.slice(1);" +
      "const { installationIDIn } = await import(url); console.log(installationIDIn(folder, 'app'));";
    const parameters = ["--input-type=module", "--eval", script, import.meta.resolve("../dist/fingerprint.js"), folder];
    const runs = Array.from({ length: 6 }, () => promisify(execFile)(process.execPath, parameters));
    const ids = (await Promise.all(runs)).map(({ stdout }) => stdout.trim());
    assert.match(String(ids[0]), /^[0-9a-f]{40}$/);
    assert.deepEqual([...new Set(ids)], [ids[0]]);
  });
});

// Several at once: processes with one store, calls of one client, and its end.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { lookAround } from "../dist/keeper.js";
import { deviceID, keyHash } from "../dist/licensekey.js";
import { emptyRecord, writeRecord } from "../dist/record.js";
import { Turn } from "../dist/turn.js";
import { memory, type Store } from "open-licenser";
import { dir } from "open-licenser/node";
import { day, eventually, FakeService, hour, isUnreachable, licenseID, licenseKey, opened } from "./fakes.js";
import { refuses, signedToken, wantStatus } from "./fakes.js";

const scratch = mkdtempSync(join(tmpdir(), "open-licenser-"));
after(() => rmSync(scratch, { recursive: true }));

test("an answer for a license key that has been replaced meanwhile counts for nothing", async () => {
  const service = new FakeService();
  const client = await opened(service);
  let refuse = () => {};
  service.says = (asked) =>
    new Promise((resolve) => {
      refuse = () => resolve(refuses("LICENSE_REVOKED")(asked));
    });
  const refreshing = client.refresh();
  await eventually("the service is asked", () => service.asked.length === 2);
  const changing = client.setKey("");
  await changing;
  refuse();
  wantStatus(await refreshing, "Unknown");
  service.says = isUnreachable;
  wantStatus(await client.setKey(await licenseKey()), "Offline"); // as it was stored
  await client.close();
});

test("two processes with one store ask once a day together, and one hears of what the other was told", async () => {
  const service = new FakeService();
  const store = dir(join(scratch, "shared"));
  const [a, b] = [await opened(service, { store }), await opened(service, { store })];
  await service.time.pass(20 * day);
  assert.ok(service.asked.length <= 30, `asked ${service.asked.length} times in 20 days`);
  service.says = refuses("LICENSE_REVOKED");
  await a.refresh();
  service.says = isUnreachable;
  await service.time.pass(lookAround + 1000);
  wantStatus(a.state(), "Refused", "LICENSE_REVOKED");
  wantStatus(b.state(), "Refused", "LICENSE_REVOKED");
  await Promise.all([a.close(), b.close()]);
  const restarted = await opened(service, { store });
  wantStatus(restarted.state(), "Refused", "LICENSE_REVOKED");
  await restarted.close();
});

test("what another process has stored meanwhile is not taken back by an older answer", async () => {
  const service = new FakeService();
  const store = memory();
  const slow = await opened(service, { store });
  const quick = await opened(service, { store });
  let answer = () => {};
  service.says = async (asked) => {
    await new Promise<void>((resolve) => (answer = resolve));
    return service.grants(asked);
  };
  await service.time.pass(1000);
  const asking = slow.refresh();
  await eventually("the service is asked", () => service.asked.length === 2);
  const late = answer;
  await service.time.pass(1000);
  service.says = refuses("LICENSE_REVOKED");
  await quick.refresh();
  late();
  wantStatus(await asking, "Refused", "LICENSE_REVOKED");
  await Promise.all([slow.close(), quick.close()]);
});

test("what another process has stored and this one cannot read is neither taken over nor overwritten", async () => {
  const service = new FakeService();
  const store = memory();
  const mine = await opened(service, { store, fingerprint: "this computer" });
  await service.time.pass(1000);
  const foreign = await storedBy(service, store, "that computer");
  await service.time.pass(lookAround + 1000);
  wantStatus(mine.state(), "Active");
  assert.equal(await store.load("license"), foreign);
  assert.ok(mine.state().retryAt && Number(mine.state().retryAt) > service.time.now() + hour, "it asks at once");
  await mine.close();
});

/** Has a device ask, with the store, and returns what it has stored. */
async function storedBy(service: FakeService, store: Store, fingerprint: string): Promise<string> {
  const device = await deviceID(licenseID, fingerprint);
  service.says = async () => Response.json({ message: await signedToken(service.time.now(), 90 * day, { device }) });
  const client = await opened(service, { store, fingerprint });
  wantStatus(await client.refresh(), "Active");
  await client.close();
  return String(await store.load("license"));
}

test("what could not be stored is stored at the next look", async () => {
  const service = new FakeService();
  const documents = memory();
  let isFull = true;
  const store: Store = {
    load: (name) => documents.load(name),
    save: (name, document) => (isFull ? Promise.reject(new Error("it is full")) : documents.save(name, document)),
  };
  const client = await opened(service, { store });
  assert.equal(await store.load("license"), undefined);
  isFull = false;
  await service.time.pass(lookAround + 1000);
  assert.ok(await store.load("license"));
  isFull = true;
  service.says = refuses("LICENSE_REVOKED");
  await client.refresh();
  isFull = false;
  service.says = isUnreachable;
  await service.time.pass(lookAround + 1000);
  await client.close();
  const restarted = await opened(service, { store });
  wantStatus(restarted.state(), "Refused", "LICENSE_REVOKED");
  await restarted.close();
});

test("an older grant that another process has stored since does not last, nor does one of another key go", async () => {
  const service = new FakeService();
  const store = memory();
  const client = await opened(service, { store });
  const older = String(await store.load("license"));
  await service.time.pass(1000);
  service.says = refuses("LICENSE_REVOKED");
  await client.refresh();
  const refusal = String(await store.load("license"));
  service.says = isUnreachable;
  await store.save("license", older);
  await service.time.pass(lookAround + 1000);
  assert.equal(await store.load("license"), refusal);
  const another = await writeRecord(emptyRecord(await keyHash("another")));
  await store.save("license", another);
  await service.time.pass(lookAround + 1000);
  assert.equal(await store.load("license"), another);
  await client.close();
});

test("a store that cannot be read is not written over at a look", async () => {
  const service = new FakeService();
  const store = memory();
  let isBroken = false;
  let saves = 0;
  const client = await opened(service, {
    store: {
      load: (name) => (isBroken ? Promise.reject(new Error("the disk is broken")) : store.load(name)),
      save: (name, document) => {
        saves += Number(name === "license");
        return store.save(name, document);
      },
    },
  });
  isBroken = true;
  await service.time.pass(lookAround + 1000);
  assert.equal(saves, 1);
  await client.close();
});

test("a seat that another process has given back is not taken again, but at a start", async () => {
  const service = new FakeService();
  const store = memory();
  const [a, b] = [await opened(service, { store }), await opened(service, { store })];
  await service.time.pass(1000);
  service.says = () => new Response(null, { status: 204 });
  await a.release();
  service.says = service.grants;
  const { length } = service.asked;
  await service.time.pass(3 * day);
  wantStatus(b.state(), "Unknown");
  assert.equal(b.state().retryAt, undefined);
  assert.equal(service.asked.length, length);
  await Promise.all([a.close(), b.close()]);
  const restarted = await opened(service, { store });
  wantStatus(restarted.state(), "Active");
  await restarted.close();
});

test("of several license keys at once the one that was set last counts", async () => {
  const service = new FakeService();
  const store = new SlowStore();
  const client = await opened(service, { store });
  service.says = isUnreachable;
  const go = store.hold();
  const first = client.setKey(await licenseKey("another"));
  await eventually("the store is read", () => store.waiting === 1);
  store.holds = false;
  wantStatus(await client.setKey(await licenseKey()), "Offline");
  go();
  wantStatus(await first, "Offline");
  await client.close();
});

test("a refusal that comes while the same license key is set anew is not taken back", async () => {
  const service = new FakeService();
  const store = new SlowStore();
  const client = await opened(service, { store });
  const go = store.hold();
  const setting = client.setKey(await licenseKey());
  await eventually("the store is read", () => store.waiting === 1);
  store.holds = false;
  service.says = refuses("LICENSE_REVOKED");
  await service.time.pass(1000);
  await client.refresh();
  service.says = isUnreachable;
  go();
  wantStatus(await setting, "Refused", "LICENSE_REVOKED");
  await client.close();
});

/** Has whoever reads it wait, with what it held before. */
class SlowStore implements Store {
  readonly #documents = memory();
  holds = false;
  waiting = 0;
  #held = Promise.resolve();

  /** Returns how to let them go on. */
  hold(): () => void {
    let go = () => {};
    this.#held = new Promise((resolve) => (go = resolve));
    this.holds = true;
    return go;
  }

  async load(name: string): Promise<string | undefined> {
    const document = await this.#documents.load(name);
    if (this.holds) {
      this.waiting++;
      await this.#held;
    }
    return document;
  }

  async save(name: string, document: string): Promise<void> {
    await this.#documents.save(name, document);
  }
}

test("whoever waits no longer for the turn lets nobody in before it is given back", async () => {
  const turn = new Turn();
  const give = await turn.take();
  const controller = new AbortController();
  const leaves = turn.take(controller.signal);
  let isIn = false;
  const waits = turn.take().then((giveBack) => {
    isIn = true;
    giveBack();
  });
  controller.abort(new Error("enough"));
  await assert.rejects(leaves, /enough/);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isIn, false);
  give();
  await waits;
});

test("nothing runs after close, whatever ran before", async () => {
  const service = new FakeService();
  const client = await opened(service);
  const key = await licenseKey();
  const work = Array.from({ length: 8 }, async () => {
    for (let i = 0; i < 20; i++) {
      await client.refresh();
      client.state();
      await client.setKey(key);
    }
  });
  const reading = (async () => {
    for await (const _ of client.changes());
  })();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await Promise.all([client.close(), client.close(), client.close(), ...work, reading]);
  const { length } = service.asked;
  await client.refresh();
  await assert.rejects(client.release(), /closed/);
  await assert.rejects(client.devices(), /closed/);
  await assert.rejects(client.importToken("none"), /closed/);
  await service.time.pass(10 * day);
  assert.equal(service.asked.length, length, "the service was asked after close");
  assert.equal(service.time.timers, 0);
  wantStatus(client.state(), "Active");
});

test("close ends a request that is under way", { timeout: 5000 }, async () => {
  const service = new FakeService();
  const client = await opened(service);
  const ended: unknown[] = [];
  service.says = ({ init }) =>
    new Promise((_, reject) =>
      init.signal?.addEventListener("abort", () => {
        ended.push(init.signal?.reason);
        reject(init.signal?.reason);
      }),
    );
  const pending = [client.refresh(), client.devices().catch(() => undefined)];
  await eventually("the service is asked", () => service.asked.length === 3);
  await client.close();
  await Promise.all(pending);
  assert.equal(ended.length, 2);
  wantStatus(client.state(), "Active"); // that the client was closed says nothing of the network
});

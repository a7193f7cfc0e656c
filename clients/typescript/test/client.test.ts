// What a product sees of a client while time passes.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { openIn } from "../dist/client.js";
import { keyHash } from "../dist/licensekey.js";
import { readMark } from "../dist/record.js";
import { memory, OfflineError, open, Refusal, UnlicensedError, type Config, type State } from "open-licenser";
import { brokenStore, day, FakeService, hour, isUnreachable, keySet, licenseKey, minute } from "./fakes.js";
import { opened, refuses, signedToken, wantStatus } from "./fakes.js";

test("a product that runs for a year asks once a day, goes on without network, and stops at a no", async () => {
  const service = new FakeService();
  const { time } = service;
  const store = memory();
  let client = await opened(service, { store });
  wantStatus(client.state(), "Active");
  await time.pass(30 * day);
  const times = service.asked.length;
  assert.ok(times >= 27 && times <= 34, `asked ${times} times in 30 days`);
  service.says = isUnreachable;
  await time.pass(60 * day);
  wantStatus(client.state(), "Offline");
  client.check();
  await time.pass(31 * day);
  wantStatus(client.state(), "OfflineTooLong");
  assert.throws(() => client.check(), OfflineError);
  service.says = service.grants;
  await time.pass(6 * hour); // the longest pause
  wantStatus(client.state(), "Active");
  service.says = refuses("LICENSE_REVOKED");
  await time.pass(27 * hour);
  assert.throws(() => client.check(), (error) => error instanceof Refusal && error.code === "LICENSE_REVOKED");
  await client.close();
  service.says = isUnreachable;
  client = await opened(service, { store });
  wantStatus(client.state(), "Refused", "LICENSE_REVOKED");
  assert.equal(client.state().license, undefined);
  service.says = service.grants;
  await time.pass(2 * hour);
  wantStatus(client.state(), "Active");
  await client.close();
  assert.equal(time.timers, 0);
});

describe("open", () => {
  test("a stored token is Active at once, without network", async () => {
    const service = new FakeService();
    const store = memory();
    await (await opened(service, { store })).close();
    service.says = isUnreachable;
    const before = service.asked.length;
    const client = await opened(service, { store });
    wantStatus(client.state(), "Active");
    assert.equal(service.asked.length, before, "the service was asked first");
    await client.close();
  });

  test("no network and nothing stored", async () => {
    const service = new FakeService();
    service.says = isUnreachable;
    const client = await opened(service);
    assert.throws(() => client.check(), UnlicensedError);
    assert.throws(() => client.check(), /no network/);
    await client.close();
  });

  test("waits as long as its signal", { timeout: 5000 }, async () => {
    const service = new FakeService();
    service.says = ({ init }) => new Promise((_, reject) => init.signal?.addEventListener("abort", reject));
    const controller = new AbortController();
    const opening = openIn(await service.config(memory()), service.time, controller.signal);
    setTimeout(() => controller.abort(), 20);
    const client = await opening;
    wantStatus(client.state(), "Unknown");
    service.says = service.grants;
    await service.time.pass(minute);
    wantStatus(client.state(), "Active");
    await client.close();
  });

  test("all that is wrong with the configuration", async () => {
    const wrong = { url: "licenses", fingerprint: "short", deviceName: "ü".repeat(17), skew: -1 };
    const names = ["url", "trustOnFirstUse", "store", "fingerprint", "deviceName", "skew"];
    await assert.rejects(open(wrong as unknown as Config), ({ message }: Error) => {
      assert.deepEqual(names.filter((name) => !message.includes(name)), []);
      return true;
    });
    const config = { url: "https://x.example", store: memory() };
    await assert.rejects(open({ ...config, trusted: "no key" }), /trusted/);
    await assert.rejects(open({ ...config, trusted: { keys: [] } }), /trusted/);
    const withUser = { ...config, url: "https://a:secret@x.example", trusted: keySet };
    await assert.rejects(open(withUser), ({ message }: Error) => {
      assert.match(message, /user name/);
      assert.doesNotMatch(message, /secret/);
      return true;
    });
  });

  test("texts that are none", async () => {
    const service = new FakeService();
    const config = await service.config(memory());
    for (const name of ["key", "service", "fingerprint", "deviceName"]) {
      for (const value of [1234567890, null, {}, ["12345678"]]) {
        await assert.rejects(open({ ...config, [name]: value }), ({ message }: Error) => {
          assert.match(message, new RegExp(`^open-licenser: no text: ${name}$`));
          return true;
        });
      }
    }
    assert.equal(service.asked.length, 0);
  });

  test("the store fails", async () => {
    const service = new FakeService();
    const logged: string[] = [];
    const log = { warn: (message: string) => logged.push(message), error: (message: string) => logged.push(message) };
    const client = await opened(service, { store: brokenStore, log });
    wantStatus(client.state(), "Active");
    await client.close();
    for (const what of ["stored clock", "stored license", "license cannot be stored", "mark cannot be saved"]) {
      assert.ok(logged.some((message) => message.includes(what)), `nobody hears of ${what}: ${logged}`);
    }
  });

  const odd = ["{}", "1", "null", '{"version":1}', '{"version":1,"key":1}', '{"version":1,"key":"KEY","token":1}'];
  const oddTimes = ['{"version":1,"key":"KEY","asked":"soon"}', '{"version":1,"key":"KEY","checked":1,"token":"x"}'];
  const oddKeys = ['{"version":1,"key":"KEY","keys":{}}', '{"version":1,"key":"KEY","keys":[null,{"kty":"RSA"}]}'];
  for (const body of ["damaged", ...odd, ...oddTimes, ...oddKeys]) {
    test(`a store that holds ${body} has the service asked`, async () => {
      const service = new FakeService();
      const stored = await documentOf(body);
      const store = { load: () => (body === "damaged" ? body : stored), save: () => {} };
      const client = await opened(service, { store });
      wantStatus(client.state(), "Active");
      assert.equal(service.asked.length, 1);
      await client.close();
    });
  }

  test("a stored state of more than a megabyte is none", async () => {
    const service = new FakeService();
    service.says = isUnreachable;
    for (const [length, status] of [[1000, "Refused"], [1 << 20, "Unknown"]] as const) {
      const body = `{"version":1,"key":"KEY","refused":"LICENSE_REVOKED","more":"${"x".repeat(length)}"}`;
      const stored = await documentOf(body);
      const client = await opened(service, { store: { load: () => stored, save: () => {} } });
      assert.equal(client.state().status, status);
      await client.close();
    }
  });
});

/** Returns a stored state whose sum is right. */
async function documentOf(body: string): Promise<string> {
  const stored = body.replace("KEY", await keyHash(await licenseKey()));
  return `${createHash("sha256").update(stored).digest("hex")}\n${stored}\n`;
}

test("no key asks nobody, and another key starts anew", async () => {
  const service = new FakeService();
  const key = await licenseKey();
  const client = await opened(service, { key: "" });
  await service.time.pass(2 * day);
  wantStatus(client.state(), "Unknown");
  assert.equal(service.asked.length, 0, "the service was asked without a key");
  wantStatus(await client.setKey(` ${key.slice(0, 30)}\n${key.slice(30)}`), "Active");
  service.says = isUnreachable;
  wantStatus(await client.setKey(await licenseKey("another")), "Unknown");
  wantStatus(await client.setKey(key), "Offline"); // nothing was answered meanwhile
  wantStatus(await client.setKey(""), "Unknown");
  for (const none of [undefined, null, 1, {}]) {
    wantStatus(await client.setKey(key), "Offline");
    wantStatus(await client.setKey(none as unknown as string), "Unknown");
  }
  const both = [client.setKey(await licenseKey("another")), client.setKey(key)];
  await Promise.all(both);
  wantStatus(client.state(), "Offline"); // the later call counts
  await client.close();
});

test("changes have the latest state, hold up nobody, and end", async () => {
  const service = new FakeService();
  const client = await opened(service, { key: "" });
  const changes = client.changes();
  const next = async (): Promise<State> => (await changes.next()).value ?? assert.fail("the changes have ended");
  await client.setKey(await licenseKey());
  wantStatus(await next(), "Active");
  service.says = isUnreachable;
  await service.time.pass(40 * day);
  wantStatus(await next(), "Offline");
  await service.time.pass(50 * day);
  wantStatus(await next(), "OfflineTooLong"); // by time alone
  service.says = service.grants;
  await client.refresh();
  service.says = refuses("LICENSE_SUSPENDED");
  await client.refresh();
  wantStatus(await next(), "Refused", "LICENSE_SUSPENDED"); // the state before was not read
  const waiting = changes.next();
  await client.close();
  assert.equal((await waiting).done, true);
  for await (const state of client.changes()) {
    assert.fail(`a change to ${state.status} after close`);
  }
});

test("a loop over changes can be left", async () => {
  const service = new FakeService();
  const client = await opened(service);
  const left = (async () => {
    for await (const state of client.changes()) {
      return state;
    }
    return assert.fail("the changes have ended");
  })();
  service.says = refuses("LICENSE_REVOKED");
  await client.refresh();
  wantStatus(await left, "Refused", "LICENSE_REVOKED");
  await client.close();
});

test("a clock that was set back stops the product, also across a restart", async () => {
  const service = new FakeService();
  const store = memory();
  const { time } = service;
  const start = time.now();
  let client = await opened(service, { store });
  await time.pass(3 * day);
  service.says = isUnreachable;
  time.set(start + day);
  wantStatus(client.state(), "ClockBack");
  await client.close();
  client = await opened(service, { store });
  wantStatus(client.state(), "ClockBack");
  service.says = async (asked) => {
    const response = await service.grants(asked);
    response.headers.set("Date", new Date(time.now()).toUTCString());
    return response;
  };
  wantStatus(await client.refresh(), "Active");
  await client.close();
});

test("a clock mark is of the service only where its token is good at that date", async () => {
  const service = new FakeService();
  const { time } = service;
  const start = time.now();
  const store = memory();
  const mark = async () => readMark((await store.load("clock")) ?? "");
  const client = await opened(service, { store });
  const said = async (date: number, life = 90 * day) => {
    const token = await signedToken(time.now(), life);
    service.says = () => Response.json({ message: token }, { headers: { Date: new Date(date).toUTCString() } });
    wantStatus(await client.refresh(), "Active");
    return (await mark()) - time.now();
  };
  await time.pass(day);
  assert.equal(await said(start), 0); // before iat
  assert.equal(await said(time.now() + 3 * hour, 2 * hour), 0); // after exp
  assert.equal(await said(time.now() + 2 * hour, 2 * hour), 0); // at exp
  assert.equal(await said(time.now() + hour, 2 * hour), hour);
  assert.equal(await said(time.now() - 11 * minute), hour); // as it was
  assert.equal(await said(time.now() - 10 * minute), 0); // iat and the skew
  await client.close();
});

test("the clock mark is saved at the end", async () => {
  const service = new FakeService();
  const store = memory();
  const client = await opened(service, { store });
  service.says = isUnreachable;
  await service.time.pass(50 * minute);
  client.state();
  await client.close();
  assert.equal(await readMark((await store.load("clock")) ?? ""), service.time.now());
});

/** Each is a log that a product may have by mistake. */
const faultyLogs: [string, () => unknown][] = [
  ["throws", () => assert.fail("the log is broken")],
  ["rejects", () => Promise.reject(new Error("the log is broken"))],
  ["is no function", undefined as unknown as () => unknown],
];
for (const [name, say] of faultyLogs) {
  test(`a log that ${name} ends nothing`, async () => {
    const service = new FakeService();
    service.says = isUnreachable;
    const client = await opened(service, { store: brokenStore, log: { warn: say, error: say } });
    wantStatus(await client.refresh(), "Unknown");
    service.says = service.grants;
    await service.time.pass(minute);
    wantStatus(client.state(), "Active");
    wantStatus(await client.setKey(await licenseKey()), "Active");
    await client.close();
  });
}

test("a reader of changes that throws ends nothing", async () => {
  const service = new FakeService();
  const client = await opened(service);
  const reading = (async () => {
    for await (const { status } of client.changes()) {
      throw new Error(status);
    }
  })();
  service.says = isUnreachable;
  wantStatus(await client.refresh(), "Offline");
  await assert.rejects(reading, /Offline/);
  service.says = service.grants;
  await service.time.pass(hour);
  wantStatus(client.state(), "Active");
  await client.close();
});

test("a store with what is no text ends nothing", async () => {
  const service = new FakeService();
  for (const odd of [1, {}, Object.create(null)]) {
    const store = { load: () => odd, save: () => Promise.reject(Object.create(null)) };
    const client = await opened(service, { store });
    wantStatus(client.state(), "Active");
    await service.time.pass(day);
    await client.close();
  }
});

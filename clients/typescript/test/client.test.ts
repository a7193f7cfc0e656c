import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { inspect } from "node:util";
import { openIn, type Client } from "../dist/client.js";
import { lookAround } from "../dist/keeper.js";
import { memory, OfflineError, open, Refusal, UnlicensedError, type Config, type State } from "open-licenser";
import { dir } from "open-licenser/node";
import { brokenStore, day, FakeService, hour, isUnreachable, keySet, licenseKey, minute } from "./fakes.js";
import { refuses, signedToken, SimulatedTime, wantStatus, type Says } from "./fakes.js";

const scratch = mkdtempSync(join(tmpdir(), "open-licenser-"));
after(() => rmSync(scratch, { recursive: true }));

async function opened(service: FakeService, more: Partial<Config> = {}): Promise<Client> {
  return openIn({ ...(await service.config(memory())), ...more }, service.time);
}

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

test("pauses grow and are never below two seconds", async () => {
  const service = new FakeService();
  service.says = isUnreachable;
  const client = await opened(service);
  await service.time.pass(2 * day);
  await client.close();
  const { asked } = service;
  assert.ok(asked.length >= 20 && asked.length <= 80, `asked ${asked.length} times in two days`);
  asked.slice(1).forEach(({ at }, i) => {
    const pause = at - (asked[i]?.at ?? 0);
    assert.ok(pause >= 2000 && pause <= Math.min(6 * hour, 2000 * 2 ** (i + 1)), `pause ${i + 1} is ${pause} ms`);
  });
});

test("a 429 is asked again when it says", async () => {
  const service = new FakeService();
  const init = { status: 429, headers: { "Retry-After": "600" } };
  service.says = () => Response.json({ error: "TOO_MANY_REQUESTS" }, init);
  const client = await opened(service);
  await service.time.pass(599 * 1000);
  assert.equal(service.asked.length, 1);
  await service.time.pass(61 * 1000);
  assert.equal(service.asked.length, 2);
  wantStatus(client.state(), "Unknown");
  await client.close();
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

  test("a damaged store has the service asked", async () => {
    const service = new FakeService();
    const client = await opened(service, { store: { load: () => "damaged\n{}\n", save: () => {} } });
    wantStatus(client.state(), "Active");
    assert.equal(service.asked.length, 1);
    await client.close();
  });
});

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
  const both = [client.setKey(await licenseKey("another")), client.setKey(key)];
  await Promise.all(both);
  wantStatus(client.state(), "Offline"); // the later call counts
  await client.close();
});

test("an answer for a license key that has been replaced meanwhile counts for nothing", async () => {
  const service = new FakeService();
  const client = await opened(service);
  let refuse = () => {};
  service.says = (asked) =>
    new Promise((resolve) => {
      refuse = () => resolve(refuses("LICENSE_REVOKED")(asked));
    });
  const refreshing = client.refresh();
  await new Promise((resolve) => setTimeout(resolve, 20));
  const changing = client.setKey("");
  await changing;
  refuse();
  wantStatus(await refreshing, "Unknown");
  service.says = isUnreachable;
  wantStatus(await client.setKey(await licenseKey()), "Offline"); // as it was stored
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
  await new Promise((resolve) => setTimeout(resolve, 20));
  const late = answer;
  await service.time.pass(1000);
  service.says = refuses("LICENSE_REVOKED");
  await quick.refresh();
  late();
  wantStatus(await asking, "Refused", "LICENSE_REVOKED");
  await Promise.all([slow.close(), quick.close()]);
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

/** Each is an answer that says nothing of the license. */
const nothings: [string, Says][] = [
  ["captive portal", () => new Response("<html>Log in</html>", { headers: { "Content-Type": "text/html" } })],
  ["redirect", () => new Response(null, { status: 307, headers: { Location: "https://portal.example/" } })],
  ["redirect in a page", () => Object.defineProperty(Response.error(), "type", { value: "opaqueredirect" })],
  ["over a megabyte", () => Response.json({ error: "LICENSE_REVOKED", pad: "x".repeat(1 << 20) }, { status: 400 })],
  ["a body that breaks off", () => new Response(brokenStream(), { status: 400 })],
];

function brokenStream(): ReadableStream {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"error":"LICENSE_REVOKED"}'));
      controller.error(new Error("the connection broke"));
    },
  });
}

for (const [name, says] of nothings) {
  test(`an answer that is none: ${name}`, async () => {
    const service = new FakeService();
    const client = await opened(service);
    service.says = says;
    wantStatus(await client.refresh(), "Offline");
    assert.equal(service.asked.length, 2);
    assert.equal(service.asked[1]?.init.redirect, "manual");
    assert.equal(service.asked[1]?.init.credentials, "omit");
    await client.close();
  });
}

test("neither log nor errors have the license key or the token", async () => {
  const service = new FakeService();
  const said: string[] = [];
  const note = (...what: unknown[]) => void said.push(...what.map((one) => inspect(one, { depth: 10 })));
  const key = await licenseKey();
  const secrets = [key];
  const client = await opened(service, { log: { warn: note, error: note } });
  const answers: Says[] = [
    async () => {
      const token = await signedToken(service.time.now(), day);
      secrets.push(token);
      return new Response(`{"message":"${token}"`); // broken JSON
    },
    async () => Response.json({ message: `${secrets[1]}x` }),
    ({ body }) => Response.json({ error: "ODD" }, { status: 400, headers: { "X-Echo": String(body["licensekey"]) } }),
    isUnreachable,
  ];
  for (const says of answers) {
    service.says = says;
    const { error } = await client.refresh();
    note(error);
  }
  await client.importToken(`${secrets[1]}x`).catch(note);
  await client.close();
  assert.ok(said.length >= 9);
  for (const secret of secrets) {
    assert.ok(!said.join("\n").includes(secret.slice(-40)), "a secret was logged");
  }
  assert.equal(secrets.length, 2);
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
  await new Promise((resolve) => setTimeout(resolve, 20));
  await client.close();
  await Promise.all(pending);
  assert.equal(ended.length, 2);
  wantStatus(client.state(), "Active"); // that the client was closed says nothing of the network
});

test("a request that nobody answers ends after 15 seconds", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const service = new FakeService(new SimulatedTime());
  service.says = () => new Promise(() => {}); // and the fetch does not know signals
  const opening = opened(service);
  while (service.asked.length === 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.mock.timers.tick(14_999);
  assert.equal(service.asked[0]?.init.signal?.aborted, false);
  t.mock.timers.tick(1);
  assert.equal(service.asked[0]?.init.signal?.aborted, true);
  const client = await opening;
  assert.match(String(client.state().error?.message), /15 seconds/);
  await client.close();
});

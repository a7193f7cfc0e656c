// What a client makes of answers, and of none.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { ServerError } from "open-licenser";
import { day, FakeService, hour, isUnreachable, licenseKey, opened, refuses } from "./fakes.js";
import { signedToken, SimulatedTime, wantStatus, type Says } from "./fakes.js";

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

test("a code that is none leads to nothing", async () => {
  const service = new FakeService();
  const client = await opened(service);
  for (const code of ["LICENSE_\nREVOKED", "LICENSE_revoked", `LICENSE_${"X".repeat(57)}`, "LICENSE_REVOKED\n"]) {
    service.says = refuses(code);
    const { error } = await client.refresh();
    wantStatus(client.state(), "Offline");
    assert.ok(error instanceof ServerError && error.code === "", code);
    await assert.rejects(client.devices(), { name: "ServerError", code: "" });
  }
  service.says = refuses(`LICENSE_${"X".repeat(56)}`);
  assert.equal((await client.refresh()).status, "Refused");
  await client.close();
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

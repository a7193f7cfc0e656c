// What a client does besides its license: devices, license files, keys that are fetched.

import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, type JsonWebKey } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { openIn } from "../dist/client.js";
import { deviceID, cleanKey, licenseIDOf } from "../dist/licensekey.js";
import { readKeys } from "../dist/publickeys.js";
import { parseHTTPDate, parseTime } from "../dist/times.js";
import { memory, open, Refusal, ServerError, usable, version, type Service, type Status } from "open-licenser";
import { importFile } from "open-licenser/node";
import { day, FakeService, hour, isUnreachable, keySet, licenseID, licenseKey, minute } from "./fakes.js";
import { refuses, signedText, signedToken, wantStatus } from "./fakes.js";

const scratch = mkdtempSync(join(tmpdir(), "open-licenser-"));
after(() => rmSync(scratch, { recursive: true }));

test("devices are listed and given back", async () => {
  const service = new FakeService();
  const fingerprint = "this computer";
  const client = await openIn({ ...(await service.config(memory())), fingerprint, deviceName: "desk" }, service.time);
  const sent = service.asked[0]?.body;
  assert.deepEqual([sent?.["fingerprint"], sent?.["devicename"]], [fingerprint, "desk"]);
  const own = await deviceID(licenseID, fingerprint);
  const times = { since: "2027-01-01T00:00:00.000Z", until: "2027-02-01T00:00:00.000Z" };
  service.says = ({ path, body }) => {
    if (path === "/list-devices") {
      const devices = [{ id: "other", name: "front desk", ...times }, { id: own, name: "", ...times }];
      return Response.json({ limit: 2, devices });
    }
    if (path === "/release-device" && body["device"] === "other") {
      return Response.json({ error: "RELEASE_LIMIT_REACHED" }, { status: 400 });
    }
    const isOwn = path === "/release-device" && body["fingerprint"] === fingerprint && body["device"] === undefined;
    return isOwn ? new Response(null, { status: 204 }) : Response.json({}, { status: 500 });
  };
  const { limit, devices } = await client.devices();
  assert.equal(limit, 2);
  assert.deepEqual(devices.map(({ id, name, isThis }) => [id, name, isThis]), [
    ["other", "front desk", false],
    [own, "", true],
  ]);
  assert.equal(devices[0]?.until.toISOString(), times.until);
  const limited = { name: "Refusal", code: "RELEASE_LIMIT_REACHED", message: /^too many seats were given back/ };
  await assert.rejects(client.release("other"), limited);
  await assert.rejects(client.release("third"), ServerError);
  wantStatus(client.state(), "Active");
  await client.release();
  wantStatus(client.state(), "Unknown");
  assert.equal(client.state().retryAt, undefined);
  const before = service.asked.length;
  await service.time.pass(30 * day);
  assert.equal(service.asked.length, before, "a seat that was given back was taken again");
  await client.close();
});

test("a refusal stays when the seat is given back, so that an old license file is still none", async () => {
  const service = new FakeService();
  const store = memory();
  const client = await openIn(await service.config(store), service.time);
  const old = await signedToken(service.time.now(), day);
  await service.time.pass(10 * minute);
  service.says = refuses("LICENSE_REVOKED");
  await client.refresh();
  service.says = () => new Response(null, { status: 204 });
  await client.release();
  wantStatus(client.state(), "Refused", "LICENSE_REVOKED");
  await assert.rejects(client.importToken(old), Refusal);
  await client.close();
  service.says = isUnreachable;
  const again = await openIn(await service.config(store), service.time);
  wantStatus(again.state(), "Refused", "LICENSE_REVOKED");
  await again.close();
});

test("what a product changes in its license changes nothing", async () => {
  const service = new FakeService();
  const client = await openIn(await service.config(memory()), service.time);
  const { license } = client.state();
  assert.ok(license);
  const services = license.services as Service[];
  assert.throws(() => services.push({ name: "", value: "other" }), TypeError);
  assert.throws(() => Object.assign(services[0] ?? {}, { value: "other" }), TypeError);
  assert.throws(() => Object.assign(license, { services: [] }), TypeError);
  assert.throws(() => (license.appURLs as string[]).push("re:"), TypeError);
  license.expires.setTime(0);
  const { status, license: after } = client.state();
  assert.equal(status, "Active");
  assert.ok(after?.allows("reports") && !after.allows("other") && !after.allowsHost("x") && Number(after.expires) > 0);
  await client.close();
});

test("a time in a token is a whole number, written as digits", async () => {
  const service = new FakeService();
  service.says = isUnreachable;
  const client = await openIn(await service.config(memory()), service.time);
  const seconds = service.time.now() / 1000;
  const claims = { iat: `${seconds}`, exp: `${seconds + 60}`, expirationdate: `${seconds + 60}` };
  const signed = (times: Record<string, string>) => {
    const members = Object.entries(times).map(([name, time]) => `"${name}" : ${time}`);
    return signedText(`{"sub":"authorization_token","licenseid":"${licenseID}",${members.join(",")}}`);
  };
  const odd = [{ iat: "1.7e9" }, { exp: `${seconds + 60}.0` }, { expirationdate: "18E8" }, { nbf: "1e9" }];
  for (const times of odd) {
    await assert.rejects(client.importToken(await signed({ ...claims, ...times })), /no whole number/);
  }
  await client.importToken(await signed(claims));
  await client.close();
});

test("a token has one spelling", async () => {
  const service = new FakeService();
  service.says = isUnreachable;
  const client = await openIn(await service.config(memory()), service.time);
  const token = await signedToken(service.time.now(), day);
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const other = digits[digits.indexOf(token.at(-1) ?? "") ^ 1]; // in a bit that counts for nothing
  await assert.rejects(client.importToken(token.slice(0, -1) + other), /compact form/);
  await client.importToken(token);
  await client.close();
});

test("a list of devices that is none", async () => {
  const service = new FakeService();
  const client = await openIn(await service.config(memory()), service.time);
  const timeless = { id: "x", since: "", until: "" };
  for (const said of [{}, { devices: [{}] }, { limit: "2", devices: [] }, { devices: [timeless] }]) {
    service.says = () => Response.json(said);
    await assert.rejects(client.devices(), ServerError);
  }
  service.says = () => Response.json({ limit: null, devices: [] });
  assert.deepEqual(await client.devices(), { limit: undefined, devices: [] });
  service.says = refuses("INVALID_LICENSE");
  await assert.rejects(client.devices(), Refusal);
  wantStatus(client.state(), "Active");
  await client.close();
});

test("a license file", async () => {
  const service = new FakeService();
  service.says = isUnreachable;
  const client = await openIn(await service.config(memory()), service.time);
  const now = service.time.now();
  const file = join(scratch, "license.lic");
  const good = await signedToken(now - hour, 2 * day);
  const wrong = {
    empty: "",
    expired: await signedToken(now - 2 * hour, hour),
    large: "x".repeat((256 << 10) + 1),
    "larger with a good start": good + " ".repeat(256 << 10),
    changed: `${good.slice(0, -8)}AAAAAAAA`,
  };
  for (const [name, text] of Object.entries(wrong)) {
    writeFileSync(file, text);
    await assert.rejects(importFile(client, file), Error, name);
    wantStatus(client.state(), "Unknown");
  }
  await assert.rejects(importFile(client, join(scratch, "none.lic")), /ENOENT/);
  writeFileSync(file, `\ufeff${good}\r\n`);
  wantStatus(await importFile(client, file), "Active");
  service.says = refuses("LICENSE_REVOKED");
  await client.refresh();
  await assert.rejects(importFile(client, file), Refusal, "an old file after a refusal");
  wantStatus(client.state(), "Refused", "LICENSE_REVOKED");
  await client.close();
});

test("keys are fetched on first use, and kept for a start without network", async () => {
  const service = new FakeService();
  const store = memory();
  const config = { ...(await service.config(store)), trusted: undefined, trustOnFirstUse: true };
  service.says = (asked) => (asked.path === "/.well-known/jwks.json" ? Response.json(keySet) : service.grants(asked));
  let client = await openIn(config, service.time);
  wantStatus(client.state(), "Active");
  assert.deepEqual(service.asked.map(({ path }) => path), ["/verify-license", "/.well-known/jwks.json"]);
  await client.setKey(await licenseKey("another"));
  assert.equal(service.asked.length, 3, "the keys are the service's: another license key needs no others");
  await client.close();
  service.says = isUnreachable;
  client = await openIn(config, service.time);
  wantStatus(client.state(), "Active");
  await client.close();
  client = await openIn({ ...config, trusted: await otherKeys(), trustOnFirstUse: false }, service.time);
  wantStatus(client.state(), "Unknown"); // fetched keys count only where the product says so
  await client.close();
});

test("keys that cannot be fetched leave the token as it is", async () => {
  const service = new FakeService();
  const config = { ...(await service.config(memory())), trusted: undefined, trustOnFirstUse: true };
  service.says = (asked) => (asked.path === "/.well-known/jwks.json" ? isUnreachable(asked) : service.grants(asked));
  const client = await openIn(config, service.time);
  wantStatus(client.state(), "Unknown");
  assert.match(String(client.state().error?.message), /the public keys: .*no network/);
  await client.close();
});

async function otherKeys(): Promise<object> {
  const [key] = keySet.keys;
  return { keys: [{ ...key, kid: "other", n: `${key?.n?.slice(0, -8)}AAAAAAAA` }] };
}

describe("public keys", () => {
  const [jwk] = keySet.keys;
  const publicKey = createPublicKey({ key: jwk as JsonWebKey, format: "jwk" });
  const pem = String(publicKey.export({ type: "spki", format: "pem" }));

  test("PEM is the key of the set, with the service's kid", async () => {
    const [fromPEM] = await readKeys(`a comment\n${pem}`);
    const [fromSet] = await readKeys(JSON.stringify({ keys: [{ ...jwk, kid: undefined }] }));
    assert.deepEqual(fromPEM, fromSet);
    assert.equal(fromPEM?.n, jwk?.n);
    assert.match(String(fromPEM?.kid), /^[A-Za-z0-9_-]{43}$/);
    assert.equal((await readKeys(pem + pem)).length, 2);
  });

  const bad = {
    "an exponent of 1": { ...jwk, e: "AQ" },
    "an even exponent": { ...jwk, e: "BA" },
    "2040 bits": { ...jwk, n: jwk?.n?.slice(0, 340) },
    "2047 bits": { ...jwk, n: `P${jwk?.n?.slice(1)}` },
    encryption: { ...jwk, use: "enc" },
    RS512: { ...jwk, alg: "RS512" },
    "a kid that is no text": { ...jwk, kid: 1 },
  };
  for (const [name, key] of Object.entries(bad)) {
    test(`none: ${name}`, () => assert.rejects(readKeys({ keys: [key] }), /no RSA key/));
  }

  test("a byte order mark does not count, and UTF-16 is named", async () => {
    for (const text of [pem, JSON.stringify(keySet)]) {
      assert.equal((await readKeys(`\ufeff${text}`))[0]?.n, jwk?.n);
      for (const encoding of ["utf8", "latin1"] as const) {
        await assert.rejects(readKeys(Buffer.from(`\ufeff${text}`, "utf16le").toString(encoding)), /UTF-16/);
      }
    }
  });

  test("PEM of other things is left out", async () => {
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const ec = String(other.publicKey.export({ type: "spki", format: "pem" }));
    const secret = String(other.privateKey.export({ type: "pkcs8", format: "pem" }));
    const damaged = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    assert.deepEqual(await readKeys(ec + secret + damaged + pem), await readKeys(pem));
    await assert.rejects(readKeys(ec + secret + damaged), /no RSA key/);
  });

  test("leading zeros do not count", async () => {
    const padded = Buffer.concat([Buffer.alloc(3), Buffer.from(String(jwk?.n), "base64url")]).toString("base64url");
    assert.equal((await readKeys({ keys: [{ ...jwk, n: padded }] }))[0]?.n, jwk?.n);
  });
});

test("a short key has one spelling", () => {
  const short = "06CX38KW7SXNN78E7WN1PK2XDTHSG0WPA3H24FC37M";
  assert.equal(cleanKey("o6cx38-kw7sxn-n78e7w-nipk2x-dthsgo-wpa3h2-4fc37m\n"), short);
  assert.match(licenseIDOf(short), /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
  assert.equal(licenseIDOf(short.replace("C", "U")), "");
  assert.equal(licenseIDOf("no key"), "");
});

test("only RFC 3339 and RFC 9110 dates are dates", () => {
  const good = "2027-01-31T23:59:59.999Z";
  assert.equal(parseTime(good), Date.parse(good));
  assert.equal(parseTime("2027-01-31T23:59:59.123456789+02:00"), Date.parse("2027-01-31T21:59:59.123Z"));
  for (const text of ["2027", "2027-01-31", "2027-02-30T00:00:00Z", "2027-01-31T24:00:00Z", "soon 1", 1, null]) {
    assert.equal(parseTime(text), undefined, String(text));
  }
  assert.equal(parseHTTPDate("Fri, 01 Jan 2027 12:00:00 GMT"), Date.parse("2027-01-01T12:00:00Z"));
  for (const text of ["-1", "1", "2027-01-01T12:00:00Z", "", null]) {
    assert.equal(parseHTTPDate(text), 0, String(text));
  }
});

test("the version is that of the package", () => {
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  assert.equal((JSON.parse(manifest) as { version: string }).version, version);
});

test("states in which a product may run", () => {
  const all: Status[] = ["Unknown", "Active", "Grace", "Offline", "Refused", "ClockBack", "OfflineTooLong"];
  assert.deepEqual(all.filter(usable), ["Active", "Grace", "Offline"]);
});

test("a request says who asks, and where", async () => {
  const service = new FakeService();
  const config = { ...(await service.config(memory())), url: "https://licenses.example.com/base/?x=y" };
  const urls: string[] = [];
  const client = await open({
    ...config,
    fetch: (url, init) => {
      urls.push(url);
      return service.fetch(url, init);
    },
  });
  assert.deepEqual(urls, ["https://licenses.example.com/base/verify-license?x=y"]);
  const headers = new Headers(service.asked[0]?.init.headers);
  assert.equal(headers.get("User-Agent"), `open-licenser-typescript/${version}`);
  assert.equal(headers.get("Content-Type"), "application/json");
  assert.deepEqual(Object.keys(service.asked[0]?.body ?? {}), ["licensekey"]);
  await client.close();
});

test("the url of the function itself is taken too", async () => {
  const service = new FakeService();
  for (const end of ["", "/", "/verify-license", "/verify-license/"]) {
    const config = { ...(await service.config(memory())), url: `https://x.example/base${end}` };
    const client = await openIn(config, service.time);
    assert.equal(service.asked.at(-1)?.path, "/base/verify-license");
    await client.close();
  }
});

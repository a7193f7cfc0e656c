import { compactVerify } from "jose";
import type { Rules } from "./core.js";
import { fromBase64URL, parseObject, textIn, textOf } from "./encoding.js";
import { ClockError } from "./errors.js";
import { License, readAppURLs, readServices } from "./license.js";
import { deviceID } from "./licensekey.js";
import { withKid, type PublicKey } from "./publickeys.js";
import { fromSeconds, parseTime } from "./times.js";

/** What a genuine token says. Its times are not yet compared with the clock. */
export interface Grant {
  readonly license: License;
  readonly kid: string;
  /** iat */
  readonly issued: number;
  /** The later one of iat and nbf. */
  readonly from: number;
  /** exp */
  readonly expires: number;
}

/** A token whose kid none of the keys has. */
export class UnknownKeyError extends Error {
  constructor() {
    super("no token of this vendor: it is signed with a key that this product does not know");
  }
}

/** Returns how the token goes with the clock. There is no leeway for exp, and skew for iat and nbf. */
export function fits(grant: Grant, now: number, skew: number): ClockError | undefined {
  if (grant.from > now + skew) {
    const from = new Date(grant.from).toISOString();
    return new ClockError(undefined, `the clock of this computer is wrong: the token is good from ${from} on`);
  }
  if (now >= grant.expires) {
    const at = new Date(grant.expires).toISOString();
    return new ClockError(undefined, `the clock of this computer is wrong, or the token is old: it expired at ${at}`);
  }
  return undefined;
}

/** Drops what stands around the token of a license file. */
export function trimToken(text: string): string {
  return text.replace(/^[ \t\r\n\ufeff]+|[ \t\r\n\ufeff]+$/g, "");
}

/**
 * Checks the signature of a token, and whether it is for this license and this device. It returns what the token says,
 * or why it is of no use. It does not throw.
 */
export async function readToken(
  rules: Rules,
  text: string,
  keys: readonly PublicKey[],
): Promise<Grant | Error> {
  const token = trimToken(text);
  const kid = readKid(token);
  if (kid instanceof Error) {
    return kid;
  }
  const candidates = withKid(keys, kid);
  if (candidates.length === 0) {
    return new UnknownKeyError();
  }
  const payload = await verifiedPayload(token, candidates);
  if (payload === undefined) {
    return new Error("no token of this vendor: it is not signed by its key with RS256");
  }
  const grant = readClaims(payload, kid);
  return grant instanceof Error ? grant : ((await notFor(rules, grant.license)) ?? grant);
}

/** Returns an empty text where the token has none. jose reads base64url leniently, and the crit of b64. */
function readKid(token: string): string | Error {
  const parts = token.split(".").map(fromBase64URL);
  const [protectedHeader] = parts;
  const header = protectedHeader && parseObject(textOf(protectedHeader));
  if (parts.length !== 3 || parts.includes(undefined) || header === undefined) {
    return new Error("no token of this vendor: it is no JWS in compact form");
  }
  if ("crit" in header) {
    return new Error("no token of this vendor: it has crit, and no extension is known"); // RFC 7515 section 4.1.11
  }
  const kid = header["kid"];
  if (kid !== undefined && textIn(kid) === "") {
    return new Error("no token of this vendor: the kid is no text");
  }
  return textIn(kid);
}

/** Tries each key. It returns undefined where none fits. */
async function verifiedPayload(token: string, keys: PublicKey[]): Promise<string | undefined> {
  for (const key of keys) {
    try {
      const { payload } = await compactVerify(token, { ...key, alg: "RS256" }, { algorithms: ["RS256"] });
      return textOf(payload);
    } catch {
      continue;
    }
  }
  return undefined;
}

/** A time that is not written as digits. JSON.parse does not tell 1.8e9 from 1800000000. */
const oddTime = /"(exp|iat|expirationdate|nbf)"[ \t\r\n]*:[ \t\r\n]*-?\d+[.eE]/;

function readClaims(payload: string, kid: string): Grant | Error {
  const claims = parseObject(payload);
  const odd = oddTime.exec(payload);
  if (odd !== null) {
    return new Error(`the claim ${odd[1]} is no whole number in digits`);
  }
  if (claims?.["sub"] !== "authorization_token") {
    return new Error("the JWT is no authorization token");
  }
  for (const name of ["exp", "iat", "expirationdate", "nbf"]) {
    const isAbsent = name === "nbf" && claims[name] === undefined;
    if (!isAbsent && !Number.isSafeInteger(claims[name])) {
      return new Error(`the claim ${name} is no number of seconds`);
    }
  }
  for (const name of ["licenseid", "customername", "device"]) {
    if (claims[name] !== undefined && typeof claims[name] !== "string") {
      return new Error(`the claim ${name} is no text`);
    }
  }
  const updatesUntil = parseTime(claims["updatesuntil"]);
  if (claims["updatesuntil"] !== undefined && updatesUntil === undefined) {
    return new Error("the claim updatesuntil is no date");
  }
  const issued = fromSeconds(Number(claims["iat"]));
  return {
    license: new License({
      id: textIn(claims["licenseid"]),
      customerName: textIn(claims["customername"]),
      expires: new Date(fromSeconds(Number(claims["expirationdate"]))),
      updatesUntil: updatesUntil === undefined ? undefined : new Date(updatesUntil),
      device: textIn(claims["device"]) || undefined,
      services: readServices(claims["services"]),
      appURLs: readAppURLs(claims["appurls"]),
    }),
    kid,
    issued,
    from: Math.max(issued, fromSeconds(Number(claims["nbf"] ?? claims["iat"]))),
    expires: fromSeconds(Number(claims["exp"])),
  };
}

/** Returns why the license is not for who asks. */
async function notFor(rules: Rules, license: License): Promise<Error | undefined> {
  if (rules.licenseID === "" || license.id.toLowerCase() !== rules.licenseID.toLowerCase()) {
    return new Error("the token is for another license");
  }
  if (license.device !== undefined && license.device !== (await deviceID(license.id, rules.fingerprint))) {
    return new Error("the token is for another device");
  }
  return undefined;
}

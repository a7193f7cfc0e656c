import { calculateJwkThumbprint, exportJWK, importSPKI } from "jose";
import { fromBase64URL, isObject, parseObject, textIn, toBase64URL } from "./encoding.js";

/** An RSA key that tokens are checked with, in the form in which it is stored (RFC 7518 section 6.3.1). */
export interface PublicKey {
  readonly kty: "RSA";
  readonly kid: string;
  readonly n: string;
  readonly e: string;
}

const minKeyBits = 2048;

/** Bounds what a set may hold, because each key of one kid is tried. */
const maxKeys = 100;

/** Reads a JWK set, as text or object, or PEM. It throws what is wrong with it. */
export async function readKeys(trusted: string | object): Promise<PublicKey[]> {
  if (typeof trusted !== "string") {
    return keysOfSet(trusted);
  }
  if (trusted.includes("\0")) {
    throw new Error("it is UTF-16, and must be UTF-8");
  }
  const text = trusted.trim(); // of a byte order mark too
  return text.startsWith("{") ? readKeySet(text) : readPEM(text);
}

/** Reads a JWK set. It throws what is wrong with it. */
export async function readKeySet(text: string): Promise<PublicKey[]> {
  return keysOfSet(parseObject(text));
}

/** Leaves out keys of other types and uses, which a set may hold (RFC 7517 section 5). */
async function keysOfSet(set: unknown): Promise<PublicKey[]> {
  const members = isObject(set) ? set["keys"] : undefined;
  if (!Array.isArray(members)) {
    throw new Error("no JWK set");
  }
  if (members.length > maxKeys) {
    throw new Error(`a JWK set of ${members.length} keys`);
  }
  return someOf(await Promise.all(members.map(publicKeyOf)));
}

/** Returns the keys that can be used. It throws where there are none. */
function someOf(keys: (PublicKey | undefined)[]): PublicKey[] {
  const found = keys.filter((key) => key !== undefined);
  if (found.length === 0) {
    throw new Error("there is no RSA key of 2048 bits or more in it that signs by RS256");
  }
  return found;
}

/** Returns undefined for what is no RSA key that checks RS256. */
export async function publicKeyOf(jwk: unknown): Promise<PublicKey | undefined> {
  if (!isObject(jwk) || jwk["kty"] !== "RSA" || !isOr(jwk["use"], "sig") || !isOr(jwk["alg"], "RS256")) {
    return undefined;
  }
  const { n, e, kid } = jwk;
  const modulus = numberIn(n);
  const exponent = numberIn(e);
  if (modulus === undefined || exponent === undefined || !isText(kid)) {
    return undefined;
  }
  if (bitsOf(modulus) < minKeyBits || !isExponent(exponent)) {
    return undefined;
  }
  const key = { kty: "RSA" as const, n: toBase64URL(modulus), e: toBase64URL(exponent) };
  return { ...key, kid: textIn(kid) || (await calculateJwkThumbprint(key)) };
}

function isOr(value: unknown, wanted: string): boolean {
  return value === undefined || value === null || value === "" || value === wanted;
}

function isText(value: unknown): boolean {
  return value === undefined || value === null || typeof value === "string";
}

/** Returns the bytes of a whole number without leading zeros, with which some engines import no key. */
function numberIn(value: unknown): Uint8Array | undefined {
  const bytes = fromBase64URL(textIn(value));
  const first = bytes?.findIndex((byte) => byte !== 0) ?? -1;
  return first < 0 ? undefined : bytes?.subarray(first);
}

function bitsOf(bytes: Uint8Array): number {
  return bytes.length * 8 - (Math.clz32(bytes[0] ?? 0) - 24);
}

function isExponent(bytes: Uint8Array): boolean {
  const number = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  return bytes.length <= 4 && number >= 3 && number % 2 === 1;
}

async function readPEM(text: string): Promise<PublicKey[]> {
  const blocks = text.match(/-----BEGIN PUBLIC KEY-----[^-]*-----END PUBLIC KEY-----/g) ?? [];
  return someOf(await Promise.all(blocks.map(readSPKI)));
}

/** Reads a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). A key of another type is left out, as in a set. */
async function readSPKI(block: string): Promise<PublicKey | undefined> {
  try {
    const { kty, n, e } = await exportJWK(await importSPKI(block, "RS256", { extractable: true }));
    return publicKeyOf({ kty, n, e });
  } catch {
    return undefined;
  }
}

/** Returns the keys that a token of the kid may be signed with. A token without one may be signed with any. */
export function withKid(keys: readonly PublicKey[], kid: string): PublicKey[] {
  return keys.filter((key) => kid === "" || key.kid === kid);
}

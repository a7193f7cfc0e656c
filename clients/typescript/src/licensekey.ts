import { fromBase64URL, parseObject, sha256, textIn, textOf, toBase64URL, toHex } from "./encoding.js";

const shortKeyLength = 42;
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/**
 * Drops what mail programs and people add to a license key, as the service does. What is left is sent. Of a short key
 * it makes one spelling, so that the stored state is found again however it was typed.
 */
export function cleanKey(pasted: string): string {
  const key = pasted.replace(/[^A-Za-z0-9_.-]/g, "");
  if (key.includes(".")) {
    return key;
  }
  const short = key.toUpperCase().replace(/-/g, "").replace(/O/g, "0").replace(/[IL]/g, "1");
  return short.length === shortKeyLength ? short : key;
}

/**
 * Returns the id of the license that a clean key is for, or an empty text. Only the service can tell whether the key is
 * genuine.
 */
export function licenseIDOf(key: string): string {
  const parts = key.split(".");
  if (parts.length === 3) {
    const payload = fromBase64URL(parts[1] ?? "");
    return textIn(payload && parseObject(textOf(payload))?.["licenseid"]);
  }
  const bits = Array.from(key, (character) => crockford.indexOf(character));
  if (key.length !== shortKeyLength || bits.includes(-1)) {
    return "";
  }
  const digits = bits.map((five) => five.toString(2).padStart(5, "0")).join("").slice(0, 128);
  const hex = BigInt(`0b${digits}`).toString(16).padStart(32, "0");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** What stored states have in place of a license key. */
export async function keyHash(key: string): Promise<string> {
  return toHex(await sha256(`Open Licenser stored state ${key}`));
}

/** Returns the id that the service gives a device on a license. */
export async function deviceID(licenseID: string, fingerprint: string): Promise<string> {
  return toBase64URL((await sha256(`${licenseID}\0${fingerprint}`)).slice(0, 16));
}

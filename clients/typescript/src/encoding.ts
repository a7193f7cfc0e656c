// Bytes, and what they are written as. Web Crypto makes the hashes.

import { base64url } from "jose";

export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Keeps a byte order mark, so that JSON.parse refuses it as other clients do. */
export function textOf(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

export function toBase64URL(bytes: Uint8Array): string {
  return base64url.encode(bytes);
}

/** Returns undefined for anything but the one spelling: no padding, no white space, no unused bits. */
export function fromBase64URL(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) {
    return undefined;
  }
  const bytes = base64url.decode(text);
  return base64url.encode(bytes) === text ? bytes : undefined;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytesOf(text)));
}

/**
 * Returns the object of a JSON text, or undefined. There is no error, because that of JSON.parse quotes the text, which
 * may hold a token.
 */
export function parseObject(text: string): Record<string, unknown> | undefined {
  const value = parseJSON(text);
  return isObject(value) ? value : undefined;
}

export function parseJSON(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns a value that is a text, and else an empty one. */
export function textIn(value: unknown): string {
  return typeof value === "string" ? value : "";
}

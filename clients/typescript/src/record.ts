import { isObject, parseObject, sha256, textIn, toHex } from "./encoding.js";
import type { Code } from "./licensing.js";
import { publicKeyOf, type PublicKey } from "./publickeys.js";
import { minute, parseTime } from "./times.js";

/**
 * What restarts keep of a license key. It is stored as two lines: the SHA-256 of the second in hex, and JSON.
 *
 *     5891b5b5…
 *     {"version":1,"key":"…","asked":"2027-01-01T00:00:00.000Z","checked":"2027-01-01T00:00:01.000Z","token":"ey…"}
 */
export interface StoredRecord {
  /** The keyHash of the license key that it is about. */
  readonly key: string;
  /** When the request was made whose answer this is. */
  readonly asked: number;
  /** When the answer came. */
  readonly checked: number;
  /** Of a grant; empty for none. */
  readonly token: string;
  /** Of a definite no; empty for none. */
  readonly refused: Code;
  /** Those that were fetched. */
  readonly keys: readonly PublicKey[];
}

const recordVersion = 1;

/** More characters than any document has. */
export const maxStored = 1 << 20;

export function emptyRecord(key: string): StoredRecord {
  return { key, asked: 0, checked: 0, token: "", refused: "", keys: [] };
}

/**
 * Returns a stored record, or undefined for one that is damaged, too large or of another version: the service is asked
 * then.
 */
export async function readStored(document: string): Promise<StoredRecord | undefined> {
  const stored = await readSummed(document);
  if (stored === undefined || stored["version"] !== recordVersion) {
    return undefined;
  }
  const keys = stored["keys"] ?? [];
  const asked = readMoment(stored["asked"]);
  const checked = readMoment(stored["checked"]);
  const texts = [stored["key"], stored["token"] ?? "", stored["refused"] ?? ""];
  if (!Array.isArray(keys) || asked === undefined || checked === undefined || !texts.every(isString)) {
    return undefined;
  }
  const [key = "", token = "", refused = ""] = texts.map(textIn);
  const usable = (await Promise.all(keys.map(publicKeyOf))).filter((one) => one !== undefined);
  return { key, asked, checked, token, refused, keys: usable };
}

function isString(value: unknown): boolean {
  return typeof value === "string";
}

/** Reads none where there is none. The Go client writes the year 1 for that. */
function readMoment(value: unknown): number | undefined {
  const moment = value === undefined ? 0 : parseTime(value);
  return moment === undefined ? undefined : Math.max(moment, 0);
}

export function writeRecord(record: StoredRecord): Promise<string> {
  return writeSummed({
    version: recordVersion,
    key: record.key,
    asked: writeMoment(record.asked),
    checked: writeMoment(record.checked),
    token: record.token || undefined,
    refused: record.refused || undefined,
    keys: record.keys.length > 0 ? record.keys : undefined,
  });
}

function writeMoment(moment: number): string | undefined {
  return moment === 0 ? undefined : new Date(moment).toISOString();
}

/**
 * Reports whether another process of the product has asked for the same key since. A time ahead of the clock says that
 * the clock was wrong.
 */
export function isNewer(record: StoredRecord, than: StoredRecord, now: number): boolean {
  return record.key === than.key && record.asked > than.asked && record.asked <= now + minute;
}

/** Reports whether a stored record lacks what was asked for since. One of another key is left alone. */
export function isBehind(stored: StoredRecord, known: StoredRecord): boolean {
  return (stored.key === known.key || stored.key === "") && stored.asked < known.asked;
}

/**
 * Returns the latest time that was ever seen, or 0 where the document is damaged. It has a document of its own, so that
 * writing it never takes back what another process has been told of the license.
 */
export async function readMark(document: string): Promise<number> {
  return Math.max(parseTime((await readSummed(document))?.["latest"]) ?? 0, 0);
}

export function writeMark(latest: number): Promise<string> {
  return writeSummed({ latest: new Date(latest).toISOString() });
}

async function readSummed(document: string): Promise<Record<string, unknown> | undefined> {
  if (document.length > maxStored) {
    return undefined;
  }
  const lines = document.replace(/[\r\n]+$/, "");
  const end = lines.indexOf("\n");
  const body = end < 0 ? "" : lines.slice(end + 1);
  const isWhole = end >= 0 && lines.slice(0, end) === (await sumOf(body));
  const stored = isWhole ? parseObject(body) : undefined;
  return isObject(stored) ? stored : undefined;
}

async function writeSummed(value: object): Promise<string> {
  const body = JSON.stringify(value);
  return `${await sumOf(body)}\n${body}\n`;
}

async function sumOf(body: string): Promise<string> {
  return toHex(await sha256(body));
}

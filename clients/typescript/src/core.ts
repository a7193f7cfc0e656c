// What the client goes by. These functions know no clock, disk or network: they make of what is known, and of what has
// happened at a moment, what is known then. Random numbers are from 0 to 1.

import type { Answer } from "./answer.js";
import { ClockError, OfflineError, Refusal, UnlicensedError } from "./errors.js";
import { License } from "./license.js";
import type { State, Status } from "./licensing.js";
import { withKid, type PublicKey } from "./publickeys.js";
import { emptyRecord, type StoredRecord } from "./record.js";
import { dateOf, day, hour, minute, second } from "./times.js";
import { fits, readToken, trimToken, UnknownKeyError, type Grant } from "./token.js";

/** What the client goes by while it has one license key. */
export interface Rules {
  /** Clean; empty for none. */
  readonly key: string;
  /** The keyHash of it. */
  readonly keyHash: string;
  readonly licenseID: string;
  readonly fingerprint: string;
  readonly service: string;
  /** 0 for a version that does not say. */
  readonly released: number;
  /** Those that the product brings. */
  readonly trusted: readonly PublicKey[];
  /** Keys may be fetched. */
  readonly firstUse: boolean;
  readonly refresh: number;
  /** 0 for no limit but the token's. */
  readonly offline: number;
  readonly skew: number;
}

/** What is known of the license. */
export interface Knowledge {
  /** What restarts keep. */
  readonly record: StoredRecord;
  /** Of the record's token. */
  readonly grant: Grant | undefined;
  /** The latest time ever seen. */
  readonly mark: number;
  /** When the service is asked next; 0 for never. */
  readonly due: number;
  /** Attempts since the last answer about the license. */
  readonly failures: number;
  /** Of the last attempt. */
  readonly error: Error | undefined;
  /** When the keys were asked for last. */
  readonly fetched: number;
}

const maxClockBack = day;
const keysPause = minute; // between two requests for keys
const minPause = 2 * second;
export const maxPause = 6 * hour;
export const minRefresh = minute; // halves of a remaining life would become ever shorter
const refusedPause = hour; // after a refusal, which the vendor may take back, or the customer's renewal ends

/** Returns those that tokens are checked with. The fetched ones count only where the product says so. */
export function keysOf(rules: Rules, record: StoredRecord): readonly PublicKey[] {
  return rules.firstUse ? [...rules.trusted, ...record.keys] : rules.trusted;
}

/** Returns what the token of a stored record says, or undefined where it has none, or is of another license key. */
export async function readRecord(rules: Rules, stored: StoredRecord): Promise<Grant | Error | undefined> {
  const isOurs = stored.key === rules.keyHash && stored.token !== "";
  return isOurs ? readToken(rules, stored.token, keysOf(rules, stored)) : undefined;
}

/**
 * Returns what a stored record is worth at a start. What cannot be used is as if it were not there.
 *
 * @param read what readRecord made of the record
 */
export function started(
  rules: Rules,
  stored: StoredRecord,
  read: Grant | Error | undefined,
  mark: number,
  now: number,
  random: number,
): Knowledge {
  const isUnreadable = read instanceof Error;
  const grant = isUnreadable ? undefined : read;
  let record = stored.key === rules.keyHash ? stored : emptyRecord(rules.keyHash);
  if (isUnreadable) {
    record = { ...record, token: "", checked: 0 };
  }
  const error = isUnreadable ? new Error(`the stored token: ${read.message}`, { cause: read }) : undefined;
  const isFresh = grant !== undefined && fits(grant, now, rules.skew) === undefined && record.checked <= now;
  const due = rules.key === "" ? 0 : isFresh ? refreshAt(rules, grant, record.checked, random) : now;
  return seen(rules, { record, grant, mark, due, failures: 0, error, fetched: 0 }, now);
}

/**
 * Returns what is known with a newer record of another process, or undefined for one that is of no use to this one: its
 * token is for another device, say. After a give-back nobody is asked by itself.
 *
 * @param read what readRecord made of the record
 */
export function adopted(
  rules: Rules,
  before: Knowledge,
  stored: StoredRecord,
  read: Grant | Error | undefined,
  now: number,
  random: number,
): Knowledge | undefined {
  if (read instanceof Error) {
    return undefined;
  }
  const known = started(rules, stored, read, before.mark, now, random);
  const isGivenBack = stored.token === "" && stored.refused === "";
  return { ...known, fetched: before.fetched, due: isGivenBack ? 0 : known.due };
}

/** Moves the mark to a later time. Where the next attempt lies further ahead than any can, the clock was set back. */
export function seen(rules: Rules, known: Knowledge, now: number): Knowledge {
  const longest = 1.1 * Math.max(rules.refresh, maxPause);
  const due = known.due > now + longest ? now : known.due;
  return { ...known, mark: Math.max(known.mark, now), due };
}

/**
 * Returns what is known after an answer to what was asked at a time. It returns undefined where the keys are to be
 * fetched first.
 *
 * @param read what readToken made of the answer's token
 */
export function answered(
  rules: Rules,
  before: Knowledge,
  answer: Answer,
  read: Grant | Error | undefined,
  asked: number,
  now: number,
  random: number,
): Knowledge | undefined {
  const known = seen(rules, before, now);
  if (answer.refused !== undefined) {
    const { key, keys } = known.record;
    const record = { ...emptyRecord(key), asked, checked: now, refused: answer.refused, keys };
    const due = now + jitter(Math.min(rules.refresh, refusedPause), random);
    return { ...known, record, grant: undefined, error: undefined, failures: 0, due };
  }
  if (answer.token === undefined || read === undefined) {
    return failed(known, answer, answer.error ?? new Error("no answer"), now, random);
  }
  if (read instanceof UnknownKeyError && mayFetch(rules, known, now)) {
    return undefined;
  }
  const problem = read instanceof Error ? read : fits(read, now, rules.skew);
  if (read instanceof Error || problem !== undefined) {
    return failed(known, answer, problem ?? new Error("no answer"), now, random);
  }
  const next = granted(rules, known, answer.token, read, asked, now, random);
  const isDated = answer.date !== 0 && fits(read, answer.date, rules.skew) === undefined;
  return isDated ? seen(rules, { ...next, mark: answer.date }, now) : next;
}

/** Returns what is known with a new token. */
function granted(
  rules: Rules,
  known: Knowledge,
  token: string,
  grant: Grant,
  asked: number,
  now: number,
  random: number,
): Knowledge {
  const { key, keys } = known.record;
  const record = { ...emptyRecord(key), asked, checked: now, token: trimToken(token), keys };
  return { ...known, record, grant, error: undefined, failures: 0, due: refreshAt(rules, grant, now, random) };
}

/** Returns what is known after an attempt that says nothing about the license. */
function failed(known: Knowledge, answer: Answer, error: Error, now: number, random: number): Knowledge {
  const failures = known.failures + 1;
  const asTold = answer.retryAfter * (1 + random / 10);
  return { ...known, error, failures, due: now + Math.floor(Math.max(backOff(failures, random), asTold)) };
}

/** Returns a random pause between two seconds and what doubles with each failure, up to six hours. */
function backOff(failures: number, random: number): number {
  const longest = Math.min(minPause * 2 ** failures, maxPause);
  return minPause + random * (longest - minPause);
}

/** Returns when the service is asked after an answer: at half of the token's remaining life at the latest. */
function refreshAt(rules: Rules, grant: Grant, answeredAt: number, random: number): number {
  const half = Math.max((grant.expires - answeredAt) / 2, minRefresh);
  return answeredAt + Math.floor(Math.min(jitter(rules.refresh, random), half));
}

/** Returns a time, give or take a tenth, so that not all products ask at once. */
function jitter(time: number, random: number): number {
  return Math.floor(time - time / 10 + (random * time) / 5);
}

/**
 * Reports whether the keys may be fetched: not within a minute of the last time. A clock that was set back ends the
 * wait.
 */
function mayFetch(rules: Rules, known: Knowledge, now: number): boolean {
  const since = now - known.fetched;
  return rules.firstUse && (since >= keysPause || since < 0);
}

/** Returns what is known with a key set that the service has sent. The key of the token that is kept stays with it. */
export function keysFetched(known: Knowledge, keys: readonly PublicKey[], now: number): Knowledge {
  const kept = known.grant?.kid;
  const isGone = kept !== undefined && withKid(keys, kept).length === 0;
  const all = isGone ? [...keys, ...withKid(known.record.keys, kept)] : keys;
  return { ...known, fetched: now, record: { ...known.record, keys: all } };
}

/** Returns what is known, as the product sees it at a moment. */
export function stateOf(rules: Rules, known: Knowledge, now: number): State {
  const { record, grant } = known;
  const until = grant === undefined ? 0 : usableUntil(rules, record, grant);
  const [status, reason] = verdict(rules, known, until, now);
  return Object.freeze({
    status,
    reason,
    license: grant && new License(grant.license),
    checkedAt: dateOf(record.checked),
    usableUntil: grant && new Date(until),
    retryAt: dateOf(known.due),
    error: known.error,
  });
}

/** The order of the tests is that of clients/vectors/README.md. */
function verdict(rules: Rules, known: Knowledge, until: number, now: number): [Status, State["reason"]] {
  const { record, grant } = known;
  if (record.refused !== "") {
    return ["Refused", record.refused];
  }
  if (grant === undefined) {
    return ["Unknown", undefined];
  }
  const reason = uncovered(rules, grant.license);
  if (reason !== undefined) {
    return ["Refused", reason];
  }
  if (now < known.mark - maxClockBack || grant.from > now + rules.skew) {
    return ["ClockBack", undefined];
  }
  if (now >= until) {
    return ["OfflineTooLong", undefined];
  }
  if (now >= grant.license.expires.getTime()) {
    return ["Grace", undefined];
  }
  return [known.failures > 0 ? "Offline" : "Active", undefined];
}

/** Returns why a license does not cover this product. */
function uncovered(rules: Rules, license: License): State["reason"] {
  if (rules.service !== "" && !license.allows(rules.service)) {
    return "SERVICE_NOT_LICENSED";
  }
  const hasEnded = license.updatesUntil !== undefined && rules.released > license.updatesUntil.getTime();
  return hasEnded ? "UPDATES_ENDED" : undefined;
}

function usableUntil(rules: Rules, record: StoredRecord, grant: Grant): number {
  return rules.offline > 0 ? Math.min(grant.expires, record.checked + rules.offline) : grant.expires;
}

/** Returns why the product may not run in a state, or undefined. */
export function problemOf(state: State): Error | undefined {
  switch (state.status) {
    case "Active":
    case "Grace":
    case "Offline":
      return undefined;
    case "Refused":
      return new Refusal(state.reason ?? "");
    case "ClockBack":
      return new ClockError(state.error);
    case "OfflineTooLong":
      return new OfflineError(state.error);
    case "Unknown":
      return new UnlicensedError(state.error);
  }
}

/**
 * Returns what is known with the token of a license file, or why it is of no use.
 *
 * @param read what readToken made of the token
 */
export function imported(
  rules: Rules,
  before: Knowledge,
  token: string,
  read: Grant | Error,
  now: number,
  random: number,
): Knowledge | Error {
  const known = seen(rules, before, now);
  if (read instanceof Error) {
    return read;
  }
  const problem = fits(read, now, rules.skew);
  if (problem !== undefined) {
    return problem;
  }
  if (known.record.refused !== "" && read.issued <= known.record.checked) {
    return new Refusal(known.record.refused);
  }
  return granted(rules, known, token, read, now, now, random);
}

/**
 * Returns what is known once the seat is given back: there is no token, and nobody is asked by itself. A definite no
 * stays, so that an older license file is still refused.
 */
export function forgotten(known: Knowledge, asked: number): Knowledge {
  if (known.record.refused !== "") {
    return { ...known, error: undefined, failures: 0, due: 0 };
  }
  const record = { ...emptyRecord(known.record.key), asked, keys: known.record.keys };
  return { ...known, record, grant: undefined, error: undefined, failures: 0, due: 0 };
}

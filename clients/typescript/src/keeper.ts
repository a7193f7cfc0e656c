import { noAnswer, readAnswer, type Answer } from "./answer.js";
import { Changes } from "./changes.js";
import { withKey } from "./config.js";
import * as core from "./core.js";
import { Documents } from "./documents.js";
import { errorFrom } from "./errors.js";
import type { Config, Log, State } from "./licensing.js";
import { guarded } from "./log.js";
import { readKeySet } from "./publickeys.js";
import { emptyRecord, isBehind, isNewer, writeRecord } from "./record.js";
import type { Service } from "./service.js";
import { hour, minute } from "./times.js";
import { readToken } from "./token.js";
import { Turn } from "./turn.js";

/** What tests put another one in place of. */
export interface Environment {
  now(): number;
  /** From 0 to 1. */
  random(): number;
  /** Calls after a pause in milliseconds, and returns how to prevent that. */
  later(pause: number, then: () => Promise<void>): () => void;
}

/**
 * How often the store is read for what other processes were told, and the clock is looked at. Timers stand still while
 * a computer sleeps, so no pause is longer.
 */
export const lookAround = 15 * minute;

const closedError = new Error("the client is closed");
const otherKeyError = new Error("there is another license key meanwhile");
const needsKeysError = new Error("the keys have to be fetched");

/**
 * Keeps what is known up to date until it is closed: it asks, adopts what other processes were told, and saves. Whoever
 * asks the service or writes to the store has the turn. What is known changes between two awaits only.
 */
export class Keeper {
  readonly service: Service;
  readonly #deviceName: string;
  readonly #documents: Documents;
  readonly #log: Log;
  readonly #environment: Environment;
  readonly #turn = new Turn();
  readonly #background = new AbortController();
  readonly #readers = new Set<Changes>();
  #rules: core.Rules;
  #known: core.Knowledge;
  #shown: State; // the last one that readers got
  #keyChanges = 0;
  #cancelTimer = () => {};
  #closing: Promise<void> | undefined;

  constructor(config: Config, rules: core.Rules, service: Service, environment: Environment) {
    this.#deviceName = config.deviceName ?? "";
    this.#log = guarded(config.log);
    this.#documents = new Documents(config.store, this.#log);
    this.service = service;
    this.#environment = environment;
    this.#rules = rules;
    this.#known = core.started(rules, emptyRecord(rules.keyHash), undefined, 0, this.now(), 0);
    this.#shown = this.state();
  }

  get rules(): core.Rules {
    return this.#rules;
  }

  now(): number {
    return this.#environment.now();
  }

  /** Returns the signals that end a request. */
  signals(signal: AbortSignal | undefined): AbortSignal[] {
    return signal === undefined ? [this.#background.signal] : [this.#background.signal, signal];
  }

  /** Knows what the store holds. */
  async start(): Promise<void> {
    const mark = await this.#documents.loadMark();
    const stored = (await this.#documents.loadRecord()) ?? emptyRecord("");
    const read = await core.readRecord(this.#rules, stored);
    this.#known = core.started(this.#rules, stored, read, mark, this.now(), this.#environment.random());
    this.#shown = this.state();
  }

  state(): State {
    const now = this.now();
    this.#known = core.seen(this.#rules, this.#known, now);
    return core.stateOf(this.#rules, this.#known, now);
  }

  changes(): Changes {
    const reader = new Changes((self) => this.#readers.delete(self));
    if (this.#closing === undefined) {
      this.#readers.add(reader);
    } else {
      reader.end();
    }
    return reader;
  }

  /** Works while nobody else does. It rejects where the client is closed, or the signal is aborted before that. */
  async inTurn<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const give = await this.#turn.take(...this.signals(signal));
    try {
      if (this.#background.signal.aborted) {
        throw closedError;
      }
      return await work();
    } finally {
      give();
      this.schedule();
    }
  }

  async refresh(signal?: AbortSignal): Promise<State> {
    await this.inTurn(() => this.#ask(signal), signal).catch((problem: unknown) => this.#report(problem));
    return this.state();
  }

  /** Goes by another license key. Of several calls at once the last one counts. The same key is asked for again. */
  async setKey(pasted: string, signal?: AbortSignal): Promise<State> {
    const change = ++this.#keyChanges;
    const rules = await withKey(this.#rules, pasted);
    const stored = (await this.#documents.loadRecord()) ?? emptyRecord("");
    const read = await core.readRecord(rules, stored);
    if (change === this.#keyChanges && rules.key !== this.#rules.key) {
      const before = this.#known;
      this.#rules = rules;
      const known = core.started(rules, stored, read, before.mark, this.now(), this.#environment.random());
      const hasKeys = known.record.keys.length > 0; // else those before: they are the service's, not the license's
      this.#known = hasKeys ? known : { ...known, record: { ...known.record, keys: before.record.keys } };
      this.publish();
      this.schedule();
    }
    return rules.key === "" ? this.state() : this.refresh(signal);
  }

  /** Takes over the token of a license file. The caller has the turn. It rejects for a token that is of no use. */
  async import(token: string): Promise<void> {
    const rules = this.#rules;
    const read = await readToken(rules, token, core.keysOf(rules, this.#known.record));
    if (rules.key !== this.#rules.key) {
      throw otherKeyError;
    }
    const known = core.imported(this.#rules, this.#known, token, read, this.now(), this.#environment.random());
    if (known instanceof Error) {
      throw known;
    }
    this.#known = known;
    await this.#save(rules);
    this.publish();
  }

  /** Deletes the token. Other processes of the product read that, and ask anew. The caller has the turn. */
  async forget(asker: core.Rules, asked: number): Promise<void> {
    if (asker.key === this.#rules.key) {
      this.#known = core.forgotten(this.#known, asked);
    }
    await this.#save(asker);
    this.publish();
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.#background.abort(closedError);
    this.#cancelTimer();
    await this.#turn.take(); // waits for whoever asks, and is never given back
    await this.#documents.saveMark(this.#known.mark, 0);
    this.#readers.forEach((reader) => reader.end());
    this.#readers.clear();
  }

  /** Sets the timer to when something changes by itself. */
  schedule(): void {
    this.#cancelTimer();
    if (this.#background.signal.aborted) {
      return;
    }
    this.#cancelTimer = this.#environment.later(this.#pause(), () =>
      this.inTurn(() => this.#tick()).catch((problem: unknown) => this.#report(problem)),
    );
  }

  #pause(): number {
    const { retryAt, usableUntil, license } = this.state();
    const now = this.now();
    const until = [retryAt, usableUntil, license?.expires].map((date) => (date?.getTime() ?? 0) - now);
    const isDue = retryAt !== undefined && retryAt.getTime() <= now;
    return isDue ? 0 : Math.min(lookAround, ...until.filter((pause) => pause > 0));
  }

  /** Asks when it is time to, unless another process of the product has. */
  async #tick(): Promise<void> {
    const rules = this.#rules;
    if ((await this.#adopt()) === "older") {
      await this.#write(rules); // a save failed, or another process has stored an older answer since
    }
    const { retryAt } = this.state();
    if (retryAt !== undefined && retryAt.getTime() <= this.now()) {
      await this.#ask();
    }
    this.publish();
    await this.#documents.saveMark(this.#known.mark, hour);
  }

  #report(problem: unknown): void {
    if (!this.#background.signal.aborted) {
      this.#log.warn("the license service was not asked", problem);
    }
  }

  /** Asks the service and saves what it says. The caller has the turn. */
  async #ask(signal?: AbortSignal): Promise<void> {
    const rules = this.#rules;
    if (rules.key === "") {
      return;
    }
    const asked = this.now();
    let answer = await this.#verify(rules, signal);
    let problem = await this.#settle(rules, answer, asked);
    if (problem === needsKeysError) {
      const failure = await this.#fetchKeys(rules, signal);
      answer = failure === undefined ? answer : noAnswer(failure, answer.retryAfter);
      problem = await this.#settle(rules, answer, asked);
    }
    if (problem === undefined) {
      await this.#save(rules);
    } else if (problem !== closedError) {
      this.#log.warn("the license service gave no answer", problem);
    }
    this.publish();
  }

  async #verify(rules: core.Rules, signal: AbortSignal | undefined): Promise<Answer> {
    const question = {
      licensekey: rules.key,
      fingerprint: rules.fingerprint || undefined,
      devicename: this.#deviceName || undefined,
    };
    try {
      return readAnswer(await this.service.post("/verify-license", question, this.signals(signal)), this.now());
    } catch (problem) {
      return noAnswer(errorFrom(problem));
    }
  }

  /** Knows an answer, unless there is another license key meanwhile. It returns why the answer is none. */
  async #settle(asker: core.Rules, answer: Answer, asked: number): Promise<Error | undefined> {
    const { token } = answer;
    const keys = core.keysOf(asker, this.#known.record);
    const read = token === undefined ? undefined : await readToken(asker, token, keys);
    if (this.#background.signal.aborted) {
      return closedError;
    }
    if (asker.key !== this.#rules.key) {
      return otherKeyError;
    }
    const random = this.#environment.random();
    const known = core.answered(this.#rules, this.#known, answer, read, asked, this.now(), random);
    this.#known = known ?? this.#known;
    return known === undefined ? needsKeysError : known.error;
  }

  /** Returns why no keys were fetched. */
  async #fetchKeys(asker: core.Rules, signal: AbortSignal | undefined): Promise<Error | undefined> {
    try {
      const keys = await readKeySet(await this.service.keySet(this.signals(signal)));
      if (asker.key === this.#rules.key) {
        this.#known = core.keysFetched(this.#known, keys, this.now());
      }
      return undefined;
    } catch (thrown) {
      this.#known = { ...this.#known, fetched: this.now() };
      const problem = errorFrom(thrown);
      return new Error(`the public keys: ${problem.message}`, { cause: problem });
    }
  }

  /**
   * Takes over what another process was told, if that is newer and of use to this one. It returns how what is stored
   * compares with what is known.
   */
  async #adopt(): Promise<"newer" | "older" | "other"> {
    const stored = await this.#documents.loadRecord();
    const rules = this.#rules;
    const { record } = this.#known;
    if (stored === undefined) {
      return "other";
    }
    if (!isNewer(stored, record, this.now())) {
      return isBehind(stored, record) ? "older" : "other";
    }
    const read = await core.readRecord(rules, stored);
    if (rules.key === this.#rules.key) {
      const random = this.#environment.random();
      this.#known = core.adopted(rules, this.#known, stored, read, this.now(), random) ?? this.#known;
    }
    return "newer";
  }

  /**
   * Stores what is known, unless another process has stored what is newer: that is known then, if it is of use. A crash
   * before the end of it leaves the older state, with which the service is asked again. A definite no that cannot be
   * stored holds for this process only, until it can be: each look at the store tries again.
   */
  async #save(asker: core.Rules): Promise<void> {
    if ((await this.#adopt()) !== "newer") {
      await this.#write(asker);
    }
  }

  async #write(asker: core.Rules): Promise<void> {
    const document = await writeRecord(this.#known.record);
    if (asker.key !== this.#rules.key) {
      return;
    }
    await this.#documents.saveRecord(document);
    await this.#documents.saveMark(this.#known.mark, 0);
  }

  /** Tells of a state that is another one than the last. */
  publish(): void {
    const state = this.state();
    if (differs(state, this.#shown)) {
      this.#shown = state;
      this.#readers.forEach((reader) => reader.put(state));
    }
  }
}

function differs(a: State, b: State): boolean {
  return (
    a.status !== b.status ||
    a.reason !== b.reason ||
    a.checkedAt?.getTime() !== b.checkedAt?.getTime() ||
    a.usableUntil?.getTime() !== b.usableUntil?.getTime() ||
    (a.error === undefined) !== (b.error === undefined)
  );
}

// Runs all of clients/vectors, whose README.md says what their members are.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { noAnswer, readAnswer, type Answer } from "../dist/answer.js";
import { rulesOf } from "../dist/config.js";
import * as core from "../dist/core.js";
import { ServerError } from "../dist/errors.js";
import { License } from "../dist/license.js";
import { memory } from "../dist/store.js";
import { readKeySet } from "../dist/publickeys.js";
import { emptyRecord, readMark, readStored, writeMark, writeRecord } from "../dist/record.js";
import { readToken } from "../dist/token.js";

type Members = Record<string, unknown>;

/** Reads a file, or an object of it. A member that is not named would go untested, so it fails the test. */
function membersOf(value: unknown, ...names: string[]): Members {
  assert.ok(typeof value === "object" && value !== null);
  assert.deepEqual(Object.keys(value).filter((name) => !names.includes(name)), [], "members that nobody tests");
  return value as Members;
}

function readVectors(name: string, ...names: string[]): Members & { cases: unknown[] } {
  const file = readFileSync(new URL(`../../vectors/${name}`, import.meta.url), "utf8");
  const vectors = membersOf(JSON.parse(file), "cases", ...names);
  assert.ok(Array.isArray(vectors["cases"]) && vectors["cases"].length > 0);
  return vectors as Members & { cases: unknown[] };
}

function timeOf(value: unknown): number {
  return value === undefined || value === null ? 0 : Date.parse(String(value));
}

function textOf(value: unknown): string {
  return value === undefined ? "" : String(value);
}

async function rulesFor(asker: unknown, keys: unknown, more: object = {}): Promise<core.Rules> {
  const { licensekey, fingerprint, service, released } = membersOf(
    asker,
    "licensekey",
    "fingerprint",
    "service",
    "released",
  );
  const { rules } = await rulesOf({
    url: "https://licenses.example.com",
    key: textOf(licensekey),
    trusted: keys as object,
    service: textOf(service),
    released: released ? new Date(String(released)) : undefined,
    fingerprint: textOf(fingerprint),
    store: memory(),
    ...more,
  });
  return rules;
}

function answerOf(response: unknown, now: number): Answer {
  const { status, headers, body } = membersOf(response, "status", "headers", "body");
  const received = { status: Number(status), headers: new Headers(headers as HeadersInit), body: textOf(body) };
  return readAnswer(received, now);
}

/** What is known after an answer, or undefined where the keys are to be fetched first. */
async function answered(rules: core.Rules, known: core.Knowledge, answer: Answer, now: number, random = 0.5) {
  const keys = core.keysOf(rules, known.record);
  const read = answer.token === undefined ? undefined : await readToken(rules, answer.token, keys);
  return core.answered(rules, known, answer, read, now, now, random);
}

function startedNew(rules: core.Rules, now: number): core.Knowledge {
  return core.started(rules, emptyRecord(""), undefined, 0, now, 0.5);
}

describe("tokens.json", () => {
  const file = readVectors("tokens.json", "keys", "skewseconds");
  for (const each of file.cases) {
    const one = membersOf(each, "name", "asker", "now", "token", "good", "status", "reason");
    test(textOf(one["name"]), async () => {
      const rules = await rulesFor(one["asker"], file["keys"]);
      assert.equal(rules.skew, Number(file["skewseconds"]) * 1000);
      const now = timeOf(one["now"]);
      const answer = { token: textOf(one["token"]), retryAfter: 0, date: 0 };
      const known = await answered(rules, startedNew(rules, now), answer, now);
      assert.ok(known !== undefined);
      const state = core.stateOf(rules, known, now);
      assert.deepEqual(
        { good: known.record.token !== "", status: state.status, reason: textOf(state.reason) },
        { good: one["good"], status: one["status"], reason: textOf(one["reason"]) },
        state.error?.message,
      );
    });
  }
});

describe("responses.json", () => {
  const file = readVectors("responses.json", "keys", "asker", "now", "stored");
  const names = ["name", "response", "leads", "code", "token", "status", "notbefore", "notafter"];
  for (const each of file.cases) {
    const one = membersOf(each, ...names);
    test(textOf(one["name"]), async () => {
      const rules = await rulesFor(file["asker"], file["keys"]);
      const now = timeOf(file["now"]);
      const stored = textOf(file["stored"]);
      for (const random of [0, 0.5, 1]) {
        const record = { ...emptyRecord(rules.keyHash), checked: now - 24 * 3600 * 1000, token: stored };
        const read = await core.readRecord(rules, record);
        const before = core.started(rules, record, read, 0, now, random);
        const known = await answered(rules, before, answerOf(one["response"], now), now, random);
        assert.ok(known !== undefined);
        const state = core.stateOf(rules, known, now);
        const { error, reason } = state;
        assert.deepEqual(
          {
            leads: reason !== undefined ? "refused" : error === undefined ? "granted" : "nothing",
            code: reason ?? (error instanceof ServerError ? error.code : ""),
            token: known.record.token === "" ? "none" : known.record.token === stored ? "old" : "new",
            status: state.status,
          },
          { leads: one["leads"], code: one["code"], token: one["token"], status: one["status"] },
          error?.message,
        );
        const pause = (timeOf(state.retryAt?.toISOString()) - now) / 1000;
        assert.ok(pause >= Number(one["notbefore"]) && pause <= Number(one["notafter"]), `asks again in ${pause} s`);
      }
    });
  }
});

describe("hosts.json", () => {
  for (const each of readVectors("hosts.json").cases) {
    const one = membersOf(each, "name", "url", "sent", "issued", "allowed", "refused"); // two are of the service
    test(textOf(one["name"]), () => {
      const license = new License({ appURLs: ["https://before.example", textOf(one["url"])] });
      const hosts = (name: string) => (one[name] ?? []) as string[];
      assert.ok(hosts("allowed").length + hosts("refused").length > 0);
      assert.deepEqual(hosts("allowed").filter((host) => !license.allowsHost(host)), [], "refused");
      assert.deepEqual(hosts("refused").filter((host) => license.allowsHost(host)), [], "allowed");
    });
  }
});

describe("states.json", () => {
  const file = readVectors("states.json", "keys", "asker", "now");
  for (const each of file.cases) {
    const one = membersOf(each, "name", "document", "clock", "padbytes", "status", "reason", "asksfirst");
    test(textOf(one["name"]), async () => {
      const rules = await rulesFor(file["asker"], file["keys"]);
      const now = timeOf(file["now"]);
      const document = textOf(one["document"]) + " ".repeat(Number(one["padbytes"] ?? 0));
      const stored = (await readStored(document)) ?? emptyRecord("");
      const read = await core.readRecord(rules, stored);
      const known = core.started(rules, stored, read, await readMark(textOf(one["clock"])), now, 0.5);
      const state = core.stateOf(rules, known, now);
      assert.deepEqual([state.status, textOf(state.reason)], [one["status"], textOf(one["reason"])]);
      assert.equal(timeOf(state.retryAt?.toISOString()) <= now, one["asksfirst"], `asks at ${state.retryAt}`);
    });
  }
});

/** A product without clock, disk and network. */
class Player {
  #known: core.Knowledge;
  #document = "";
  #clock = "";

  constructor(readonly rules: core.Rules) {
    this.#known = startedNew(rules, 0);
  }

  async play(each: unknown): Promise<void> {
    const step = membersOf(each, "at", "event", "response", "keyset", "want");
    const at = timeOf(step["at"]);
    const isFetched = await this.#happen(step, at);
    this.#document = await writeRecord(this.#known.record);
    this.#clock = await writeMark(this.#known.mark);
    const want = membersOf(
      step["want"],
      "status",
      "reason",
      "checkedat",
      "usableuntil",
      "retryat",
      "keysfetched",
    );
    const state = core.stateOf(this.rules, this.#known, at);
    assert.deepEqual(
      {
        status: state.status,
        reason: textOf(state.reason),
        checkedat: state.checkedAt?.getTime() ?? 0,
        usableuntil: state.usableUntil?.getTime() ?? 0,
        retryat: state.retryAt?.getTime() ?? 0,
        keysfetched: isFetched,
      },
      {
        status: want["status"],
        reason: textOf(want["reason"]),
        checkedat: timeOf(want["checkedat"]),
        usableuntil: timeOf(want["usableuntil"]),
        retryat: timeOf(want["retryat"]),
        keysfetched: want["keysfetched"],
      },
      state.error?.message,
    );
  }

  /** Reports whether the keys were fetched. */
  async #happen(step: Members, at: number): Promise<boolean> {
    const { rules } = this;
    switch (step["event"]) {
      case "start": {
        const stored = (await readStored(this.#document)) ?? emptyRecord("");
        const read = await core.readRecord(rules, stored);
        this.#known = core.started(rules, stored, read, await readMark(this.#clock), at, 0.5);
        return false;
      }
      case "look":
        this.#known = core.seen(rules, this.#known, at);
        return false;
      case "fail":
        this.#known = (await answered(rules, this.#known, noAnswer(new Error("no network")), at)) ?? assert.fail();
        return false;
      case "answer":
        return this.#answer(step, at);
    }
    return assert.fail(`there is no event ${step["event"]}`);
  }

  async #answer(step: Members, at: number): Promise<boolean> {
    let answer = answerOf(step["response"], at);
    const known = await answered(this.rules, this.#known, answer, at);
    if (known !== undefined) {
      this.#known = known;
      return false;
    }
    try {
      this.#known = core.keysFetched(this.#known, await readKeySet(textOf(step["keyset"])), at);
    } catch (problem) {
      this.#known = { ...this.#known, fetched: at };
      answer = noAnswer(problem as Error);
    }
    this.#known = (await answered(this.rules, this.#known, answer, at)) ?? assert.fail("the keys are asked for twice");
    return true;
  }
}

for (const name of ["clocks.json", "keysets.json"]) {
  describe(name, () => {
    for (const each of readVectors(name).cases) {
      const one = membersOf(each, "name", "asker", "trusted", "trustonfirstuse", "offlineseconds", "steps");
      test(textOf(one["name"]), async () => {
        const isFirstUse = one["trustonfirstuse"] === true;
        const rules = await rulesFor(one["asker"], isFirstUse ? undefined : one["trusted"], {
          trustOnFirstUse: isFirstUse,
          offline: Number(one["offlineseconds"]) * 1000,
        });
        const player = new Player(rules);
        const steps = one["steps"] as unknown[];
        assert.ok(steps.length > 0);
        for (const step of steps) {
          await player.play(step);
        }
      });
    }
  });
}

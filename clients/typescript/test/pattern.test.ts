// Regular expressions of hosts.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isFound } from "../dist/pattern.js";
import { License } from "open-licenser";

/** Draws from a seed, so that what fails fails again. */
class Dice {
  constructor(private seed: number) {}

  below(most: number): number {
    this.seed = (Math.imul(this.seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.seed / 2 ** 32) * most);
  }

  one(of: readonly string[]): string {
    return of[this.below(of.length)] ?? "";
  }

  some(least: number, most: number, draw: () => string): string {
    return Array.from({ length: least + this.below(most - least + 1) }, draw).join("");
  }
}

const characters = ["a", "b", "c", "A", "1", "9", "_", "-", ".", "ü", "]", "}", "&", "^"];
const literals = ["a", "b", "1", "-", "_", "ü", "/", "]", "}", "&"];
const escapes = ["\\.", "\\-", "\\/", "\\_", "\\\\", "\\[", "\\]", "\\^", "\\$", "\\{"];
const members = ["a", "b", "a-c", "0-9", "A-Z", "\\d", "\\w", ".", "\\.", "\\-", "\\]-\\^", "$", "^", "\\w-.", "a-c-1"];
const counts = ["?", "*", "+", "{0}", "{2}", "{1,}", "{0,1}", "{1,3}", "{0,0}"];

function drawn(dice: Dice, depth: number): string {
  const part = (): string => {
    const atoms = [
      () => dice.one(literals),
      () => dice.one(escapes),
      () => dice.one([".", "\\d", "\\w", "\\D", "\\W"]),
      () => `[${dice.one(["", "^", "-", "^-"])}a${dice.some(0, 3, () => dice.one(members))}${dice.one(["", "-"])}]`,
      () => (depth === 0 ? "a" : `(${dice.one(["", "?:"])}${drawn(dice, depth - 1)})`),
    ];
    const atom = atoms[dice.below(atoms.length)]?.() ?? "";
    const repeat = dice.below(3) === 0 ? dice.one(counts) + dice.one(["", "?"]) : "";
    return dice.below(12) === 0 ? dice.one(["^", "$"]) : atom + repeat;
  };
  const branches = Array.from({ length: 1 + dice.below(3) }, () => dice.some(0, 3, part));
  return branches.join("|");
}

test("a random pattern of the syntax is what RegExp makes of it", () => {
  const dice = new Dice(1);
  let found = 0;
  for (let i = 0; i < 20_000; i++) {
    const pattern = dice.one(["", "^"]) + drawn(dice, 2) + dice.one(["", "$"]);
    const regExp = new RegExp(pattern);
    for (let j = 0; j < 5; j++) {
      const text = dice.some(0, 7, () => dice.one(characters));
      assert.equal(isFound(pattern, text), regExp.test(text), `${pattern} in ${text}`);
      found += Number(regExp.test(text));
    }
  }
  assert.ok(found > 20_000 && found < 80_000, `${found} found of 100000`);
});

test("the patterns of hosts.json are what RegExp makes of them", () => {
  const file = readFileSync(new URL("../../vectors/hosts.json", import.meta.url), "utf8");
  type Case = { url: string; issued: boolean; allowed?: string[]; refused?: string[] };
  const { cases } = JSON.parse(file) as { cases: Case[] };
  const hosts = cases.flatMap(({ allowed, refused }) => [...(allowed ?? []), ...(refused ?? [])]);
  const patterns = cases.filter(({ url, issued }) => issued && url.startsWith("re:")).map(({ url }) => url.slice(3));
  assert.ok(patterns.length >= 4 && hosts.length > 40);
  for (const pattern of patterns) {
    for (const host of hosts.filter((one) => !/[\r\n\u2028\u2029]/.test(one))) {
      assert.equal(isFound(pattern, host), new RegExp(pattern).test(host), `${pattern} in ${host}`);
    }
  }
});

const classes = ["[", "[]", "[^]", "[]a]", "[a", "[[a]]", "[[:alpha:]]", "[a&&b]", "[b-a]", "[a-\\d]", "[\\d-a-z]"];
const groups = ["(", ")", "(a", "a)", "(?=a)", "(?!b)", "(?<=a)", "(?<n>a)", "(?P<n>a)", "(?i)a", "(?i:a)", "(?>a)"];
const repeats = ["*", "+a", "a**", "a*+", "a{2}{3}", "a++", "a???", "(*a)", "|*", "^*a", "$?", "(?:^)**"];
const counted = ["{", "a{", "a{}", "a{,2}", "a{01}", "a{2,1}", "a{1001}", "a{1,1001}", "(a{100}){11}", "a{1"];
const letters = ["\\z", "\\Aa", "\\ba", "\\x61", "\\u0061", "\\pL", "\\n", "(a)\\1", "\\Qa\\E", "[\\D]", "[\\b]"];
const escaped = [...letters, "\\", "\\ ", "\\ü"];
for (const pattern of [...classes, ...groups, ...repeats, ...counted, ...escaped]) {
  test(`nothing has what engines read differently: ${pattern}`, () => {
    for (const text of ["a", "aa", "z", "az", "b", "", pattern]) {
      assert.equal(isFound(`a|z|b||${pattern}`, text) || isFound(pattern, text), false, text);
    }
  });
}

test("what RE2 makes of it", () => {
  const found = [["^.$", "😀"], ["^[😀-😂]$", "😁"], ["^a.b$", "a\u2028b"], ["", "a"], ["()", "a"]];
  found.push(["(a{100}){10}|b", "b"], ["a{1000}|b", "b"], ["(a{0}){1000}", "b"]);
  const others = [["^a.b$", "a\nb"], ["^a$", "a\n"], ["^A$", "a"], ["a^b", "ab"], ["^[^a]$", "aa"]];
  for (const [pattern = "", text = ""] of found) {
    assert.ok(isFound(pattern, text), `${pattern} in ${text}`);
  }
  for (const [pattern = "", text = ""] of others) {
    assert.equal(isFound(pattern, text), false, `${pattern} in ${text}`);
  }
});

test("no pattern takes long", () => {
  const host = `${"a".repeat(254)}!`;
  const patterns = ["^([a-z]+)+$", "^(a|a)*$", "^(a*)*b$", "(.*)*(.*)*x", "^(([a-z]{1,63}){1,15})+$"];
  const large = ["(((a?){10}){10}){10}b", `(${"[a-z]".repeat(100)}){1000}`, "a{1000}".repeat(200), "(".repeat(1000)];
  const long = [`[${"a-z".repeat(650)}]{1000}`, "(|||||){1000}".repeat(150), "a".repeat(1 << 18)];
  for (const pattern of [...patterns, ...large, ...long]) {
    const start = performance.now();
    assert.equal(isFound(pattern, host), false, pattern.slice(0, 40));
    const took = performance.now() - start;
    assert.ok(took < 1000, `${pattern.slice(0, 40)} took ${took} ms`);
  }
});

test("a host of more than 255 characters is allowed by nothing", () => {
  const name = (length: number) => `${"a.".repeat(length)}`.slice(0, length);
  const allows = (url: (host: string) => string, length: number) =>
    new License({ appURLs: [url(name(length))] }).allowsHost(`${name(length)}:443`);
  for (const url of [() => "re:^[a.]+$", (host: string) => `https://${host}`]) {
    assert.equal(allows(url, 255), true);
    assert.equal(allows(url, 256), false);
  }
});

// Regular expressions of hosts. The engines of browsers go back and try again, for years with some patterns, and read
// what RE2 reads otherwise. This one takes each character of a host once, and reads only what RE2, Java and JavaScript
// read alike:
//
//	pattern = branch { "|" branch }
//	branch  = { "^" | "$" | atom [ ( "?" | "*" | "+" | "{n}" | "{n,}" | "{n,m}" ) [ "?" ] ] }
//	atom    = literal | "." | "\d" | "\w" | "\D" | "\W" | "\" punctuation | class | ( "(" | "(?:" ) pattern ")"
//	class   = "[" [ "^" ] member { member } "]"
//	member  = "\d" | "\w" | one [ "-" one ]
//	one     = literal | "\" punctuation
//
// A "-" is a literal too where it is first or last in its class, or after a "\d" or "\w" that no range follows.

/** More characters than any that the service issues has. */
const maxPattern = 2048;

/** Groups in groups. */
const maxDepth = 250;

/** That of RE2, those of nested repeats multiplied. */
const maxCount = 1000;

/** Bounds how long a pattern takes. Those that the service issues have a tenth of it. */
const maxStates = 20_000;

type Takes = (character: number) => boolean;

interface State {
  /** What it takes. One without takes nothing. */
  readonly takes?: Takes;
  /** Where it can be passed. One without can be passed everywhere. */
  readonly holds?: (at: number, length: number) => boolean;
  readonly to: number[];
}

interface Part {
  /** Adds states that lead to the next one, and returns the first of them. */
  readonly build: (next: number) => number;
  /** How often the innermost part of it is repeated. */
  readonly count: number;
}

/** Reports whether a pattern is found in a text. One that cannot be read, or takes too long, is found in none. */
export function isFound(pattern: string, text: string): boolean {
  try {
    return new Machine(pattern).finds(Array.from(text, codeOf));
  } catch (problem) {
    if (problem instanceof PatternError) {
      return false;
    }
    throw problem;
  }
}

class PatternError extends Error {}

function codeOf(character: string): number {
  return character.codePointAt(0) ?? 0;
}

const digits: Takes = (c) => c >= 0x30 && c <= 0x39;
const words: Takes = (c) => digits(c) || (c >= 0x41 && c <= 0x5a) || c === 0x5f || (c >= 0x61 && c <= 0x7a);
const inClasses = new Map([["d", digits], ["w", words]]);
const outside = new Map([...inClasses, ["D", (c: number) => !digits(c)], ["W", (c: number) => !words(c)]]);
const isThe = (only: number): Takes => (c) => c === only;
const punctuation = /^[!-/:-@[-`{-~]$/;
const counts = /^\{(0|[1-9]\d{0,3})(,(0|[1-9]\d{0,3})?)?\}/;
const end = 0;

/** A nondeterministic automaton. */
class Machine {
  readonly #states: State[] = [{ to: [] }];
  readonly #first: number;
  readonly #rest: string[];
  #depth = 0;

  constructor(pattern: string) {
    if (pattern.length > maxPattern) {
      throw new PatternError("it is too long");
    }
    this.#rest = Array.from(pattern).reverse(); // so that the next one is the last
    const whole = this.#branches();
    if (this.#next() !== undefined) {
      throw new PatternError("a ) without (");
    }
    this.#first = whole.build(end);
  }

  /** Is in all states at once that the characters so far can lead to. */
  finds(text: readonly number[]): boolean {
    const seen = new Int32Array(this.#states.length).fill(-1);
    let reached: number[] = [];
    for (let at = 0; at <= text.length; at++) {
      const open = [...reached, this.#first]; // a search begins everywhere
      reached = [];
      for (let index = open.pop(); index !== undefined; index = open.pop()) {
        if (index === end) {
          return true;
        }
        const state = this.#states[index];
        if (state === undefined || seen[index] === at) {
          continue;
        }
        seen[index] = at;
        const character = text[at];
        if (state.takes === undefined) {
          open.push(...(state.holds?.(at, text.length) === false ? [] : state.to));
        } else if (character !== undefined && state.takes(character)) {
          reached.push(...state.to);
        }
      }
    }
    return false;
  }

  #next(): string | undefined {
    return this.#rest.at(-1);
  }

  #take(wanted: string): boolean {
    const isNext = this.#next() === wanted;
    if (isNext) {
      this.#rest.pop();
    }
    return isNext;
  }

  #add(state: State): number {
    if (this.#states.length >= maxStates) {
      throw new PatternError("it would take too long");
    }
    return this.#states.push(state) - 1;
  }

  #branches(): Part {
    const branches = [this.#branch()];
    while (this.#take("|")) {
      branches.push(this.#branch());
    }
    return {
      build: (next) => this.#add({ to: branches.map(({ build }) => build(next)) }),
      count: Math.max(...branches.map(({ count }) => count)),
    };
  }

  #branch(): Part {
    const parts: Part[] = [];
    for (let next = this.#next(); next !== undefined && next !== "|" && next !== ")"; next = this.#next()) {
      parts.push(this.#part());
    }
    return {
      build: (next) => parts.reduceRight((after, { build }) => build(after), next),
      count: Math.max(1, ...parts.map(({ count }) => count)),
    };
  }

  #part(): Part {
    if (this.#take("^")) {
      return { build: (next) => this.#add({ holds: (at) => at === 0, to: [next] }), count: 1 };
    }
    if (this.#take("$")) {
      return { build: (next) => this.#add({ holds: (at, length) => at === length, to: [next] }), count: 1 };
    }
    const atom = this.#atom();
    if (this.#take("?")) {
      return this.#repeated(atom, 0, 1);
    }
    if (this.#take("*")) {
      return this.#repeated(atom, 0, Infinity);
    }
    if (this.#take("+")) {
      return this.#repeated(atom, 1, Infinity);
    }
    return this.#next() === "{" ? this.#counted(atom) : atom;
  }

  #counted(atom: Part): Part {
    const [whole, least, comma, most] = counts.exec(this.#rest.slice(-11).reverse().join("")) ?? [];
    if (whole === undefined) {
      throw new PatternError("a { without a count");
    }
    this.#rest.splice(-whole.length);
    const atMost = comma === undefined ? least : (most ?? Infinity);
    return this.#repeated(atom, Number(least), Number(atMost));
  }

  /** It does not matter whether a repeat is lazy. */
  #repeated({ build, count }: Part, least: number, most: number): Part {
    this.#take("?");
    const times = count * Math.max(1, most === Infinity ? least : most);
    if (most < least || times > maxCount) {
      throw new PatternError("a count that is none");
    }
    const optional = (next: number): number => {
      if (most === Infinity) {
        const to: number[] = [next];
        const again = this.#add({ to });
        to.push(build(again));
        return again;
      }
      return this.#copies(most - least, next, (after) => this.#add({ to: [build(after), next] }));
    };
    return { build: (next) => this.#copies(least, optional(next), build), count: most === 0 ? 1 : times };
  }

  #copies(times: number, next: number, build: (next: number) => number): number {
    let first = next;
    for (let i = 0; i < times; i++) {
      first = build(first);
    }
    return first;
  }

  #atom(): Part {
    if (this.#take("(")) {
      return this.#group();
    }
    const takes = this.#take("[") ? this.#class() : this.#take(".") ? (c: number) => c !== 0x0a : this.#character();
    return { build: (next) => this.#add({ takes, to: [next] }), count: 1 };
  }

  #group(): Part {
    if (this.#take("?") && !this.#take(":")) {
      throw new PatternError("a group that engines read differently");
    }
    if (++this.#depth > maxDepth) {
      throw new PatternError("too many groups in groups");
    }
    const inner = this.#branches();
    this.#depth--;
    if (!this.#take(")")) {
      throw new PatternError("a ( without )");
    }
    return inner;
  }

  #character(): Takes {
    return this.#escape(outside) ?? isThe(this.#one("*+?{"));
  }

  /** Returns what an escape of a letter takes, or undefined where there is none. */
  #escape(known: ReadonlyMap<string, Takes>): Takes | undefined {
    const found = this.#next() === "\\" ? known.get(this.#rest.at(-2) ?? "") : undefined;
    if (found !== undefined) {
      this.#rest.splice(-2);
    }
    return found;
  }

  /** Reads a literal that is none of some, or escaped punctuation. */
  #one(except: string): number {
    const isEscaped = this.#take("\\");
    const character = this.#rest.pop();
    if (character === undefined || (isEscaped ? !punctuation.test(character) : except.includes(character))) {
      throw new PatternError("a character that engines read differently");
    }
    return codeOf(character);
  }

  #class(): Takes {
    const isNegated = this.#take("^");
    const members = [this.#member()];
    while (!this.#take("]")) {
      members.push(this.#member());
    }
    let last = -1; // all copies of a class are asked for the same character
    let is = false;
    return (c) => {
      if (c !== last) {
        last = c;
        is = members.some((has) => has(c)) !== isNegated;
      }
      return is;
    };
  }

  #member(): Takes {
    const known = this.#escape(inClasses);
    if (known !== undefined) {
      return this.#isRange() ? this.#noRange(known) : known;
    }
    if (this.#next() === "&" && this.#rest.at(-2) === "&") {
      throw new PatternError("an intersection, which only some engines know");
    }
    const from = this.#one("[]");
    if (!this.#isRange()) {
      return isThe(from);
    }
    this.#take("-");
    const to = this.#one("[]");
    if (to < from) {
      throw new PatternError("a range whose end is before its start");
    }
    return (c) => c >= from && c <= to;
  }

  /** Reads [\w-.], which is no range. */
  #noRange(before: Takes): Takes {
    this.#take("-");
    const after = this.#escape(inClasses) ?? isThe(this.#one("[]"));
    if (this.#isRange()) {
      throw new PatternError("a range that engines read differently");
    }
    return (c) => before(c) || c === 0x2d || after(c);
  }

  /** A "-" at the end of a class is one. */
  #isRange(): boolean {
    return this.#next() === "-" && this.#rest.at(-2) !== "]";
  }
}

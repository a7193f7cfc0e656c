import type { State } from "./licensing.js";

/** Holds the latest state that nobody has read yet. */
export class Changes implements AsyncIterableIterator<State> {
  #latest: State | undefined;
  #ended = false;
  readonly #waiting: ((result: IteratorResult<State, undefined>) => void)[] = [];
  readonly #leave: (self: Changes) => void;

  constructor(leave: (self: Changes) => void) {
    this.#leave = leave;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  put(state: State): void {
    const reader = this.#waiting.shift();
    if (reader === undefined) {
      this.#latest = state;
    } else {
      reader({ done: false, value: state });
    }
  }

  end(): void {
    this.#ended = true;
    this.#waiting.splice(0).forEach((reader) => reader({ done: true, value: undefined }));
  }

  next(): Promise<IteratorResult<State, undefined>> {
    const value = this.#latest;
    this.#latest = undefined;
    if (value !== undefined) {
      return Promise.resolve({ done: false, value });
    }
    if (this.#ended) {
      return Promise.resolve({ done: true, value: undefined });
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Leaves the loop. A `break` calls it. */
  return(): Promise<IteratorResult<State, undefined>> {
    this.#latest = undefined;
    this.end();
    this.#leave(this);
    return Promise.resolve({ done: true, value: undefined });
  }
}

import { unlessAborted } from "./signals.js";

/** Lets one at a time work, in the order in which they came. */
export class Turn {
  #last: Promise<void> = Promise.resolve();

  /**
   * Waits for the turn, and returns how to give it back. It rejects with the reason of the first signal that is
   * aborted meanwhile.
   */
  async take(...signals: AbortSignal[]): Promise<() => void> {
    const before = this.#last;
    let give = () => {};
    const given = new Promise<void>((resolve) => {
      give = resolve;
    });
    this.#last = before.then(() => given);
    try {
      await unlessAborted(before, signals);
    } catch (reason) {
      give();
      throw reason;
    }
    return give;
  }
}

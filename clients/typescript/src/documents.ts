import { errorFrom } from "./errors.js";
import type { Log } from "./licensing.js";
import { emptyRecord, readMark, readStored, writeMark, type StoredRecord } from "./record.js";
import { clockDocument, licenseDocument, type Store } from "./store.js";

/** Reads and writes what restarts keep. What the store cannot do is logged, and nothing else: the client goes on. */
export class Documents {
  readonly #store: Store;
  readonly #log: Log;
  #savedMark = 0;

  constructor(store: Store, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Returns the stored record, an empty one for none or a damaged one, and undefined where the store fails. */
  async loadRecord(): Promise<StoredRecord | undefined> {
    const document = await this.#load(licenseDocument);
    if (document === undefined || document === "") {
      return document === undefined ? undefined : emptyRecord("");
    }
    const stored = await readStored(document);
    if (stored === undefined) {
      this.#log.warn("the stored license is damaged: the service is asked anew");
    }
    return stored ?? emptyRecord("");
  }

  async saveRecord(document: string): Promise<void> {
    try {
      await this.#store.save(licenseDocument, document);
    } catch (problem) {
      const what = "the license cannot be stored: a restart without network will not know of it";
      this.#log.error(what, errorFrom(problem));
    }
  }

  async loadMark(): Promise<number> {
    this.#savedMark = await readMark((await this.#load(clockDocument)) ?? "");
    return this.#savedMark;
  }

  /** Stores the latest time that was seen, if it has moved by so much, or was set back. */
  async saveMark(mark: number, by: number): Promise<void> {
    const moved = mark - this.#savedMark;
    if (moved === 0 || (moved > 0 && moved < by)) {
      return;
    }
    try {
      await this.#store.save(clockDocument, await writeMark(mark));
      this.#savedMark = mark;
    } catch (problem) {
      this.#log.warn("the clock mark cannot be saved", errorFrom(problem));
    }
  }

  /** Returns an empty text where there is no document, and undefined where the store fails. */
  async #load(name: string): Promise<string | undefined> {
    try {
      return String((await this.#store.load(name)) ?? "");
    } catch (problem) {
      this.#log.warn(`the stored ${name} cannot be read`, errorFrom(problem));
      return undefined;
    }
  }
}

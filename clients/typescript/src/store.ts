/**
 * Keeps a few small documents across restarts. A product may bring its own. Processes and tabs that share one each read
 * what another has saved. What is lost is asked for again, so both methods may throw or reject: the client says so in
 * its log.
 */
export interface Store {
  /** Returns a document as it was saved, or undefined where there is none. */
  load(name: string): string | undefined | Promise<string | undefined>;

  /** Replaces a document as a whole. After a crash either the old one or the new one is there. */
  save(name: string, document: string): void | Promise<void>;
}

/** The names of the documents. */
export const licenseDocument = "license";
export const clockDocument = "clock";

/** Keeps the documents as long as the process runs, or the page is open. */
export function memory(): Store {
  const documents = new Map<string, string>();
  return {
    load: (name) => documents.get(name),
    save: (name, document) => void documents.set(name, document),
  };
}

/**
 * Keeps the documents in the browser's `localStorage`, as the items `<prefix>.license` and `<prefix>.clock`. All tabs
 * of the origin share them. Where the browser keeps nothing, as when the user has blocked it or it is full, the client
 * works as long as the page is open, and asks the service again at the next start.
 *
 * @param prefix a name of the product's own, as `com.example.reports`
 */
export function localStore(prefix: string): Store {
  return {
    load: (name) => localStorage.getItem(`${prefix}.${name}`) ?? undefined,
    save: (name, document) => localStorage.setItem(`${prefix}.${name}`, document),
  };
}

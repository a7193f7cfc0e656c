import type { Log } from "./licensing.js";

type Said = Parameters<Log["warn"]>;

/** Returns a log that neither throws nor leaves a rejection, whatever that of the product does. */
export function guarded(log: Log | undefined): Log {
  const say = (level: keyof Log, said: Said): void => {
    try {
      const logged: unknown = log?.[level](...said);
      void Promise.resolve(logged).catch(() => {});
    } catch {
      // nobody is left to be told
    }
  };
  return { warn: (...said) => say("warn", said), error: (...said) => say("error", said) };
}

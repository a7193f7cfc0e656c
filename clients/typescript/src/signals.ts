// Signals of AbortController. AbortSignal.any would do, but is younger than the browsers that customers have.

/** Returns a controller that is aborted when one of the signals is, and how to forget them. */
export function linked(signals: readonly AbortSignal[]): { controller: AbortController; forget: () => void } {
  const controller = new AbortController();
  return { controller, forget: whenAborted(signals, (reason) => controller.abort(reason)) };
}

/** Waits for the work, and rejects with the reason of the first signal that is aborted meanwhile. */
export async function unlessAborted<T>(work: Promise<T>, signals: readonly AbortSignal[]): Promise<T> {
  let forget = () => {};
  const aborted = new Promise<never>((_, reject) => {
    forget = whenAborted(signals, reject);
  });
  try {
    return await Promise.race([aborted, work]);
  } finally {
    forget();
  }
}

function whenAborted(signals: readonly AbortSignal[], then: (reason: unknown) => void): () => void {
  const abort = () => then(signals.find((signal) => signal.aborted)?.reason);
  signals.forEach((signal) => signal.addEventListener("abort", abort));
  if (signals.some((signal) => signal.aborted)) {
    abort();
  }
  return () => signals.forEach((signal) => signal.removeEventListener("abort", abort));
}

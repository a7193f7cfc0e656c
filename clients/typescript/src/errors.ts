import type { Code } from "./licensing.js";

const releaseLimit = "too many seats were given back while their tokens are still good: RELEASE_LIMIT_REACHED";

/** The license may not be used, or its seat not be given back. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(readonly code: Code) {
    super(code === "RELEASE_LIMIT_REACHED" ? releaseLimit : `the license may not be used: ${code}`);
  }
}

/** There was no answer about the license yet. The cause is why the last attempt brought none. */
export class UnlicensedError extends Error {
  override readonly name = "UnlicensedError";

  constructor(cause?: Error) {
    super(...because("there is no license yet", cause));
  }
}

/** The license service was not reached for too long. The cause is why the last attempt brought no answer. */
export class OfflineError extends Error {
  override readonly name = "OfflineError";

  constructor(cause?: Error) {
    super(...because("the license service was not reached for too long", cause));
  }
}

/** The clock of this computer is wrong. The cause, if any, is why the last attempt brought no answer. */
export class ClockError extends Error {
  override readonly name = "ClockError";

  constructor(cause?: Error, what = "the clock of this computer is wrong") {
    super(...because(what, cause));
  }
}

/** An answer of the service that says nothing about the license: a fault, or a mistake in the request. */
export class ServerError extends Error {
  override readonly name = "ServerError";

  /**
   * @param status that of HTTP
   * @param code empty where the answer has none, as that of a captive portal
   */
  constructor(
    readonly status: number,
    readonly code: string,
  ) {
    super(
      code === ""
        ? `an answer with status ${status} that is none of the license service`
        : `the license service answered ${status} ${code}`,
    );
  }
}

function because(what: string, cause: Error | undefined): [string, ErrorOptions?] {
  return cause === undefined ? [what] : [`${what}: ${cause.message}`, { cause }];
}

export function errorFrom(thrown: unknown): Error {
  try {
    return thrown instanceof Error ? thrown : new Error(String(thrown));
  } catch {
    return new Error("what was thrown cannot be written");
  }
}

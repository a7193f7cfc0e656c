import { parseObject, textIn } from "./encoding.js";
import { Refusal, ServerError } from "./errors.js";
import type { Code } from "./licensing.js";
import type { Received } from "./service.js";
import { hour, parseHTTPDate, second } from "./times.js";

/** What a response of the service leads to: exactly one of token, refused and error. */
export interface Answer {
  /** Of a grant. */
  readonly token?: string;
  /** Of a definite no. */
  readonly refused?: Code;
  /** Of all else: nothing changes but when the service is asked again. */
  readonly error?: Error;
  /** As far as the service says; else 0. */
  readonly retryAfter: number;
  /** Of the service's clock; 0 where it does not say. */
  readonly date: number;
}

/** Bounds what a service, or what stands before it, can ask for. */
const maxRetryAfter = 6 * hour;

export function noAnswer(error: Error, retryAfter = 0): Answer {
  return { error, retryAfter, date: 0 };
}

/**
 * Tells the answers of POST /verify-license apart. A captive portal answers too: what is not the one object that the
 * service sends says nothing about the license.
 */
export function readAnswer({ status, headers, body }: Received, now: number): Answer {
  const said = {
    date: parseHTTPDate(headers.get("date")),
    retryAfter: readRetryAfter(headers.get("retry-after"), now),
  };
  const code = codeOf(body);
  const token = textIn(parseObject(body)?.["message"]);
  if (status === 200 && token !== "") {
    return { ...said, token };
  }
  if (status === 400 && isRefusal(code)) {
    return { ...said, refused: code };
  }
  return { ...said, error: new ServerError(status, status === 200 ? "" : code) };
}

/** Reports whether a 400 with the code is a definite no. The codes of other 400s are mistakes of the product. */
function isRefusal(code: string): boolean {
  return code === "INVALID_LICENSE" || code === "DEVICE_LIMIT_REACHED" || code.startsWith("LICENSE_");
}

/** Returns the code of an error, and an empty text for one that is none of the service's. */
export function codeOf(body: string): string {
  const code = textIn(parseObject(body)?.["error"]);
  return /^[A-Z0-9_]{1,64}$/.test(code) ? code : "";
}

/** Tells a definite no from all other answers that bring nothing. */
export function errorOf({ status, body }: Received): Refusal | ServerError {
  const code = codeOf(body);
  const isNo = status === 400 && (isRefusal(code) || code === "RELEASE_LIMIT_REACHED");
  return isNo ? new Refusal(code) : new ServerError(status, code);
}

/** Reads either form of RFC 9110 section 10.2.3. */
function readRetryAfter(value: string | null, now: number): number {
  if (value !== null && /^\d+$/.test(value)) {
    return Math.min(Number(value) * second, maxRetryAfter);
  }
  const at = parseHTTPDate(value);
  return at === 0 ? 0 : Math.min(Math.max(at - now, 0), maxRetryAfter);
}

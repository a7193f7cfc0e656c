import { codeOf } from "./answer.js";
import { textOf } from "./encoding.js";
import { errorFrom, ServerError } from "./errors.js";
import { version, type Config } from "./licensing.js";
import { linked, unlessAborted } from "./signals.js";
import { second } from "./times.js";

/** A response that has been read to its end. */
export interface Received {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** The body of a request. */
export interface Question {
  licensekey: string;
  fingerprint?: string | undefined;
  devicename?: string | undefined;
  device?: string | undefined;
}

const requestTimeout = 15 * second;
const maxResponse = 1 << 20; // bytes

/** Sends the requests of a product. Its methods reject where there is no whole response, or a signal is aborted. */
export class Service {
  readonly #base: URL;
  readonly #fetch: NonNullable<Config["fetch"]>;

  constructor(base: URL, given: Config["fetch"]) {
    this.#base = base;
    this.#fetch = given ?? ((url, init) => globalThis.fetch(url, init));
  }

  post(path: string, question: Question, signals: AbortSignal[]): Promise<Received> {
    const headers = { "Content-Type": "application/json" };
    return this.#send(path, { method: "POST", headers, body: JSON.stringify(question) }, signals);
  }

  /** Returns the text of the JWK set that the service publishes. */
  async keySet(signals: AbortSignal[]): Promise<string> {
    const received = await this.#send("/.well-known/jwks.json", { method: "GET" }, signals);
    if (received.status !== 200) {
      throw new ServerError(received.status, codeOf(received.body));
    }
    return received.body;
  }

  async #send(path: string, init: RequestInit, signals: AbortSignal[]): Promise<Received> {
    const { controller, forget } = linked(signals);
    const timer = setTimeout(() => controller.abort(new Error("there was no answer in 15 seconds")), requestTimeout);
    try {
      controller.signal.throwIfAborted();
      const receiving = this.#receive(path, { ...init, signal: controller.signal });
      return await unlessAborted(receiving, [controller.signal]); // also where a fetch of the product's own goes on
    } catch (thrown) {
      throw unreached(controller.signal.aborted ? controller.signal.reason : thrown);
    } finally {
      clearTimeout(timer);
      forget();
    }
  }

  /** Follows no redirects. A captive portal sends them, and what they lead to must not get the license key. */
  async #receive(path: string, init: RequestInit): Promise<Received> {
    const response = await this.#fetch(this.#at(path), {
      ...init,
      headers: { ...init.headers, Accept: "application/json", ...userAgent() },
      redirect: "manual",
      credentials: "omit",
      cache: "no-store",
      referrerPolicy: "no-referrer",
    });
    if (response.type === "opaqueredirect") {
      throw new Error("it redirects, which is not followed"); // all that a page gets to know
    }
    return { status: response.status, headers: response.headers, body: await readBody(response) };
  }

  #at(path: string): string {
    const url = new URL(this.#base);
    url.pathname = url.pathname.replace(/\/+$/, "") + path;
    return url.href;
  }
}

/** The reason of Node's fetch stands in the cause of its error. */
function unreached(thrown: unknown): Error {
  const error = errorFrom(thrown);
  const cause = error.cause instanceof Error && error.cause.message !== "" ? `: ${error.cause.message}` : "";
  return new Error(`the license service was not reached: ${error.message}${cause}`, { cause: error });
}

/** In pages the header would need a permission of CORS that the service does not give. */
function userAgent(): Record<string, string> {
  const isNode = typeof process !== "undefined" && process.versions?.node !== undefined;
  return isNode && typeof document === "undefined" ? { "User-Agent": `open-licenser-typescript/${version}` } : {};
}

async function readBody(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    chunks.push(part.value);
    length += part.value.length;
    if (length > maxResponse) {
      void reader?.cancel().catch(() => {});
      throw new Error(`a response of more than ${maxResponse} bytes`);
    }
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return textOf(whole);
}

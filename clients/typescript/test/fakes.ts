// A service, a clock and a store for tests of products.

import assert from "node:assert/strict";
import { CompactSign, exportJWK, generateKeyPair, SignJWT } from "jose";
import { openIn, type Client } from "../dist/client.js";
import type { Environment } from "../dist/keeper.js";
import { memory, type Config, type State, type Status, type Store } from "open-licenser";

export const minute = 60_000;
export const hour = 60 * minute;
export const day = 24 * hour;
export const licenseID = "0199d1a2-7c3e-7b5a-9d0e-3f2a1b4c5d6e";

const { publicKey, privateKey } = await generateKeyPair("RS256");
const { kty, n, e } = await exportJWK(publicKey);
export const keySet = { keys: [{ kty, n, e, kid: "the key", use: "sig", alg: "RS256" }] };

export async function licenseKey(of = licenseID): Promise<string> {
  return new SignJWT({ licenseid: of }).setProtectedHeader({ alg: "HS256" }).sign(new Uint8Array(32));
}

/** Returns a token that is good for so long. */
export async function signedToken(now: number, life: number, more: object = {}): Promise<string> {
  const claims = {
    sub: "authorization_token",
    iat: Math.floor((now - 5 * minute) / 1000),
    exp: Math.floor((now + life) / 1000),
    expirationdate: Math.floor((now + 3650 * day) / 1000),
    licenseid: licenseID,
    customername: "Example Ltd",
    services: '[{"serviceName":"Reports","serviceValue":"reports"}]',
    appurls: "[]",
    ...more,
  };
  return new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "the key" }).sign(privateKey);
}

/** Returns a token of that payload. */
export function signedText(payload: string): Promise<string> {
  const header = { alg: "RS256", kid: "the key" };
  return new CompactSign(new TextEncoder().encode(payload)).setProtectedHeader(header).sign(privateKey);
}

/** Time that passes only when a test says so. */
export class SimulatedTime implements Environment {
  #now = Date.UTC(2027, 0, 1);
  readonly #timers = new Set<{ at: number; then: () => Promise<void> }>();

  now(): number {
    return this.#now;
  }

  random(): number {
    return Math.random();
  }

  later(pause: number, then: () => Promise<void>): () => void {
    const timer = { at: this.#now + pause, then };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** Has time pass, and does what is to be done meanwhile. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    for (let atOnce = 0; ; ) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) {
        break;
      }
      atOnce = next.at === this.#now ? atOnce + 1 : 0;
      assert.ok(atOnce < 100, "the timer is set again and again, and no time passes");
      this.#timers.delete(next);
      this.#now = next.at;
      await next.then();
    }
    this.#now = end;
  }

  set(moment: number): void {
    this.#now = moment;
  }
}

export interface Asked {
  path: string;
  at: number;
  body: Record<string, string>;
  init: RequestInit;
}

export type Says = (asked: Asked) => Response | Promise<Response>;

/** Answers without a network. */
export class FakeService {
  readonly asked: Asked[] = [];
  readonly time: SimulatedTime;
  says: Says;

  constructor(time = new SimulatedTime()) {
    this.time = time;
    this.says = this.grants;
  }

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const body = init.body === undefined ? {} : (JSON.parse(String(init.body)) as Record<string, string>);
    const asked = { path: new URL(url).pathname, at: this.time.now(), body, init };
    this.asked.push(asked);
    return this.says(asked);
  };

  readonly grants: Says = async () =>
    Response.json({ message: await signedToken(this.time.now(), 90 * day) }, { status: 200 });

  async config(store: Store): Promise<Config> {
    return {
      url: "https://licenses.example.com",
      key: await licenseKey(),
      trusted: keySet,
      service: "reports",
      store,
      fetch: this.fetch,
    };
  }
}

/** Returns a client of the service, in its time. */
export async function opened(service: FakeService, more: Partial<Config> = {}): Promise<Client> {
  return openIn({ ...(await service.config(memory())), ...more }, service.time);
}

export const isUnreachable: Says = () => {
  throw new TypeError("fetch failed", { cause: new Error("there is no network") });
};

export function refuses(code: string): Says {
  return () => Response.json({ error: code }, { status: 400 });
}

export const brokenStore: Store = {
  load: () => Promise.reject(new Error("the disk is broken")),
  save: () => {
    throw new Error("the disk is full");
  },
};

export function wantStatus(state: State, status: Status, reason?: string): void {
  const { error } = state;
  assert.deepEqual([state.status, state.reason], [status, reason], `the last error is ${error?.message}`);
}

/** Waits until something is so, and fails when it takes too long. */
export async function eventually(what: string, isSo: () => boolean | Promise<boolean>, within = 10_000): Promise<void> {
  const end = Date.now() + within;
  while (!(await isSo())) {
    assert.ok(Date.now() < end, `not in ${within} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

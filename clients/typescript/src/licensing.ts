import type { License } from "./license.js";
import type { Store } from "./store.js";

/** The version of this package. */
export const version = "1.0.0";

/** Says which license a product has, and how it goes by it. All times are milliseconds. */
export interface Config {
  /** The URL of the service, as `https://licenses.example.com`. A `/verify-license` at its end is cut off. Required. */
  url: string;

  /** The license key as the customer has pasted it, long or short. Without one nobody is asked, until `setKey`. */
  key?: string | undefined;

  /**
   * The public keys that the product brings: a JWK set as `licenser token-key export` writes it, as text or object, or
   * PEM. Required, unless `trustOnFirstUse` is true.
   */
  trusted?: string | object | undefined;

  /**
   * Says that keys may be fetched from the service, and then are kept. A token of an unknown key has them fetched anew.
   * Whoever rules the first connection rules the product. A product whose license is worth a forgery brings its keys
   * instead.
   */
  trustOnFirstUse?: boolean | undefined;

  /**
   * The `serviceValue` that this product is, or nothing where the vendor sells one product only. A license without it
   * is a refusal. All products of a vendor share the keys, so without it any license of theirs will do.
   */
  service?: string | undefined;

  /** When this version of the product was released. A license whose updates ended before is a refusal. */
  released?: Date | undefined;

  /** What tells this computer from others: see `fingerprintOf` and `installationID`. Licenses with devices need it. */
  fingerprint?: string | undefined;

  /** What the customer sees of this computer in lists of devices: up to 32 bytes of UTF-8. */
  deviceName?: string | undefined;

  /** Keeps what was answered: `dir`, `localStore` or `memory`. Required. */
  store: Store;

  /**
   * How long after an answer the service is asked again, give or take a tenth. It is 24 hours unless set, and a minute
   * at least. However long it is, the service is asked at half of a token's remaining life.
   */
  refresh?: number | undefined;

  /** For how long a product runs without an answer. Unless set, it runs as long as its token is valid. */
  offline?: number | undefined;

  /** How far this computer's clock may be behind the service's. It is five minutes unless set. */
  skew?: number | undefined;

  /**
   * Sends the requests in place of the global `fetch`, as where Node needs a proxy. It must pass on `redirect` and
   * `signal`. A request has 15 seconds, and redirects are never followed.
   */
  fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;

  /** Gets what went wrong; `console` will do. Unless set, nobody does. It never gets the license key or the token. */
  log?: Log | undefined;
}

/** What `console` is, among others. What its functions throw, or reject with, counts for nothing. */
export interface Log {
  warn(message: string, error?: unknown): void;
  error(message: string, error?: unknown): void;
}

/** Ends the waiting for the service. The attempt then counts as one that brought no answer. */
export interface Waiting {
  signal?: AbortSignal | undefined;
}

/**
 * What a product goes by. All but Active, Grace and Offline end the product, or the feature of it.
 *
 * - `Unknown`: there was no answer yet
 * - `Active`: the license may be used
 * - `Grace`: the license has ended, and its days of grace have not: tell the customer to renew
 * - `Offline`: as Active; but the last attempt brought no answer about the license
 * - `Refused`: the service, or what the license says, is a definite no: see `State.reason`
 * - `ClockBack`: the clock was set back by more than a day, or is behind the token
 * - `OfflineTooLong`: no answer for too long: the token has expired, or `Config.offline` has passed
 */
export type Status = "Unknown" | "Active" | "Grace" | "Offline" | "Refused" | "ClockBack" | "OfflineTooLong";

/** Reports whether the product may run. */
export function usable(status: Status): boolean {
  return status === "Active" || status === "Grace" || status === "Offline";
}

/**
 * Why a license may not be used. The service says
 *
 * - `INVALID_LICENSE`: no license key of this vendor, or its license is gone
 * - `LICENSE_REVOKED`: the vendor ended it
 * - `LICENSE_SUSPENDED`: the vendor stopped it for now
 * - `LICENSE_EXPIRED`: its end and its days of grace have passed
 * - `DEVICE_LIMIT_REACHED`: other devices hold all seats: see `Client.devices`
 *
 * and others that begin with `LICENSE_` may come. This package says itself of a license that the service has granted
 *
 * - `SERVICE_NOT_LICENSED`: the license is without `Config.service`
 * - `UPDATES_ENDED`: this version was released after the license's end of updates
 *
 * A `Refusal` of `Client.release` may have one that says nothing about the license:
 *
 * - `RELEASE_LIMIT_REACHED`: too many seats were given back while their tokens are still good
 */
export type Code =
  | "INVALID_LICENSE"
  | "LICENSE_REVOKED"
  | "LICENSE_SUSPENDED"
  | "LICENSE_EXPIRED"
  | "DEVICE_LIMIT_REACHED"
  | "SERVICE_NOT_LICENSED"
  | "UPDATES_ENDED"
  | "RELEASE_LIMIT_REACHED"
  | (string & {});

/** What is known of the license at one moment. */
export interface State {
  readonly status: Status;
  /** Why, where the status is Refused. */
  readonly reason: Code | undefined;
  /** Undefined where there is no token. */
  readonly license: License | undefined;
  /** When the service last said yes or no, by this computer's clock. */
  readonly checkedAt: Date | undefined;
  /** Until when the product runs if there is no further answer. Undefined where there is no token. */
  readonly usableUntil: Date | undefined;
  /** When the service is asked next. Undefined for never. */
  readonly retryAt: Date | undefined;
  /** Why the last attempt brought no answer about the license. It is never a refusal. */
  readonly error: Error | undefined;
}

import { isObject, parseJSON, textIn } from "./encoding.js";
import { hostAllowed } from "./hosts.js";

/** A product, module or feature that the vendor sells. */
export interface Service {
  /** For people. */
  readonly name: string;
  /** What products compare. */
  readonly value: string;
}

/** What a token says of its license. It is a copy: what a product changes in it counts for nothing. */
export class License {
  readonly id: string;
  readonly customerName: string;
  /** The end, without days of grace. It is far away for a license without an end. */
  readonly expires: Date;
  /** The end of updates. Undefined where they have none. */
  readonly updatesUntil: Date | undefined;
  /** The id of this device, where the license is for devices. */
  readonly device: string | undefined;
  readonly services: readonly Service[];
  readonly appURLs: readonly string[];

  /** Products get licenses from `State.license`, and make some for their tests only. */
  constructor(says: Partial<Omit<License, "allows" | "allowsHost">>) {
    this.id = says.id ?? "";
    this.customerName = says.customerName ?? "";
    this.expires = new Date(says.expires ?? 0);
    this.updatesUntil = says.updatesUntil && new Date(says.updatesUntil);
    this.device = says.device;
    this.services = Object.freeze((says.services ?? []).map((one) => Object.freeze({ ...one })));
    this.appURLs = Object.freeze([...(says.appURLs ?? [])]);
    Object.freeze(this);
  }

  /** Reports whether the license has a service of that value. */
  allows(service: string): boolean {
    return this.services.some((one) => one.value === service);
  }

  /**
   * Reports whether one of the license's application URLs allows a host, as `https://app.example.com` allows
   * `app.example.com`. The host may have a port, which does not count: `location.host` and the header `Host` will do.
   * Write it as browsers do: an international name in its `xn--` form, an IPv6 address in its shortest. A license
   * without application URLs allows no host, and no host is allowed by none.
   */
  allowsHost(host: string | undefined): boolean {
    return host !== undefined && hostAllowed(this.appURLs, host);
  }
}

/** Returns none where the claim cannot be read: the product is refused then. */
export function readServices(claim: unknown): Service[] {
  return readList(claim).map((one) => ({ name: textIn(one["serviceName"]), value: textIn(one["serviceValue"]) }));
}

export function readAppURLs(claim: unknown): string[] {
  return readList(claim).map((one) => textIn(one["URL"]));
}

/** Reads the text of a JSON list of objects. One member that is none spoils it. */
function readList(claim: unknown): Record<string, unknown>[] {
  const list = parseJSON(textIn(claim));
  return Array.isArray(list) && list.every(isObject) ? list : [];
}

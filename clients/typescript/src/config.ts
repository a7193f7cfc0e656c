import { minRefresh, type Rules } from "./core.js";
import { bytesOf, textIn } from "./encoding.js";
import { errorFrom } from "./errors.js";
import { cleanKey, keyHash, licenseIDOf } from "./licensekey.js";
import type { Config } from "./licensing.js";
import { readKeys, type PublicKey } from "./publickeys.js";
import { day, minute } from "./times.js";

const defaultRefresh = day;
const defaultSkew = 5 * minute;
const longest = 100 * 365 * day; // what a Date can hold is far more

/** Returns what follows from the configuration. It throws all that is wrong with it at once. */
export async function rulesOf(config: Config): Promise<{ rules: Rules; base: URL }> {
  const problems: string[] = [];
  const base = baseOf(config.url, problems);
  const trusted = await trustedOf(config, problems);
  problems.push(...problemsOf(config));
  if (base === undefined || problems.length > 0) {
    throw new Error(`open-licenser: ${problems.join("; ")}`);
  }
  const rules = {
    key: "",
    keyHash: "",
    licenseID: "",
    fingerprint: config.fingerprint ?? "",
    service: config.service ?? "",
    released: Number(config.released ?? 0),
    trusted,
    firstUse: config.trustOnFirstUse === true,
    refresh: Math.max(config.refresh || defaultRefresh, minRefresh),
    offline: config.offline ?? 0,
    skew: config.skew || defaultSkew,
  };
  return { rules: await withKey(rules, config.key ?? ""), base };
}

/** Returns the rules of another license key, as the customer has pasted it. What is no text is no key. */
export async function withKey(rules: Rules, pasted: unknown): Promise<Rules> {
  const key = cleanKey(textIn(pasted));
  return { ...rules, key, keyHash: await keyHash(key), licenseID: licenseIDOf(key) };
}

function baseOf(url: string, problems: string[]): URL | undefined {
  const base = parseURL(url);
  if (base === undefined || !/^https?:$/.test(base.protocol)) {
    problems.push(`url ${JSON.stringify(url)} is no http(s) URL`);
    return undefined;
  }
  if (base.username !== "" || base.password !== "") {
    problems.push("url has a user name, which fetch refuses");
  }
  base.pathname = base.pathname.replace(/\/+$/, "").replace(/\/verify-license$/, "");
  return base;
}

function parseURL(url: string): URL | undefined {
  try {
    return new URL(url);
  } catch {
    return undefined;
  }
}

async function trustedOf({ trusted, trustOnFirstUse }: Config, problems: string[]): Promise<PublicKey[]> {
  if (!trusted) {
    if (trustOnFirstUse !== true) {
      problems.push("there is neither trusted nor trustOnFirstUse");
    }
    return [];
  }
  try {
    return await readKeys(trusted);
  } catch (problem) {
    problems.push(`trusted: ${errorFrom(problem).message}`);
    return [];
  }
}

function problemsOf(config: Config): string[] {
  const { store, refresh = 0, offline = 0, skew = 0, released } = config;
  const texts = (["key", "service", "fingerprint", "deviceName"] as const).filter((name) => !isText(config[name]));
  const fingerprint = textIn(config.fingerprint);
  const deviceName = textIn(config.deviceName);
  const found: [boolean, string][] = [
    [globalThis.crypto?.subtle === undefined, "there is no crypto.subtle: pages have it at https: or localhost only"],
    [typeof (config.fetch ?? globalThis.fetch) !== "function", "there is no fetch"],
    [texts.length > 0, `no text: ${texts.join(", ")}`],
    [typeof store?.load !== "function" || typeof store.save !== "function", "there is no store"],
    [![refresh, offline, skew].every(isTime), "refresh, offline and skew must be milliseconds, and not negative"],
    [!/^(|[ -~]{8,256})$/.test(fingerprint), "fingerprint is not 8 to 256 printable ASCII characters"],
    [bytesOf(deviceName).length > 32, "deviceName has more than 32 bytes"],
    [Number.isNaN(Number(released ?? 0)), "released is no date"],
  ];
  return found.filter(([isWrong]) => isWrong).map(([, problem]) => problem);
}

function isText(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}

function isTime(milliseconds: number): boolean {
  return Number.isFinite(milliseconds) && milliseconds >= 0 && milliseconds <= longest;
}

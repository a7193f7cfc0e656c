import { toHex } from "./encoding.js";

/**
 * Returns a text that tells this browser from others, for `Config.fingerprint`. It is random, and kept in
 * `localStorage`, so another browser, another profile and another origin on the same computer are other devices. Where
 * it cannot be kept it is empty, and licenses with devices are refused.
 *
 * @param appID a name of the product's own, as `com.example.reports`
 */
export function installationID(appID: string): string {
  const item = `open-licenser.${appID}.id`;
  try {
    if (!/^[0-9a-f]{40}$/.test(localStorage.getItem(item) ?? "")) {
      localStorage.setItem(item, toHex(crypto.getRandomValues(new Uint8Array(20))));
    }
    return localStorage.getItem(item) ?? ""; // of two tabs that make it at once both get the later one
  } catch {
    return "";
  }
}

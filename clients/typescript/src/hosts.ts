// Which hosts application URLs allow. clients/vectors/hosts.json has the rules.

import { isFound } from "./pattern.js";

/** More characters than a host name can have (RFC 1035 section 2.3.4). */
const maxHost = 255;

export function hostAllowed(urls: readonly string[], authority: string): boolean {
  const host = hostOf(authority);
  return host !== undefined && host.length <= maxHost && urls.some((url) => urlAllows(url, host));
}

/** Compares host names as text. A `re:` searches the host; new ones are anchored. */
function urlAllows(url: string, host: string): boolean {
  if (url.startsWith("re:")) {
    return isFound(url.slice(3), host);
  }
  const found = /^https?:\/\/([^/?#]*)/i.exec(url);
  return found !== null && hostOf(found[1] ?? "") === host;
}

/** Returns a host in small ASCII letters, without port and brackets, or undefined for what can be none. */
function hostOf(authority: string): string | undefined {
  if (/[\x00-\x20\x7f/?#@\\*]/.test(authority)) {
    return undefined;
  }
  const text = authority.replace(/[A-Z]+/g, (capitals) => capitals.toLowerCase());
  const address = /^\[([^\]]*)\](?::(\d*))?$/.exec(text);
  if (address !== null) {
    return address[1] || undefined;
  }
  const name = /^([^:[]+)(?::(\d*))?$/.exec(text);
  if (name !== null) {
    return name[1];
  }
  return isBareAddress(text) ? text : undefined;
}

/** An IPv6 address without brackets has more than one colon, and so no port. */
function isBareAddress(text: string): boolean {
  return !text.startsWith("[") && text.split(":").length > 2;
}

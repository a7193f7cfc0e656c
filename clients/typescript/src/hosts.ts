// Which hosts application URLs allow. clients/vectors/hosts.json has the rules.

export function hostAllowed(urls: readonly string[], authority: string): boolean {
  const host = hostOf(authority);
  return host !== undefined && urls.some((url) => urlAllows(url, host));
}

/** Compares host names as text. A `re:` searches the host; new ones are anchored. */
function urlAllows(url: string, host: string): boolean {
  if (url.startsWith("re:")) {
    return compile(url.slice(3))?.test(host) ?? false;
  }
  const found = /^https?:\/\/([^/?#]*)/i.exec(url);
  return found !== null && hostOf(found[1] ?? "") === host;
}

/**
 * What the service's other clients read in another way, or not at all: escapes as \z, which is a plain z in JavaScript,
 * groups with a question mark, as those that look behind, and classes like [:alpha:].
 */
const readOtherwise = /\\(?:[^\x21-\x7e]|[A-Za-z0-9])|\(\?|\[:/;
const readAlike = /\\[\\dDwWsSbB]|\(\?:/g;

/** Returns undefined for a pattern that does not mean the same everywhere: it allows nothing. */
function compile(pattern: string): RegExp | undefined {
  if (readOtherwise.test(pattern.replace(readAlike, "x"))) {
    return undefined;
  }
  try {
    return new RegExp(pattern);
  } catch {
    return undefined;
  }
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

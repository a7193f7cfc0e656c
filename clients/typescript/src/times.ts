// Moments are milliseconds since 1970. 0 is none, as the clock of a computer without a battery shows.

export const second = 1000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const day = 24 * hour;

/** What a Date can hold. */
const lastMoment = 8.64e15;

export function fromSeconds(seconds: number): number {
  return Math.max(-lastMoment, Math.min(seconds * second, lastMoment));
}

const rfc3339 = /^(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d+))?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/;

/** Reads an RFC 3339 date. Date.parse alone takes "2027", "soon 1" and February 30th too. */
export function parseTime(value: unknown): number | undefined {
  const found = typeof value === "string" ? rfc3339.exec(value) : null;
  if (found === null) {
    return undefined;
  }
  const [, date = "", hours, minutes, seconds, fraction = "", zone] = found;
  const midnight = new Date(`${date}T00:00:00Z`);
  if (Number.isNaN(midnight.getTime()) || !midnight.toISOString().startsWith(date)) {
    return undefined;
  }
  return Date.parse(`${date}T${hours}:${minutes}:${seconds}.${fraction.slice(0, 3).padEnd(3, "0")}${zone}`);
}

const imfFixdate = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/;

/** Reads the one date that RFC 9110 section 5.6.7 lets a server send. The answer is 0 for any other text. */
export function parseHTTPDate(value: string | null): number {
  const moment = value !== null && imfFixdate.test(value) ? Date.parse(value) : NaN;
  return Number.isNaN(moment) ? 0 : moment;
}

/** Returns no Date for no moment. */
export function dateOf(moment: number): Date | undefined {
  return moment === 0 ? undefined : new Date(moment);
}

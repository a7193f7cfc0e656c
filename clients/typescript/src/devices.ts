import { isObject, parseObject, textIn } from "./encoding.js";
import type { Received } from "./service.js";
import { parseTime } from "./times.js";

/** Those that hold the seats of a license. */
export interface Devices {
  /** How many may at the same time. Undefined for as many as like. */
  readonly limit: number | undefined;
  /** Oldest first. */
  readonly devices: readonly Device[];
}

/** A device that holds a seat. */
export interface Device {
  readonly id: string;
  readonly name: string;
  readonly since: Date;
  /** The end of its last token. */
  readonly until: Date;
  /** It is this computer. */
  readonly isThis: boolean;
}

/** Returns undefined for what is no list of devices. */
export function readDevices({ status, body }: Received, own: string): Devices | undefined {
  const said = status === 200 ? parseObject(body) : undefined;
  const limit = said?.["limit"] ?? undefined;
  const list: unknown = said?.["devices"];
  if (!Array.isArray(list) || (limit !== undefined && typeof limit !== "number")) {
    return undefined;
  }
  const devices = list.map((one) => readDevice(one, own)).filter((one) => one !== undefined);
  return devices.length === list.length ? { limit, devices } : undefined;
}

function readDevice(value: unknown, own: string): Device | undefined {
  if (!isObject(value)) {
    return undefined;
  }
  const since = parseTime(value["since"]);
  const until = parseTime(value["until"]);
  const id = textIn(value["id"]);
  if (since === undefined || until === undefined || id === "") {
    return undefined;
  }
  return { id, name: textIn(value["name"]), since: new Date(since), until: new Date(until), isThis: id === own };
}

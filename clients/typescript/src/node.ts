/**
 * What products that run in Node have besides: a folder as store, the fingerprint of the machine, license files.
 *
 * @module
 */

import { maxLicenseFile, type Client } from "./client.js";
import { readUpTo } from "./dir.js";
import type { State } from "./licensing.js";

export { dir } from "./dir.js";
export { fingerprintOf } from "./fingerprint.js";

/**
 * Reads a license file: the token of a computer without a network, in one line. It rejects as `Client.importToken`
 * does, and where the file cannot be read.
 */
export async function importFile(client: Client, path: string): Promise<State> {
  return client.importToken(await readUpTo(path, maxLicenseFile + 1));
}

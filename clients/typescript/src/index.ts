/**
 * Lets a product run while its license says so. It trades the license key for a token, keeps the token, asks again once
 * a day, goes on without the service as long as it may, and stops at a definite no. This entry runs in browsers and in
 * Node; `open-licenser/node` adds what needs files.
 *
 * @module
 */

export { open, type Client } from "./client.js";
export type { Device, Devices } from "./devices.js";
export { ClockError, OfflineError, Refusal, ServerError, UnlicensedError } from "./errors.js";
export { installationID } from "./installation.js";
export { License, type Service } from "./license.js";
export { usable, version } from "./licensing.js";
export type { Code, Config, Log, State, Status, Waiting } from "./licensing.js";
export { localStore, memory, type Store } from "./store.js";

import { errorOf } from "./answer.js";
import { rulesOf } from "./config.js";
import { problemOf } from "./core.js";
import { readDevices, type Devices } from "./devices.js";
import { Keeper, type Environment } from "./keeper.js";
import { deviceID } from "./licensekey.js";
import { usable, type Config, type State, type Waiting } from "./licensing.js";
import { Service } from "./service.js";

/** More characters than the longest token has. */
export const maxLicenseFile = 256 << 10;

/**
 * Has one license key, and keeps its state up to date until it is closed. Its methods may be called at once. It keeps
 * no process alive: between two requests nothing holds Node's event loop.
 */
export class Client {
  readonly #keeper: Keeper;

  /** @internal Products call open. */
  constructor(keeper: Keeper) {
    this.#keeper = keeper;
  }

  /** Returns what is known now. It neither reads nor writes anything. */
  state(): State {
    return this.#keeper.state();
  }

  /**
   * Returns while the product may run. Otherwise it throws a `Refusal`, `UnlicensedError`, `OfflineError` or
   * `ClockError`. Like `state` it neither reads nor writes anything.
   */
  check(): void {
    const problem = problemOf(this.state());
    if (problem !== undefined) {
      throw problem;
    }
  }

  /** Asks the service now, whatever pause is running, and returns the state after that. It does not reject. */
  refresh({ signal }: Waiting = {}): Promise<State> {
    return this.#keeper.refresh(signal);
  }

  /**
   * Goes by another license key from now on, asks for it, and returns the state after that. An empty key asks nobody.
   * What is stored stays until there is an answer. With the key that it has it is `refresh`. It does not reject.
   */
  setKey(key: string, { signal }: Waiting = {}): Promise<State> {
    return this.#keeper.setKey(key, signal);
  }

  /**
   * Returns the new states from now on, for `for await`. The loop ends with `close`. It has the latest state only:
   * whoever reads slowly misses what is past, and holds up nobody.
   */
  changes(): AsyncIterableIterator<State> {
    return this.#keeper.changes();
  }

  /**
   * Asks who holds the seats of the license, also where it cannot be used. It rejects with a `Refusal`, a
   * `ServerError`, or why the service was not reached.
   */
  async devices({ signal }: Waiting = {}): Promise<Devices> {
    const { key, licenseID, fingerprint } = this.#keeper.rules;
    const signals = this.#keeper.signals(signal);
    const received = await this.#keeper.service.post("/list-devices", { licensekey: key }, signals);
    const devices = readDevices(received, await deviceID(licenseID, fingerprint));
    if (devices === undefined) {
      throw errorOf(received);
    }
    return devices;
  }

  /**
   * Gives the seat of a device back. Without an id it is that of this computer, and then its token is deleted: the
   * status is Unknown, or stays Refused, and the service is asked again by `refresh`, `setKey` or the next start only.
   * It rejects as `devices` does, a `Refusal` with RELEASE_LIMIT_REACHED among it.
   */
  release(device = "", { signal }: Waiting = {}): Promise<void> {
    const keeper = this.#keeper;
    return keeper.inTurn(async () => {
      const rules = keeper.rules;
      const asked = keeper.now();
      const which = device === "" ? { fingerprint: rules.fingerprint || undefined } : { device };
      const question = { licensekey: rules.key, ...which };
      const received = await keeper.service.post("/release-device", question, keeper.signals(signal));
      if (received.status !== 204) {
        throw errorOf(received);
      }
      if (device === "" || device === (await deviceID(rules.licenseID, rules.fingerprint))) {
        await keeper.forget(rules, asked);
      }
    }, signal);
  }

  /**
   * Takes the text of a license file: the token of a computer without a network, in one line. It rejects for one that
   * is not good for this license, this device and this moment, and then nothing changes. So it does, with a
   * `Refusal`, for one that was signed before the service said a definite no.
   */
  async importToken(text: string): Promise<State> {
    if (text.length > maxLicenseFile) {
      throw new Error(`this is no license file: it has more than ${maxLicenseFile} characters`);
    }
    await this.#keeper.inTurn(() => this.#keeper.import(text));
    return this.state();
  }

  /**
   * Ends the client: its timer, and the requests that are under way. The state can be asked for after that, and the
   * service cannot. It does not reject.
   */
  close(): Promise<void> {
    return this.#keeper.close();
  }
}

/**
 * Returns a client with the state that the store holds. It rejects for the configuration only, with all that is wrong
 * with it, and never for the network. Where the store holds no token that can be used, the service is asked first,
 * until the signal is aborted. The client goes on after that.
 */
export function open(config: Config, { signal }: Waiting = {}): Promise<Client> {
  return openIn(config, { now: Date.now, random: Math.random, later }, signal);
}

/** The open of tests, in another environment. */
export async function openIn(config: Config, environment: Environment, signal?: AbortSignal): Promise<Client> {
  const { rules, base } = await rulesOf(config);
  const keeper = new Keeper(config, rules, new Service(base, config.fetch), environment);
  await keeper.start();
  const { status, retryAt } = keeper.state();
  if (!usable(status) && retryAt !== undefined) {
    await keeper.refresh(signal);
  }
  keeper.schedule();
  return new Client(keeper);
}

/** Keeps no process of Node alive. In browsers a timer is a number. */
function later(pause: number, then: () => Promise<void>): () => void {
  const timer: unknown = setTimeout(() => void then(), pause);
  (timer as { unref?: () => void }).unref?.();
  return () => clearTimeout(timer as number);
}

import { execFileSync } from "node:child_process";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/**
 * Returns a text that tells this computer from others, for `Config.fingerprint`. It is a hash of the operating system's
 * machine id and of the product's name, so that products cannot compare theirs. Where the system has no such id, as in
 * many containers, a random one is kept in the user's configuration folder. Where that cannot be kept either, the
 * fingerprint is empty, and licenses with devices are refused. It is that of the Go client.
 *
 * Copies of a virtual machine have the same machine id, and so the same fingerprint.
 *
 * @param appID a name of the product's own, as `com.example.reports`
 */
export function fingerprintOf(appID: string): string {
  return fingerprintFrom(machineID() || installationIDIn(configFolder(), appID), appID);
}

export function fingerprintFrom(machineID: string, appID: string): string {
  return machineID && createHmac("sha256", machineID).update(`Open Licenser fingerprint ${appID}`).digest("hex");
}

/** Returns the id that the operating system keeps from its installation on, or an empty text. */
function machineID(): string {
  switch (process.platform) {
    case "darwin":
      return fieldOf(/"IOPlatformUUID" = "([^"]+)"/, "/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice");
    case "win32": {
      const program = join(process.env["SystemRoot"] ?? "", "System32", "reg.exe");
      const key = "HKLM\\SOFTWARE\\Microsoft\\Cryptography";
      return fieldOf(/MachineGuid\s+REG_SZ\s+(\S+)/, program, "query", key, "/v", "MachineGuid", "/reg:64");
    }
    default: // machine-id(5), hostid(5)
      return firstID("/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostid");
  }
}

function fieldOf(field: RegExp, program: string, ...parameters: string[]): string {
  try {
    const output = execFileSync(program, parameters, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return field.exec(output)?.[1] ?? "";
  } catch {
    return "";
  }
}

/** Returns the first file that holds an id. An image that is not installed yet says "uninitialized". */
function firstID(...files: string[]): string {
  return files.map(readID).find((id) => id.length >= 16) ?? "";
}

function readID(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return "";
  }
}

/** The folder is that of the Go client, so that both are one device. */
function configFolder(): string {
  const { platform, env } = process;
  if (platform === "win32") {
    return env["AppData"] ? join(env["AppData"], "open-licenser") : "";
  }
  const ofSystem = platform === "darwin" ? "Library/Application Support" : ".config";
  const folder = (platform !== "darwin" && env["XDG_CONFIG_HOME"]) || join(homedir(), ofSystem);
  return join(folder, "open-licenser");
}

/**
 * Returns the random id of this user's installation, which it makes if there is none. It is empty where none can be
 * kept.
 */
export function installationIDIn(folder: string, appID: string): string {
  if (folder === "") {
    return "";
  }
  const file = join(folder, `${createHash("sha256").update(appID).digest("hex").slice(0, 32)}.id`);
  if (firstID(file) === "") {
    try {
      makeID(folder, file);
    } catch {
      return "";
    }
  }
  return firstID(file);
}

/** Links the file into place, so that of two processes that make it at once both read the same one. */
function makeID(folder: string, file: string): void {
  const made = `${file}.${randomBytes(8).toString("hex")}`;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(made, `${randomBytes(20).toString("hex")}\n`, { mode: 0o600, flag: "wx" });
  try {
    linkSync(made, file);
  } catch {
    if (firstID(file) === "") {
      renameSync(made, file); // a file system without links
    }
  } finally {
    rmSync(made, { force: true });
  }
}

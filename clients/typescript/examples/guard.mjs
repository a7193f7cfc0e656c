// A product that runs while its license says so. It has a free part, and a feature that is sold:
//
//   node guard.mjs --url https://licenses.example.com --trusted trusted.json --key 06CX38-KW7SXN-…
//   node guard.mjs --url https://licenses.example.com --trusted trusted.json    # later: the key is remembered
//
// licenser token-key export writes the file trusted.json. A real product brings it along, with the URL.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { homedir, hostname } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { open } from "open-licenser";
import { dir, fingerprintOf, importFile } from "open-licenser/node";

const appID = "com.example.guard";
const folder = join(process.env.XDG_CONFIG_HOME ?? join(homedir(), ".config"), appID);

const { values: given } = parseArgs({
  options: {
    url: { type: "string", default: "http://127.0.0.1:3000" },
    trusted: { type: "string" }, // without it the first connection counts
    key: { type: "string" },
    import: { type: "string" }, // a license file, for a computer without a network
    release: { type: "boolean" }, // gives this computer's seat back
  },
});

const client = await open({
  url: given.url,
  key: await rememberedKey(given.key),
  trusted: given.trusted && (await readFile(given.trusted, "utf8")),
  trustOnFirstUse: given.trusted === undefined,
  service: "reports",
  released: new Date("2027-01-01"), // of this version; a build sets it
  fingerprint: fingerprintOf(appID),
  deviceName: hostname().replace(/[^ -~]/g, "").slice(0, 32),
  store: dir(join(folder, "license")),
  log: console,
});
try {
  if (given.release) {
    await client.release();
  } else {
    if (given.import) {
      await importFile(client, given.import);
    }
    await report();
  }
} catch (error) {
  console.error(`guard: ${error.message}`);
  process.exitCode = 1;
} finally {
  await client.close();
}

/** The feature that is sold. */
async function report() {
  console.log("Hello. This part is free.");
  const state = client.state();
  console.log(advice(state));
  if (state.reason === "DEVICE_LIMIT_REACHED") {
    const { devices } = await client.devices();
    devices.forEach(({ id, name, until }) => console.log(`  ${id}  ${name}  until ${until.toLocaleString()}`));
  }
  client.check();
  console.log(`The report for ${state.license.customerName}.`);
}

/** Says in words for customers what a state means. */
function advice({ status, reason, usableUntil }) {
  switch (status) {
    case "Active":
      return "Your license is good.";
    case "Grace":
      return `Your license has ended. Please renew it until ${usableUntil.toLocaleDateString()}.`;
    case "Offline":
      return `Your license is good. Please connect until ${usableUntil.toLocaleDateString()}.`;
    case "OfflineTooLong":
      return "Your license was not checked for too long. Please connect this computer to the network.";
    case "ClockBack":
      return "The clock of this computer is wrong. Please set it.";
    case "Refused":
      return refusal(reason);
  }
  return "There is no license yet. Please enter your license key, and connect this computer to the network.";
}

function refusal(code) {
  switch (code) {
    case "INVALID_LICENSE":
      return "This is not one of our license keys. Please look whether it is complete.";
    case "LICENSE_EXPIRED":
      return "Your license has ended. Please renew it.";
    case "DEVICE_LIMIT_REACHED":
      return "Other computers use your license. Give one of these back:";
    case "SERVICE_NOT_LICENSED":
      return "Your license is for another product.";
    case "UPDATES_ENDED":
      return "Your license is for earlier versions. Please renew it, or install one of these.";
  }
  return `Your license may not be used (${code}). Please ask us.`;
}

/** Keeps the key that the customer has given once. */
async function rememberedKey(pasted) {
  const file = join(folder, "license-key");
  if (pasted === undefined) {
    return readFile(file, "utf8").catch(() => "");
  }
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(file, pasted, { mode: 0o600 });
  return pasted;
}

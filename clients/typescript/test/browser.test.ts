// Leads a page of another origin through its life with the local server, in a real browser.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type { Client, Config } from "open-licenser";
import { eventually } from "./fakes.js";
import { Server } from "./server.js";
import { findBrowser, insecureHost, Site, startBrowser } from "./site.js";

declare global {
  var licensing: typeof import("open-licenser"); // of the page
  var client: Client;
}

const found = findBrowser();
const skip = "missing" in found ? found.missing : false;

describe("in a browser", { skip, timeout: 120_000 }, () => {
  let browser: Browser;
  let server: Server;
  let site: Site;
  const mishaps: string[] = [];

  before(async () => {
    server = await Server.build();
    site = await Site.start();
    browser = await startBrowser("program" in found ? found.program : "");
  });
  after(async () => {
    await browser?.close();
    await site?.stop();
    await server?.remove();
  });

  async function visited(context: BrowserContext, host?: string, before: () => void = () => {}): Promise<Page> {
    const page = await context.newPage();
    page.on("pageerror", (error) => mishaps.push(error.message));
    await page.addInitScript(before);
    await page.goto(site.url(host));
    return page;
  }

  type Product = Omit<Config, "store"> & { asDevice?: boolean };

  /** Starts the product in a page, with what the browser has stored. It returns the status and the reason. */
  async function start(page: Page, product: Product): Promise<string> {
    await page.waitForFunction(() => "licensing" in globalThis);
    await page.evaluate(async ({ asDevice, ...config }) => {
      const { installationID, localStore, open } = licensing;
      const fingerprint = asDevice ? installationID("com.example.reports") : "";
      globalThis.client = await open({ ...config, fingerprint, store: localStore("com.example.reports") });
    }, product);
    return state(page);
  }

  function state(page: Page): Promise<string> {
    return page.evaluate(() => [client.state().status, client.state().reason ?? []].flat().join(" "));
  }

  async function refresh(page: Page): Promise<string> {
    await page.evaluate(() => client.refresh());
    return state(page);
  }

  async function reload(page: Page, product: Product): Promise<string> {
    await page.reload();
    return start(page, product);
  }

  /** Returns the message of the error, or an empty text. */
  function failure(page: Page, config: Omit<Config, "store">): Promise<string> {
    const attempt = async (given: typeof config) => {
      try {
        globalThis.client = await licensing.open({ ...given, store: licensing.memory() });
        return "";
      } catch (error) {
        return (error as Error).message;
      }
    };
    return page.evaluate(attempt, config);
  }

  test("the life of a product", async () => {
    const issued = await server.issue();
    await server.run("token-key", "prepare");
    const trusted = await server.run("token-key", "export");
    const product = { url: server.url, key: issued.shortkey, service: "reports", trusted };
    const context = await browser.newContext();
    const page = await visited(context);

    assert.equal(await start(page, product), "Active");
    const license = await page.evaluate(() => {
      const { license } = client.state();
      return [license?.id, license?.customerName, license?.allows("reports"), license?.allowsHost("app.example.com")];
    });
    assert.deepEqual(license, [issued.licenseid, "Example Ltd", true, true]);

    await server.stop();
    assert.equal(await reload(page, product), "Active");
    assert.equal(await refresh(page), "Offline");
    await page.evaluate(() => client.check());
    await server.start();
    assert.equal(await refresh(page), "Active");

    await server.change(issued, "revoke");
    assert.equal(await refresh(page), "Refused LICENSE_REVOKED");
    await server.stop();
    assert.equal(await reload(page, product), "Refused LICENSE_REVOKED");
    await server.start();
    await server.change(issued, "reinstate");
    assert.equal(await reload(page, product), "Active");

    await server.promote();
    assert.equal(await refresh(page), "Active");
    await server.stop();
    assert.equal(await reload(page, product), "Active");

    const setBack = await visited(context, undefined, () => {
      const { now } = Date;
      Date.now = () => now() - 25 * 3600 * 1000;
    });
    assert.equal(await start(setBack, product), "ClockBack");
    const name = await setBack.evaluate(() => {
      try {
        client.check();
        return "";
      } catch (error) {
        return error instanceof licensing.ClockError ? error.name : String(error);
      }
    });
    assert.equal(name, "ClockError");
    await setBack.close();
    await server.start();
    assert.equal(await reload(page, product), "Active");

    const { licensekey } = await server.issue();
    await page.evaluate((key) => client.setKey(key), ` ${licensekey.slice(0, 50)}\n${licensekey.slice(50)}`);
    assert.equal(await state(page), "Active");
    await page.evaluate(() => client.setKey("no key"));
    assert.equal(await state(page), "Refused INVALID_LICENSE");
    await page.evaluate(() => client.close());
    await context.close();
  });

  test("one tab hears of what another was told", async () => {
    const issued = await server.issue();
    const product = { url: server.url, key: issued.licensekey, trustOnFirstUse: true };
    const context = await browser.newContext();
    const told = await visited(context);
    const hears = await context.newPage();
    await hears.clock.install();
    await hears.goto(site.url());
    assert.equal(await start(told, product), "Active");
    assert.equal(await start(hears, product), "Active");
    await server.change(issued, "revoke");
    assert.equal(await refresh(told), "Refused LICENSE_REVOKED");
    await server.stop();
    await hears.clock.fastForward(16 * 60 * 1000);
    await eventually("the other tab stops", async () => (await state(hears)) === "Refused LICENSE_REVOKED");
    await context.close();
    await server.start();
  });

  test("a seat is taken, given back, and taken by another browser", async () => {
    const issued = await server.issue({ maxdevices: 1 });
    const product = { url: server.url, key: issued.licensekey, trustOnFirstUse: true, asDevice: true };
    const first = await browser.newContext();
    const second = await browser.newContext();
    const [desk, office] = [await visited(first), await visited(second)];
    assert.equal(await start(desk, { ...product, deviceName: "front desk" }), "Active");
    assert.equal(await reload(desk, product), "Active");
    assert.equal(await start(office, product), "Refused DEVICE_LIMIT_REACHED");
    const names = await office.evaluate(async () => {
      const { limit, devices } = await client.devices();
      await client.release(devices[0]?.id);
      return [limit, ...devices.map(({ name }) => name)];
    });
    assert.deepEqual(names, [1, "front desk"]);
    assert.equal(await refresh(office), "Active");
    assert.equal(await refresh(desk), "Refused DEVICE_LIMIT_REACHED");
    await office.evaluate(() => client.release());
    assert.equal(await state(office), "Unknown");
    assert.equal(await refresh(desk), "Active");
    await Promise.all([first.close(), second.close()]);
  });

  test("a license file that the customer has opened", async () => {
    const { licensekey } = await server.issue();
    const trusted = await server.run("token-key", "export");
    const text = await server.licenseFile({ licensekey });
    const context = await browser.newContext();
    const page = await visited(context);
    assert.equal(await start(page, { url: "http://127.0.0.1:9", key: licensekey, trusted }), "Unknown");
    await page.evaluate((token) => client.importToken(token), text);
    assert.equal(await state(page), "Active");
    assert.equal(await reload(page, { url: "http://127.0.0.1:9", key: licensekey, trusted }), "Active");
    await context.close();
  });

  test("a redirect is not followed", async () => {
    const context = await browser.newContext();
    const page = await visited(context);
    const config = { url: `${site.url()}/portal/`, key: "x", trustOnFirstUse: true };
    assert.equal(await start(page, config), "Unknown");
    const message = await page.evaluate(() => client.state().error?.message);
    assert.match(String(message), /redirects/);
    assert.equal(site.redirected, 1);
    await context.close();
  });

  const storages: [string, () => void][] = [
    ["blocked", block],
    ["full", fill],
  ];
  for (const [name, spoil] of storages) {
    test(`storage that is ${name} keeps nothing, and harms nothing`, async () => {
      const { licensekey } = await server.issue();
      const product = { url: server.url, key: licensekey, trustOnFirstUse: true };
      const context = await browser.newContext();
      const page = await visited(context, undefined, spoil);
      assert.equal(await start(page, product), "Active");
      assert.equal(await page.evaluate(() => licensing.installationID("com.example.reports")), "");
      await server.stop();
      assert.equal(await reload(page, product), "Unknown");
      await page.evaluate(() => client.close());
      await server.start();
      await context.close();
    });
  }

  test("a page that is not safe is told so", async () => {
    const context = await browser.newContext();
    const page = await visited(context, insecureHost);
    await page.waitForFunction(() => "licensing" in globalThis);
    const message = await failure(page, { url: server.url, key: "x", trustOnFirstUse: true });
    assert.match(message, /crypto\.subtle.*https/);
    await context.close();
  });

  test("no page had an error", () => assert.deepEqual(mishaps, []));
});

/** Runs in a page. */
function block(): void {
  const get = () => {
    throw new DOMException("it is blocked", "SecurityError");
  };
  Object.defineProperty(globalThis, "localStorage", { get });
}

/** Runs in a page. */
function fill(): void {
  for (let size = 1 << 22; size > 0; ) {
    try {
      localStorage.setItem(`junk ${localStorage.length}`, "x".repeat(size));
    } catch {
      size >>= 1;
    }
  }
}

// A site behind the Worker: the bundle as it is deployed, in real workerd, with an origin and a KV namespace.

import { readFileSync, readdirSync } from "node:fs";
import { Miniflare } from "miniflare";
import { Origin } from "./origin.js";
import { CUSTOMER, SECRET, integration, published } from "./queueit.js";

export const ROOT = new URL("../../../", import.meta.url);
export const HOST = "https://tickets.example";
const BUILD = new URL("build/", ROOT);
export const MANAGEMENT = new URL("build-manage/", ROOT);
const WRANGLER = readFileSync(new URL("deploy/cloudflare/wrangler.toml", ROOT), "utf8");

/** What wrangler.toml says at a pattern. */
function configured(pattern) {
  const found = pattern.exec(WRANGLER);
  if (!found) throw new Error(`deploy/cloudflare/wrangler.toml has nothing like ${pattern}`);
  return found.slice(1);
}

/** The bundle, and what wrangler.toml says of it. */
export function bundle(modules = builtModules()) {
  const [compatibilityDate] = configured(/^compatibility_date\s*=\s*"(.*?)"/m);
  const [binding, className] = configured(/name\s*=\s*"(\w+)"[\s,]*class_name\s*=\s*"(\w+)"/);
  return { modules, modulesRoot: BUILD.pathname, compatibilityDate, durableObjects: { [binding]: { className, useSQLite: true } } };
}

/** The modules of the Worker that manages, as `builtModules`. */
export const managementModules = () => builtModules(MANAGEMENT);

/** The modules of a folder that was built, the entry first. */
export function builtModules(folder = BUILD) {
  const names = readdirSync(folder, { recursive: true }).filter((name) => /\.(js|wasm)$/.test(name));
  names.sort((one, other) => (other === "index.js") - (one === "index.js") || one.localeCompare(other));
  return names.map((name) => ({
    type: name.endsWith(".wasm") ? "CompiledWasm" : "ESModule",
    path: new URL(name, folder).pathname,
    contents: readFileSync(new URL(name, folder)),
  }));
}

/** What the Worker is bound to unless a test says otherwise. */
export const VARIABLES = { QUEUEIT_CUSTOMERID: CUSTOMER, QUEUEIT_SECRETKEY: SECRET, VELVETROPE_REFRESH_SECONDS: "1" };

/** Headers with a `sec-fetch-mode` of their own: Node's `fetch` says `cors` of whatever it sends, but for what is called so. */
export function navigating(headers = {}) {
  const pairs = Array.isArray(headers) ? headers : Object.entries(headers);
  const [, mode] = pairs.find(([name]) => name.toLowerCase() === "sec-fetch-mode") ?? ["", "navigate"];
  return [...pairs.filter(([name]) => name.toLowerCase() !== "sec-fetch-mode"), ["mf-sec-fetch-mode", mode]];
}

export class Site {
  /** A site that stops with its test; see `start`. */
  static async of(test, options) {
    const site = await Site.start(options);
    test.after(() => site.stop());
    return site;
  }

  /**
   * Starts a site.
   *
   * - `kv`: entries of the namespace by key; texts or bytes. By default an integration for paths with `/shop`.
   * - `variables`: more of them, or `undefined` for one that shall not exist.
   * - `worker`: more options of the Worker for miniflare.
   * - `shared`: more options for miniflare itself.
   * - `others`: other Workers beside it.
   */
  static async start({ kv = { info: published([integration("/shop")]) }, variables = {}, worker = {}, shared = {}, others = [] } = {}) {
    const site = new Site();
    site.origin = await Origin.start();
    const bindings = Object.entries({ ...VARIABLES, ...variables }).filter(([, value]) => value !== undefined);
    site.miniflare = new Miniflare({
      host: "127.0.0.1",
      port: 0,
      cf: false,
      ...shared,
      handleRuntimeStdio: (stdout, stderr) => site.#listen(stdout, stderr),
      workers: [
        {
          name: "velvetrope",
          ...bundle(),
          bindings: Object.fromEntries(bindings),
          kvNamespaces: { IntegrationConfigKV: "config" },
          outboundService: { external: { address: site.origin.address, http: {} } },
          unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
          ...worker,
        },
        ...others,
      ],
    });
    const entries = Object.entries(kv);
    const namespace = entries.length > 0 && (await site.kv());
    await Promise.all(entries.map(([key, value]) => namespace.put(key, value)));
    return site;
  }

  async stop() {
    await this.miniflare.dispose();
    await this.origin.stop();
  }

  /** What the Worker wrote to its logs. */
  logs = "";

  /** The namespace with the configuration. */
  async kv() {
    return this.miniflare.getKVNamespace("IntegrationConfigKV", "velvetrope");
  }

  /**
   * Asks the Worker as somebody does who goes to a page, unless the headers say otherwise; `path` may be a whole URL.
   * Redirects are not followed.
   */
  async get(path, { cf, headers, ...init } = {}) {
    const url = path.startsWith("http") ? path : HOST + path;
    return this.miniflare.dispatchFetch(url, { redirect: "manual", cf, headers: navigating(headers), ...init });
  }

  /** Asks, and gives what the origin was asked. Fails if the request did not come through. */
  async passed(path, init) {
    const response = await this.get(path, init);
    if (response.headers.get("x-origin") !== "yes") {
      throw new Error(`${path} was not passed on: ${response.status} ${JSON.stringify([...response.headers])}`);
    }
    return { response, told: await response.json() };
  }

  /** Where the Worker itself listens, without miniflare in front of it (so that there is no `cf`, and lengths stay). */
  async address() {
    return this.miniflare.unsafeGetDirectURL("velvetrope");
  }

  #listen(...streams) {
    for (const stream of streams) {
      stream.on("data", (chunk) => {
        this.logs += chunk;
      });
    }
  }
}

/** Waits until something is so; the last try's failure is thrown after a while. */
export async function becomes(check) {
  for (const end = Date.now() + 30_000; ; ) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

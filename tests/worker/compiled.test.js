// What is compiled once is compiled for all: KV tells of changes as late as Cloudflare's caches do, also of what was not there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { exchange } from "./support/http.js";
import { integration, published, push } from "./support/queueit.js";
import { MANAGEMENT, Site, VARIABLES, becomes, builtModules, bundle, managementModules } from "./support/site.js";
import { Store } from "./support/store.js";

const PATIENCE = { timeout: 240_000 };
const ISOLATES = 8;
/** Milliseconds that caches keep what they have read, or have not found. */
const CACHED = 3_000;

const shop = (version) => published([integration("/shop")], version);

/** Isolates that share a store, each with the modules that are given. */
async function isolates(t, store, modules) {
  const [own, ...more] = modules.map((modules, index) => ({
    ...bundle(modules), name: index === 0 ? "velvetrope" : `isolate-${index}`, bindings: VARIABLES, ...store.bound(),
  }));
  const unsafeDirectSockets = [{ host: "127.0.0.1", port: 0 }];
  const others = [...more.map((worker) => ({ ...worker, unsafeDirectSockets, durableObjects: {} })), store.binding()];
  const site = await Site.of(t, { kv: {}, worker: own, others });
  const workers = await Promise.all(modules.map((_, index) => site.miniflare.unsafeGetDirectURL(index === 0 ? "velvetrope" : `isolate-${index}`)));
  return { site, workers };
}

async function version(worker) {
  const { headers } = await exchange(worker, { path: "/shop" });
  return new URL(headers.location ?? "none:").searchParams.get("cver");
}

const all = (workers, wanted) => becomes(async () => {
  assert.deepEqual(await Promise.all(workers.map(version)), workers.map(() => wanted));
});

/** How often something was compiled by a Worker that decides. */
const compilations = ({ logs }) => (logs.match(/it is compiled here/g) ?? []).length;

/** Another version of the bundle: it looks for what is compiled elsewhere. */
function otherVersion() {
  return builtModules().map((module) => {
    if (!module.path.endsWith("/index_bg.wasm")) return module;
    const text = module.contents.toString("latin1");
    assert.ok(text.includes("compiled:"));
    return { ...module, contents: Buffer.from(text.replaceAll("compiled:", "compiled;"), "latin1") };
  });
}

test("a push is compiled by the one isolate that takes it", PATIENCE, async (t) => {
  const store = new Store({ info: shop(1) });
  store.cachedFor = CACHED;
  const { site, workers } = await isolates(t, store, Array.from({ length: ISOLATES }, () => builtModules()));
  assert.equal(await version(workers[0]), "1");
  await becomes(() => assert.equal(store.writes("compiled"), 1));
  await all(workers, "1");
  for (let number = 2; number < 5; number += 1) {
    const before = compilations(site);
    const pushed = await exchange(workers[number], { method: "PUT", path: "/?__push_queueit_config", body: push(shop(number)) });
    assert.equal(pushed.status, 200, pushed.body);
    assert.deepEqual(store.written.slice(-2).map((key) => key.split(":")[0]), ["compiled", "info"], "before the text");
    await all(workers, String(number));
    assert.equal(compilations(site) - before, 1);
  }
});

test("two versions side by side leave each other's alone", PATIENCE, async (t) => {
  const store = new Store({ info: shop(1) });
  const versions = [builtModules(), otherVersion()];
  const { site, workers } = await isolates(t, store, versions);
  for (let number = 1; number < 4; number += 1) {
    store.entries.set("info", shop(number));
    await all(workers, String(number));
    await becomes(() => assert.equal(new Set(store.written).size, 2 * number));
    assert.equal(compilations(site), 2 * number);
  }
  // Isolates that begin find what was compiled for theirs; and so do those of a version that was rolled back.
  const later = await isolates(t, store, [...versions, ...versions]);
  await all(later.workers, "3");
  store.entries.set("info", shop(2));
  await all(later.workers, "2");
  assert.equal(compilations(later.site), 0);
  assert.equal(store.written.length, 6);
});

test("what is managed is compiled before Workers see it", PATIENCE, async (t) => {
  const policy = JSON.stringify({
    "velvetrope.toml": 'customer_id = "acme"\nrules = { shop = "rules.json" }\n',
    "rules.json": '[{"id": "early", "action": "bypass_waiting_room", "expression": "http.request.uri.path eq \\"/shop/early\\""}]',
  });
  const store = new Store({ info: shop(1), policy });
  store.cachedFor = CACHED;
  const manage = {
    name: "manage", modules: managementModules(), modulesRoot: MANAGEMENT.pathname, compatibilityDate: "2026-04-01",
    bindings: { VELVETROPE_ADMIN_TOKEN: "a-token-for-operators" }, durableObjects: { STORE: { className: "PolicyStore", useSQLite: true } },
    ...store.bound(),
  };
  const site = await Site.of(t, { kv: {}, worker: store.bound(), others: [manage, store.binding()] });
  const client = await site.miniflare.getWorker("manage");
  const api = async (method, path, body) => {
    const response = await client.fetch(`https://manage.example/client/v4${path}`, {
      method, body: body && JSON.stringify(body),
      headers: { authorization: "Bearer a-token-for-operators", "content-type": "application/json" },
    });
    assert.equal(response.status, 200, path);
    return (await response.json()).result;
  };
  const [room] = (await api("GET", "/zones/site/waiting_rooms")).filter(({ name }) => name === "shop");
  await becomes(() => assert.equal(store.writes("managed"), 1));
  assert.equal((await site.get("/shop/late")).status, 302);
  for (const path of ["/shop/late", "/shop/later"]) {
    const expression = `http.request.uri.path eq "${path}"`;
    await api("POST", `/zones/site/waiting_rooms/${room.id}/rules`, { action: "bypass_waiting_room", expression });
    await becomes(() => site.passed(path));
  }
  assert.equal(compilations(site), 0, site.logs);
  const keys = store.written.map((key) => key.split(":")[0]);
  assert.deepEqual(keys, keys.map((_, index) => ["compiled", "managed"][index % 2]));
});

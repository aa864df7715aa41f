// Several configurations in one isolate: nobody is decided about by another one's.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DEADLY, DECIDING, fragile } from "./support/fragile.js";
import { integration, now, published, push, session, token } from "./support/queueit.js";
import { ROOT, Site, becomes, builtModules, bundle } from "./support/site.js";
import { Store } from "./support/store.js";

const PATIENCE = { timeout: 120_000 };
const PUSH = "/?__push_queueit_config";

/** Brands by host; each has a namespace, an account and a secret of its own. `env` is another object each time. */
const OWN = `
  import { DecisionCounter, handle } from "./build/index.js";

  export { DecisionCounter };

  export default {
    fetch(request, env, ctx) {
      const [brand] = new URL(request.url).hostname.split(".");
      const of = (name) => env[brand + "_" + name];
      return handle(request, {
        ...env,
        IntegrationConfigKV: of("KV"), QUEUEIT_CUSTOMERID: brand, QUEUEIT_SECRETKEY: of("SECRET"), VELVETROPE_ZONE: brand,
        VELVETROPE_ON_FAILURE: of("ON_FAILURE"),
      }, ctx);
    },
  };
`;

const SECRETS = { a: "the secret of brand a, which is long", b: "the secret of brand b, which is long" };

async function brands(t, { modules = builtModules(), ...more } = {}) {
  const stores = { a: new Store({ info: of("a", 1) }), b: new Store({ info: of("b", 1) }) };
  const entry = { type: "ESModule", path: new URL("own.js", ROOT).pathname, contents: OWN };
  const names = Object.keys(stores);
  const site = await Site.of(t, {
    kv: {},
    variables: {
      QUEUEIT_CUSTOMERID: undefined, QUEUEIT_SECRETKEY: undefined, a_SECRET: SECRETS.a, b_SECRET: SECRETS.b, b_ON_FAILURE: "closed",
      ...more.variables,
    },
    worker: {
      modules: [entry, ...modules], modulesRoot: ROOT.pathname, kvNamespaces: {},
      wrappedBindings: Object.fromEntries(names.map((name) => [`${name}_KV`, { scriptName: `store-${name}` }])),
    },
    others: names.map((name) => stores[name].binding(`store-${name}`)),
  });
  return { site, stores };
}

/** A brand's rope stands before `/shop-a` or `/shop-b`, in its own room. */
const of = (brand, version) => published([integration(`/shop-${brand}`, { EventId: `room-${brand}` })], version);

const url = (brand, path) => `https://${brand}.example${path}`;

async function told(site, brand, path, init) {
  const response = await site.get(url(brand, path), init);
  const location = response.headers.get("location");
  const query = location?.startsWith("http") ? new URL(location).searchParams : undefined;
  return { status: response.status, customer: query?.get("c"), room: query?.get("e"), version: query?.get("cver"), response };
}

test("two brands in one isolate have their own ropes, rooms and secrets", PATIENCE, async (t) => {
  const { site } = await brands(t);
  for (let round = 0; round < 3; round += 1) {
    for (const [brand, other] of [["a", "b"], ["b", "a"]]) {
      const own = await told(site, brand, `/shop-${brand}`);
      assert.deepEqual([own.status, own.customer, own.room], [302, brand, `room-${brand}`]);
      assert.equal((await told(site, brand, `/shop-${other}`)).status, 200, "another brand's rope is not here");
      const inside = (secret, room) => ({ headers: { cookie: session({ event: room }, secret) } });
      assert.equal((await told(site, brand, `/shop-${brand}`, inside(SECRETS[brand], `room-${brand}`))).status, 200);
      assert.equal((await told(site, brand, `/shop-${brand}`, inside(SECRETS[other], `room-${brand}`))).status, 302);
      const entering = (secret) => `/shop-${brand}?queueittoken=${token({ e: `room-${brand}`, ts: now() + 60 }, secret)}`;
      assert.match((await site.get(url(brand, entering(SECRETS[brand])))).headers.get("location"), new RegExp(`^/shop-${brand}\\b`));
      assert.match((await site.get(url(brand, entering(SECRETS[other])))).headers.get("location"), /\/error\//);
    }
  }
});

test("both at once, from the first request on, and after changes of one", PATIENCE, async (t) => {
  const { site, stores } = await brands(t);
  const all = await Promise.all(Array.from({ length: 60 }, (_, index) => {
    const brand = "ab"[index % 2];
    return told(site, brand, `/shop-${brand}`).then(({ customer }) => assert.equal(customer, brand));
  }));
  assert.equal(all.length, 60);
  stores.b.entries.set("info", of("b", 2));
  await becomes(async () => assert.equal((await told(site, "b", "/shop-b")).version, "2"));
  assert.equal((await told(site, "a", "/shop-a")).version, "1");
  assert.equal((await site.get(url("a", PUSH), { method: "PUT", body: push(of("a", 5), SECRETS.b) })).status, 400);
  assert.equal((await site.get(url("a", PUSH), { method: "PUT", body: push(of("a", 5), SECRETS.a) })).status, 200);
  assert.equal((await told(site, "a", "/shop-a")).version, "5");
  assert.equal((await told(site, "b", "/shop-b")).version, "2");
  assert.deepEqual([stores.a.writes("info"), stores.b.writes("info")], [1, 0]);
});

test("the failure of one is none of the other's", PATIENCE, async (t) => {
  const { site, stores } = await brands(t);
  stores.b.entries.delete("info");
  t.after(() => stores.a.goOn());
  stores.a.hang();
  const [a, b] = await Promise.all([told(site, "a", "/shop-a"), told(site, "b", "/shop-b")]);
  assert.deepEqual([a.status, b.status], [200, 503], "a fails open, b fails closed");
  stores.a.goOn();
  await becomes(async () => assert.equal((await told(site, "a", "/shop-a")).customer, "a"));
  assert.equal((await told(site, "b", "/shop-b")).status, 503);
});

test("what one's visitor makes the core die of, the other's do not notice", PATIENCE, async (t) => {
  const { site } = await brands(t, { modules: fragile(DECIDING) });
  for (const brand of ["a", "b"]) assert.equal((await told(site, brand, `/shop-${brand}`)).customer, brand);
  for (const [brand, status] of [["a", 200], ["b", 503], ["a", 200]]) {
    const deadly = await told(site, brand, `/shop-${brand}?${"x".repeat(DEADLY)}`);
    assert.equal(deadly.status, status, "its own failure policy");
    for (const own of ["b", "a"]) {
      assert.equal((await told(site, own, `/shop-${own}`)).customer, own);
      const inside = { headers: { cookie: session({ event: `room-${own}` }, SECRETS[own]) } };
      assert.equal((await told(site, own, `/shop-${own}`, inside)).status, 200);
    }
  }
});

test("more sites than an isolate keeps are served rightly all the same", PATIENCE, async (t) => {
  const own = OWN.replace(
    'IntegrationConfigKV: of("KV")',
    'IntegrationConfigKV: { get: (...a) => of("KV").get(...a), put: (...a) => of("KV").put(...a) }',
  );
  assert.notEqual(own, OWN);
  const store = new Store({ info: of("a", 1) });
  const entry = { type: "ESModule", path: new URL("own.js", ROOT).pathname, contents: own };
  const site = await Site.of(t, {
    kv: {},
    variables: { QUEUEIT_CUSTOMERID: undefined, QUEUEIT_SECRETKEY: undefined, a_SECRET: SECRETS.a },
    worker: {
      ...bundle([entry, ...builtModules()]), modulesRoot: ROOT.pathname, kvNamespaces: {}, wrappedBindings: { a_KV: { scriptName: "store" } },
    },
    others: [store.binding()],
  });
  for (let round = 0; round < 16; round += 1) {
    await Promise.all(Array.from({ length: 5 }, async (_, index) => {
      const { status, customer } = await told(site, "a", "/shop-a", index % 2 ? { method: "POST", body: "a body" } : {});
      assert.deepEqual([status, customer], [index % 2 ? 303 : 302, "a"]);
    }));
  }
  assert.match(site.logs, /is IntegrationConfigKV another object each time\?/);
});

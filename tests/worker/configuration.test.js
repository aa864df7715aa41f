// How a configuration comes into force, and stays there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SECRET, hmac, integration, published, push, session, token } from "./support/queueit.js";
import { Site, becomes } from "./support/site.js";
import { Store } from "./support/store.js";

const PATIENCE = { timeout: 120_000 };
const PUSH = "/?__push_queueit_config";

/** The version of the configuration in force. */
async function version(site) {
  const response = await site.get("/shop");
  return new URL(response.headers.get("location") ?? "none:").searchParams.get("cver");
}

const shop = (number, more) => published([integration("/shop", more)], number);

const pushed = (site, body, url = PUSH) => site.get(url, { method: "PUT", body });

async function assertPushed(site, body, expected) {
  const response = await pushed(site, body);
  assert.deepEqual([response.status, await response.text()], [expected, expected === 200 ? "Success!" : "Fail!"]);
  assert.equal(response.headers.get("x-queueit-connector"), "cloudflare");
}

test("a signed push is stored and comes into force", async (t) => {
  const site = await Site.of(t);
  assert.equal(await version(site), "3");
  const text = shop(8, { Name: "Zürich – 東京 😀" });
  await assertPushed(site, push(text), 200);
  assert.equal(await (await site.kv()).get("info"), text);
  await becomes(async () => assert.equal(await version(site), "8"));
  const location = (await site.get("/shop")).headers.get("location");
  assert.equal(new URL(location).searchParams.get("man"), "Zürich – 東京 😀");
  assert.equal(site.origin.requests.length, 0);
});

test("the first configuration may be pushed", async (t) => {
  const site = await Site.of(t, { kv: {} });
  await assertPushed(site, push(shop(1)), 200);
  await becomes(async () => assert.equal(await version(site), "1"));
});

test("a push that is no good changes nothing", async (t) => {
  const site = await Site.of(t);
  const good = push(shop(8));
  const { integrationInfo: hex, hash } = JSON.parse(good);
  const signed = (integrationInfo) => JSON.stringify({ integrationInfo, hash: hmac(integrationInfo) });
  const tooLarge = JSON.stringify({ integrationInfo: "7b".repeat(5 << 20), hash });
  const refused = {
    "another secret": push(shop(8), "another secret"),
    "a hash in upper case": JSON.stringify({ integrationInfo: hex, hash: hash.toUpperCase() }),
    "no hash": JSON.stringify({ integrationInfo: hex }),
    "no configuration": JSON.stringify({ hash }),
    "not even an object": "[]",
    "no JSON": "integrationInfo",
    "half a body": good.slice(0, good.length / 2),
    "nothing": "",
    "no UTF-8": Buffer.concat([Buffer.from(good), Buffer.from([0xff])]),
    "no hexadecimal": signed("zz7b7d"),
    "no UTF-8 in it": signed("ff7b7d"),
    "a configuration that is no JSON": push("{"),
    "a configuration without version": push('{"Integrations":[]}'),
    "a configuration that does not compile": push(shop(8, { Triggers: null })),
    "null": push("null"),
    "too large": tooLarge,
  };
  for (const [what, body] of Object.entries(refused)) {
    const response = await pushed(site, body);
    assert.deepEqual([response.status, await response.text()], [400, "Fail!"], what);
  }
  assert.equal(await (await site.kv()).get("info"), shop(3));
  assert.equal(await version(site), "3");
  for (const text of [SECRET, hash]) {
    assert.ok(!site.logs.includes(text), "a secret or a hash is in the logs");
  }
});

test("what is signed of a push is read whole, in either case", async (t) => {
  const site = await Site.of(t);
  const hex = Buffer.from(shop(8)).toString("hex").toUpperCase();
  const signed = (hex) => JSON.stringify({ integrationInfo: hex, hash: hmac(hex) });
  await assertPushed(site, signed(`${hex}A`), 400);
  await assertPushed(site, signed(hex), 200);
  assert.equal(await (await site.kv()).get("info"), shop(8));
});

test("an older push is refused, unless the operator rolls back", async (t) => {
  const site = await Site.of(t);
  assert.equal(await version(site), "3");
  await assertPushed(site, push(shop(2)), 400);
  await assertPushed(site, push(shop(10)), 200);
  await assertPushed(site, push(shop(9)), 400);
  assert.match(site.logs, /its Version 9 is not as high as 10/);
  const kv = await site.kv();
  await kv.put("policy", JSON.stringify({ "velvetrope.toml": 'customer_id = "acme"\n[delivery]\nallow_older = true\n' }));
  await assertPushed(site, push(shop(9)), 200);
  assert.equal(await version(site), "9");
});

test("another isolate's newer configuration is not replaced by an older one either", async (t) => {
  const site = await Site.of(t, { variables: { VELVETROPE_REFRESH_SECONDS: "60" } });
  assert.equal(await version(site), "3");
  await (await site.kv()).put("info", shop(7));
  await assertPushed(site, push(shop(5)), 400);
  assert.equal(await (await site.kv()).get("info"), shop(7));
});

test("one broken integration of a push is so for itself alone", async (t) => {
  const site = await Site.of(t);
  const broken = [integration("/other", { Name: "Other", Triggers: null }), integration("/leave", { Name: "Leave", QueueDomain: null })];
  await assertPushed(site, push(published([...broken, integration("/shop")], 4)), 200);
  assert.equal(await version(site), "4");
  const { response } = await site.passed("/leave");
  assert.equal(response.headers.get("x-queueit-failed"), "true");
  assert.match(site.logs, /Integrations\[0\]\.Triggers/);
  assert.match(site.logs, /`QueueDomain` is missing/);
});

test("sessions of other connectors count where they are shared", async (t) => {
  const others = () => ({ headers: { cookie: session({ queue: "3cdf8eee-0458-4c35-afd6-7c2d12098a49", isSealed: false }) } });
  for (const [shared, status] of [[undefined, 302], ["true", 200]]) {
    const site = await Site.of(t, { variables: { VELVETROPE_SHARED_SESSIONS: shared } });
    assert.equal((await site.get("/shop", others())).status, status);
    assert.equal((await site.get("/shop", { headers: { cookie: session() } })).status, 200);
    const stale = `${session()}; ${session({}, "forged")}`;
    assert.equal((await site.get("/shop", { headers: { cookie: stale } })).status, 200, "a stale one of the same name");
  }
});

test("a push may be signed with the secret before", async (t) => {
  const site = await Site.of(t, { variables: { QUEUEIT_SECRETKEY_PREVIOUS: "before" } });
  await assertPushed(site, push(shop(8), "before"), 200);
});

test("nothing is taken without a secret", async (t) => {
  const site = await Site.of(t, { variables: { QUEUEIT_SECRETKEY: undefined } });
  for (const secret of ["", "undefined", "null"]) {
    await assertPushed(site, push(shop(8), secret || SECRET), 400);
  }
});

test("a change in the store comes into force by itself", async (t) => {
  const site = await Site.of(t);
  assert.equal(await version(site), "3");
  await (await site.kv()).put("info", shop(4));
  await becomes(async () => assert.equal(await version(site), "4"));
});

test("rules and lists come from the store too, and change there", async (t) => {
  const policy = (network) => JSON.stringify({
    "velvetrope.toml": 'customer_id = "acme"\ntarget = "worker"\nrules = { shop = "rules.json" }\nlists = { office = "office.txt" }\n[delivery]\npush = true\n',
    "rules.json": '[{"id":"staff","action":"bypass_waiting_room","expression":"ip.src in $office","description":"","enabled":true}]',
    "office.txt": `${network}\n`,
  });
  const site = await Site.of(t, { kv: { info: shop(3), policy: policy("192.0.2.0/24") } });
  const from = (ip) => ({ headers: { "cf-connecting-ip": ip } });
  const { told } = await site.passed("/shop", from("192.0.2.7"));
  assert.equal(told.headers["x-velvetrope-verdict"], "bypass;rule=staff");
  assert.equal((await site.get("/shop", from("198.51.100.7"))).status, 302);
  await (await site.kv()).put("policy", policy("198.51.100.0/24"));
  await becomes(() => site.passed("/shop", from("198.51.100.7")));
  assert.equal((await site.get("/shop", from("192.0.2.7"))).status, 302);
});

test("a configuration that is no good leaves the last good one in force", async (t) => {
  const site = await Site.of(t);
  assert.equal(await version(site), "3");
  const kv = await site.kv();
  for (const bad of [shop(9).slice(0, 100), "", "null", '{"Version":9}{', shop(9, { Triggers: null })]) {
    await kv.put("info", bad);
    await refreshed(site);
    assert.equal(await version(site), "3", bad);
  }
  await kv.put("policy", "{");
  await kv.put("info", shop(9));
  await refreshed(site);
  assert.equal(await version(site), "3", "the policy is no good");
  await kv.delete("policy");
  await becomes(async () => assert.equal(await version(site), "9"));
});

/** Keeps asking until a refresh must have happened. */
async function refreshed(site) {
  for (const end = Date.now() + 2_500; Date.now() < end; ) {
    await site.get("/about");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

for (const [onFailure, status] of [["open", 200], ["closed", 503]]) {
  const variables = { VELVETROPE_ON_FAILURE: onFailure };

  const assertFailed = async (site, what) => {
    const response = await site.get("/shop?a=1");
    assert.equal(response.status, status, what);
    assert.equal(response.headers.get("x-queueit-failed"), "true", what);
    assert.equal(response.headers.get("x-queueit-connector"), "cloudflare", what);
    if (status === 503) {
      assert.match(response.headers.get("retry-after"), /^[1-9]\d*$/, what);
      assert.equal(site.origin.requests.length, 0, what);
    } else {
      assert.equal(site.origin.requests.at(-1).headers["x-velvetrope-verdict"], "failed-open", what);
    }
    await response.arrayBuffer();
  };

  test(`without a usable configuration requests fail ${onFailure}`, async (t) => {
    const site = await Site.of(t, { kv: {}, variables });
    await assertFailed(site, "no configuration");
    const kv = await site.kv();
    const whole = shop(5);
    for (const bad of [whole.slice(0, whole.length / 2), "\u0000\u0001", "null", "{}", new Uint8Array([0xff, 0xfe])]) {
      await kv.put("info", bad);
      await refreshed(site);
      await assertFailed(site, `${bad}`);
    }
    await kv.put("info", whole);
    await becomes(async () => assert.equal(await version(site), "5"));
  });

  test(`where the store cannot be read requests fail ${onFailure}`, async (t) => {
    const store = new Store({ info: shop(5) });
    store.isBroken = true;
    const site = await Site.of(t, { kv: {}, variables, ...store.options() });
    await assertFailed(site, "the store is broken");
    store.isBroken = false;
    await becomes(async () => assert.equal(await version(site), "5"));
    store.isBroken = true;
    await refreshed(site);
    assert.equal(await version(site), "5", "what was read stays in force");
    store.isBroken = false;
    store.entries.set("info", shop(6));
    await becomes(async () => assert.equal(await version(site), "6"));
  });

  test(`where the store hangs nobody waits after the first have, and requests fail ${onFailure}`, PATIENCE, async (t) => {
    const store = new Store({ info: shop(5) });
    const site = await Site.of(t, { kv: {}, variables, ...store.options() });
    t.after(() => store.goOn());
    store.hang();
    await assertFailed(site, "the store hangs");
    // If each waited for as long as the first, this would take minutes.
    for (let visitor = 0; visitor < 60; visitor += 1) await assertFailed(site, "it still hangs");
    store.goOn();
    await becomes(async () => assert.equal(await version(site), "5"));
    store.hang();
    await refreshed(site);
    assert.equal(await version(site), "5", "what was read stays in force");
    store.entries.set("info", shop(6));
    store.goOn();
    await becomes(async () => assert.equal(await version(site), "6"));
  });

  test(`without the namespace requests fail ${onFailure}`, async (t) => {
    const site = await Site.of(t, { kv: {}, variables, worker: { kvNamespaces: {} } });
    await assertFailed(site, "no namespace");
  });
}

test("what the policy says of failures comes before the variable", async (t) => {
  const policy = JSON.stringify({
    "velvetrope.toml": 'customer_id = "acme"\ntarget = "worker"\n[failure]\ninvalid_configuration = "closed"\nretry_after = 7\n[delivery]\npush = true\n',
  });
  const site = await Site.of(t, { kv: { info: "{", policy }, variables: { VELVETROPE_ON_FAILURE: "open" } });
  const response = await site.get("/shop");
  assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "7"]);
});

test("by default requests fail open", async (t) => {
  const site = await Site.of(t, { kv: {} });
  const { told, response } = await site.passed("/shop");
  assert.equal(told.headers["x-velvetrope-verdict"], "failed-open");
  assert.equal(response.headers.get("x-queueit-failed"), "true");
});

test("variables may be entries of the store", async (t) => {
  const site = await Site.of(t, {
    kv: { info: shop(3), QUEUEIT_CUSTOMERID: "other", QUEUEIT_SECRETKEY: "from the store", QUEUEIT_SECRETKEY_PREVIOUS: "before" },
    variables: { QUEUEIT_CUSTOMERID: undefined, QUEUEIT_SECRETKEY: undefined },
  });
  assert.match((await site.get("/shop")).headers.get("location"), /\?c=other&/);
  for (const secret of ["from the store", "before"]) {
    const { told } = await site.passed("/shop", { headers: { cookie: session({}, secret) } });
    assert.equal(told.headers["x-velvetrope-verdict"], "session;room=shop");
  }
  await assertPushed(site, push(shop(4), "from the store"), 200);
});

test("a binding comes before an entry of the store", async (t) => {
  const site = await Site.of(t, { kv: { info: shop(3), QUEUEIT_CUSTOMERID: "other", QUEUEIT_SECRETKEY: "other" } });
  assert.match((await site.get("/shop")).headers.get("location"), /\?c=acme&/);
  assert.equal((await site.get("/shop", { headers: { cookie: session({}, "other") } })).status, 302);
  const response = await site.get(`/shop?queueittoken=${token()}`);
  assert.equal(response.headers.get("location"), "/shop");
});

test("one isolate compiles a version once, and stores what it compiled", async (t) => {
  const store = new Store({ info: shop(5) });
  const site = await Site.of(t, { kv: {}, variables: { VELVETROPE_REFRESH_SECONDS: "1" }, ...store.options() });
  const answers = await Promise.all(Array.from({ length: 50 }, () => site.get("/shop")));
  assert.ok(answers.every((answer) => answer.status === 302));
  await becomes(async () => assert.equal(store.writes("compiled"), 1));
  await refreshed(site);
  assert.equal(store.writes("compiled"), 1);
  store.entries.set("info", shop(6));
  await becomes(async () => assert.equal(await version(site), "6"));
  await becomes(async () => assert.equal(store.writes("compiled"), 2));
  await refreshed(site);
  assert.equal(store.writes("compiled"), 2);
});

test("the store is not asked for each request", async (t) => {
  const store = new Store({ info: shop(5) });
  const site = await Site.of(t, { kv: {}, variables: { VELVETROPE_REFRESH_SECONDS: "3600" }, ...store.options() });
  assert.equal(await version(site), "5");
  await becomes(async () => assert.equal(store.writes("compiled"), 1));
  const reads = store.reads;
  for (let round = 0; round < 20; round += 1) await site.get("/shop");
  assert.equal(store.reads, reads);
});

test("what another isolate compiled is used", async (t) => {
  const store = new Store({ info: shop(5) });
  const first = await Site.of(t, { kv: {}, ...store.options() });
  assert.equal(await version(first), "5");
  await becomes(async () => assert.equal(store.writes("compiled"), 1));
  const second = await Site.of(t, { kv: {}, ...store.options() });
  assert.equal(await version(second), "5");
  await refreshed(second);
  assert.equal(store.writes("compiled"), 1, "it was compiled again");
});

test("a compiled form that is damaged is not used", async (t) => {
  const whole = new Store({ info: shop(5) });
  const site = await Site.of(t, { kv: {}, ...whole.options() });
  assert.equal(await version(site), "5");
  await becomes(async () => assert.equal(whole.writes("compiled"), 1));
  const [key] = whole.compiled();
  const { value: compiled } = whole.entry(key);
  const damaged = Buffer.from(compiled);
  damaged[damaged.length >> 1] ^= 1;
  for (const [what, value] of [
    ["damaged", damaged],
    ["cut in half", compiled.subarray(0, compiled.length / 2)],
    ["empty", Buffer.alloc(0)],
  ]) {
    const store = new Store({ info: shop(5) });
    store.entries.set(key, { value, metadata: null });
    const other = await Site.of(t, { kv: {}, ...store.options() });
    assert.equal(await version(other), "5", what);
    await becomes(async () => assert.deepEqual(store.entry(key).value, compiled, what));
  }
});

test("odd variables do no harm", async (t) => {
  for (const seconds of ["0", "-5", "a minute", "1e99", ""]) {
    const site = await Site.of(t, { variables: { VELVETROPE_REFRESH_SECONDS: seconds } });
    assert.equal(await version(site), "3", seconds);
  }
  const site = await Site.of(t, { kv: {}, variables: { VELVETROPE_ON_FAILURE: "perhaps" } });
  assert.equal((await site.get("/shop")).headers.get("x-queueit-failed"), "true");
});

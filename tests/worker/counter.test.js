// Decisions are counted in a Durable Object, and who has the token may read them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { integration, published, session, token } from "./support/queueit.js";
import { Site, becomes } from "./support/site.js";

const PATH = "/__velvetrope/decisions";
const TOKEN = "a-token-for-operators";
const authorization = (secret) => ({ headers: { authorization: `Bearer ${secret}` } });

test("decisions are counted, and told to who has the token", async (t) => {
  const site = await Site.of(t, {
    kv: { info: published([integration("/ignored", { ActionType: "Ignore" }), integration("/shop")]) },
    variables: { VELVETROPE_ADMIN_TOKEN: TOKEN, VELVETROPE_COUNT_SECONDS: "1" },
  });
  const visits = Array.from({ length: 30 }, (_, index) => [
    ["/about", {}],
    ["/ignored", {}],
    [`/shop?visitor=${index}`, {}],
    [`/shop?visitor=${index}`, { headers: { cookie: session() } }],
    [`/shop?queueittoken=${token()}`, {}],
  ]).flat();
  await Promise.all(visits.map(([path, init]) => site.get(path, init)));
  const expected = { pass: 30, ignore: 30, queue: 30, session: 30, token: 30 };
  await becomes(async () => {
    const response = await site.get(PATH, authorization(TOKEN));
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type"), /^application\/json/);
    assert.match(response.headers.get("cache-control"), /no-store/);
    const told = await response.json();
    const { decisions = told } = told;
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((label) => [label, decisions[label]])), expected);
  });
  assert.ok(!site.origin.requests.some(({ url }) => url.startsWith(PATH)));
});

test("who has not the token is told nothing", async (t) => {
  const site = await Site.of(t, { variables: { VELVETROPE_ADMIN_TOKEN: TOKEN } });
  for (const init of [{}, authorization("wrong"), authorization(""), authorization(`${TOKEN}x`), authorization(TOKEN.slice(1)),
    { headers: { authorization: TOKEN } }, { headers: { authorization: `Basic ${TOKEN}` } }]) {
    const response = await site.get(PATH, init);
    assert.equal(response.status, 401, JSON.stringify(init));
    assert.ok(!(await response.text()).includes("session"));
  }
  assert.equal((await site.get(`${PATH}?token=${TOKEN}`)).status, 401);
  assert.ok(!site.logs.includes(TOKEN));
});

test("without a token it does not exist", async (t) => {
  for (const none of [undefined, ""]) {
    const site = await Site.of(t, { variables: { VELVETROPE_ADMIN_TOKEN: none } });
    for (const init of [{}, authorization("undefined"), authorization(""), authorization("null")]) {
      const { told } = await site.passed(PATH, init);
      assert.equal(told.url, PATH);
    }
  }
});

test("without the binding nothing is counted, and everybody is served", async (t) => {
  const rule = { id: "early", action: "bypass_waiting_room", expression: 'http.request.uri.path eq "/shop/early"' };
  const policy = JSON.stringify({
    "velvetrope.toml": 'customer_id = "acme"\nrules = { shop = "rules.json" }\n',
    "rules.json": JSON.stringify([rule]),
  });
  const kv = { info: published([integration("/shop")]), policy };
  const site = await Site.of(t, { kv, variables: { VELVETROPE_ADMIN_TOKEN: TOKEN, VELVETROPE_COUNT_SECONDS: "1" }, worker: { durableObjects: {} } });
  const { told } = await site.passed("/shop/early");
  assert.equal(told.headers["x-velvetrope-verdict"], "bypass;rule=early");
  assert.equal((await site.get("/shop")).status, 302);
  assert.equal((await site.get(PATH, authorization(TOKEN))).status, 503);
});

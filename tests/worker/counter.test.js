// Decisions are counted in a Durable Object, and who has the token may read them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Response } from "miniflare";
import { integration, published, session, token } from "./support/queueit.js";
import { Site, becomes } from "./support/site.js";

const PATH = "/__velvetrope/decisions";
const TOKEN = "a-token-for-operators";
const NOTHING = JSON.stringify({ decisions: {}, rules: {} });
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

test("nothing is counted unless somebody asks for it", async (t) => {
  for (const seconds of [undefined, ""]) {
    const site = await Site.of(t, { variables: { VELVETROPE_ADMIN_TOKEN: TOKEN, VELVETROPE_COUNT_SECONDS: seconds } });
    await Promise.all(Array.from({ length: 20 }, () => site.get("/shop")));
    const response = await site.get(PATH, authorization(TOKEN));
    assert.equal(response.status, 503);
    assert.match((await response.json()).error, /VELVETROPE_COUNT_SECONDS/);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const { DECISIONS: counters } = await site.miniflare.getBindings("velvetrope");
    const told = await (await counters.get(counters.idFromName("site")).fetch("https://counter/", { method: "POST", body: NOTHING })).json();
    assert.deepEqual(told, { decisions: {} });
  }
});

test("what an isolate has counted is sent together, and what is last is sent, too", { timeout: 120_000 }, async (t) => {
  const { options, sent } = listening();
  const site = await Site.of(t, { variables: { VELVETROPE_COUNT_SECONDS: "3" }, ...options });
  for (let round = 0; round < 70; round += 1) {
    await site.get("/shop");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const total = () => sent.reduce((sum, { decisions }) => sum + (decisions.queue ?? 0), 0);
  await becomes(() => assert.equal(total(), 70));
  assert.ok(sent.length <= 4, `${sent.length} batches for some seven seconds`);
});

/** A counter that a test holds in its hands. */
function listening() {
  const sent = [];
  const script = `
    export class DecisionCounter {
      constructor(state, env) { this.env = env; }
      fetch(request) { return this.env.told.fetch(new Request("http://told/", request)); }
    }
    export default { fetch: () => new Response(null) };
  `;
  const told = async (request) => {
    sent.push(await request.json());
    return Response.json({ decisions: {} });
  };
  const counter = { name: "counter", modules: true, script, serviceBindings: { told }, durableObjects: { OWN: { className: "DecisionCounter", useSQLite: true } } };
  const options = {
    worker: { durableObjects: { DECISIONS: { className: "DecisionCounter", scriptName: "counter", useSQLite: true } } },
    others: [counter],
  };
  return { options, sent };
}

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

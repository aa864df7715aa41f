// Nothing that comes from outside brings it down, and every request has a defined answer.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { exchange, keepingAlive, raw } from "./support/http.js";
import { CUSTOMER, SESSION_NAME, hmac, integration, now, published, push, session, sessionParts, setCookie, token } from "./support/queueit.js";
import { seeds } from "./support/seeds.js";
import { Site } from "./support/site.js";

const PATIENCE = { timeout: 300_000 };
const AT_ONCE = 16;

let site;
let address;
before(async () => {
  site = await Site.start({
    kv: { info: published([integration("/shop"), integration("/out", { ActionType: "Cancel" })]) },
    variables: { VELVETROPE_REFRESH_SECONDS: "3600" },
  });
  address = await site.address();
});
after(() => site.stop());

const HEAD = "Host: tickets.example\r\nConnection: close\r\n";

/** The Worker itself has answered, by its policy. */
function assertDecided(answer, what) {
  assert.ok(answer.status < 500, `${answer.status} to ${what}`);
  assert.equal(answer.headers["x-queueit-connector"], "cloudflare", `${answer.status} to ${what}`);
  assert.equal(answer.headers["x-queueit-failed"], undefined, what);
}

async function assertServes() {
  const response = await site.get("/shop");
  assert.match(response.headers.get("location"), /^https:\/\/acme\.queue-it\.net\/\?c=acme&e=shop&/);
  const { told } = await site.passed("/shop", { headers: { cookie: session() } });
  assert.equal(told.headers["x-velvetrope-verdict"], "session;room=shop");
}

test("a token may be long", async () => {
  const long = "q".repeat(8_000);
  const good = await site.get(`/shop?queueittoken=${token({ q: long })}`);
  assert.equal(good.headers.get("location"), "/shop");
  const [cookie] = good.headers.getSetCookie().map(setCookie);
  assert.equal(sessionParts(cookie.value).QueueId, long);
  for (const bad of [long, "~".repeat(8_000), "e_".repeat(4_000), `${token()}${long}`, "%25".repeat(2_700), "%".repeat(8_000)]) {
    const response = await site.get(`/shop?queueittoken=${bad}`);
    assert.match(response.headers.get("location") ?? "", /^https:\/\/acme\.queue-it\.net\/error\/hash\//, bad.slice(0, 20));
  }
  await assertServes();
});

test("there may be many cookies", async () => {
  const others = Array.from({ length: 200 }, (_, index) => `${SESSION_NAME}other${index}=${"v".repeat(20)}%zz${index}; =; a`);
  others.splice(120, 0, session());
  const { told } = await site.passed("/shop", { headers: { cookie: others.join("; ") } });
  assert.equal(told.headers["x-velvetrope-verdict"], "session;room=shop");
  const same = Array.from({ length: 200 }, (_, index) => session({ queue: `q${index}` }, index === 199 ? undefined : "forged"));
  assert.equal((await site.passed("/shop", { headers: { cookie: same.join("; ") } })).response.status, 200, "the last one counts");
});

test("bytes that are no UTF-8 have an answer", async () => {
  const bytes = (text) => Buffer.from(text, "latin1");
  const passes = await raw(address, bytes(`GET /shop HTTP/1.1\r\n${HEAD}X-A: \xff\xfe\x80\r\nUser-Agent: \xe0\xa4\r\nCookie: \xff=\xfe; ${session()}\r\n\r\n`));
  assert.equal(passes.status, 200, passes.head);
  for (const header of ["Cookie: \xff\xfe", `Cookie: ${SESSION_NAME}shop=\xff\xfe%ff`, "X-Queueittoken: e_shop~\xff~h_\xfe",
    "Cf-Connecting-Ip: \xff", "Cf-Connecting-Ip: 1.2.3.4, 5.6.7.8", "Cf-Connecting-Ip: fe80::1%eth0", "Referer: \x80"]) {
    const answer = await raw(address, bytes(`GET /shop HTTP/1.1\r\n${HEAD}${header}\r\n\r\n`));
    assert.equal(answer.status, 302, `${answer.status} to ${JSON.stringify(header)}`);
    assert.match(answer.head, /^x-queueit-connector: cloudflare\r?$/im);
  }
  const ajax = await raw(address, bytes(`GET /shop HTTP/1.1\r\n${HEAD}X-Queueit-Ajaxpageurl: \xff%ff%\r\n\r\n`));
  assert.equal(ajax.status, 200);
  assert.match(ajax.head, /^x-queueit-redirect: /im);
  await assertServes();
});

test("URLs that are none have an answer", async () => {
  for (const path of ["/shop/\xff\xfe", "/shop?\xff", "/shop?queueittoken=\xff\xfe", "/shop/%ff%00%0d%0a", "/shop?queueittoken=%0d%0aSet-Cookie:%20x=y",
    "/shop/..//..\\%2e%2e", "//shop", `/shop/${"x".repeat(8_000)}`, "/shop?a=%u0041&%", "/shop#fragment"]) {
    const answer = await raw(address, Buffer.from(`GET ${path} HTTP/1.1\r\n${HEAD}\r\n`, "latin1"));
    assert.ok([200, 302, 400].includes(answer.status), `${answer.status} to ${path}`);
    assert.doesNotMatch(answer.head, /^set-cookie: x=y/im);
  }
  await assertServes();
});

test("odd times have an answer", async () => {
  const times = ["0", "-1", "1e3", "99999999999999999999", "9".repeat(400), "0x7fffffff", "", " ", "NaN", "abc", String(now() + 10 ** 9), "9007199254740993"];
  for (const time of times) {
    const headers = { cookie: session({ issued: time }) };
    assertDecided(await exchange(address, { path: "/shop", headers }), `a session of ${time}`);
    assertDecided(await exchange(address, { path: `/shop?queueittoken=${encodeURIComponent(token({ ts: time }))}` }), `a token until ${time}`);
    assertDecided(await exchange(address, { path: "/shop", headers: { cookie: session({ validity: time }) } }), `a session for ${time}`);
    assertDecided(await exchange(address, { path: `/shop?queueittoken=${encodeURIComponent(token({ cv: time }))}` }), `a token for ${time}`);
    assertDecided(await exchange(address, { path: `/shop?queueittoken=${encodeURIComponent(token({ e: undefined, rt: "debug", ts: time }))}` }), `debug until ${time}`);
  }
  await assertServes();
});

test("what fuzzing starts from and what it found has an answer", PATIENCE, async () => {
  const requests = Object.entries(seeds()).flatMap(([target, seeds]) => seeds.flatMap((seed, index) => {
    const start = seed.subarray(0, 6_000);
    const inUrl = [...start].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("").slice(0, 12_000);
    const inHeader = start.toString("latin1").replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, "?");
    const as = {
      "a token": { path: `/shop?queueittoken=${inUrl}` },
      "a path": { path: `/shop/${encodeURI(start.toString("latin1").replaceAll(/[#?\0-\x1f]/g, "-"))}` },
      headers: { path: "/shop", headers: { cookie: inHeader, "x-queueittoken": inHeader, "user-agent": inHeader } },
      "a session": { path: "/out", headers: { cookie: `${SESSION_NAME}shop=${inHeader}`, "x-queueit-ajaxpageurl": inHeader } },
    };
    return Object.entries(as).map(([where, request]) => ({ what: `${target} seed ${index} as ${where}`, request }));
  }));
  assert.ok(requests.length > 10_000, `only ${requests.length} requests`);
  await each(AT_ONCE, requests, async ({ what, request }, agent) => {
    assertDecided(await exchange(address, { agent, ...request }), what);
  });
  await assertServes();
});

/** Does something with everything, so many at once. */
async function each(atOnce, all, act) {
  const agent = keepingAlive(atOnce);
  const left = [...all];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let next = left.pop(); next; next = left.pop()) await act(next, agent);
  }));
  agent.destroy();
}

test("what fuzzing starts from and what it found may be pushed, and signed ones are taken if they compile", PATIENCE, async (t) => {
  // Their versions go up and down.
  const policy = JSON.stringify({ "velvetrope.toml": `customer_id = "${CUSTOMER}"\n[delivery]\nallow_older = true\n` });
  const other = await Site.of(t, { kv: { policy } });
  const to = await other.address();
  const { integration: configurations, push: bodies, saved } = seeds();
  const all = [...configurations, ...bodies, ...saved];
  const pushed = (body, agent) => exchange(to, { agent, method: "PUT", path: "/?__push_queueit_config", body });
  // No more are taken at once.
  await each(4, all, async (seed, agent) => {
    const answer = await pushed(seed, agent);
    assert.deepEqual([answer.status, answer.headers["x-queueit-connector"]], [400, "cloudflare"], seed.toString().slice(0, 200));
  });
  let accepted = 0;
  await each(4, all, async (seed, agent) => {
    const hex = seed.toString("hex");
    const answer = await pushed(JSON.stringify({ integrationInfo: hex, hash: hmac(hex) }), agent);
    assert.ok([200, 400].includes(answer.status), `${answer.status} to ${seed.toString().slice(0, 200)}`);
    accepted += answer.status === 200;
  });
  assert.ok(accepted > 100, `only ${accepted} were accepted`);
  const response = await other.get("/?__push_queueit_config", { method: "PUT", body: push(published([integration("/end")], 99)) });
  assert.equal(response.status, 200);
});

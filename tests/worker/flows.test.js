// What becomes of visitors: every flow of the protocol through the deployed bundle.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { exchange } from "./support/http.js";
import {
  SESSION_NAME, hmac, integration, now, part, published, session, sessionParts, sessionValue, setCookie, token,
} from "./support/queueit.js";
import { HOST, ROOT, Site } from "./support/site.js";

const VERSION = /^version = "(.*)"$/m.exec(readFileSync(new URL("Cargo.toml", ROOT), "utf8"))[1];
const VERDICT = "x-velvetrope-verdict";
const KUPVER = `&kupver=cloudflare-${VERSION}`;
const PREVIOUS = "the-secret-before";

const INTEGRATIONS = [
  integration("/cancel", { Name: "Out", ActionType: "Cancel", InvolvedWaitingRoomIds: ["lounge"] }),
  integration("/ignored", { Name: "Never mind", ActionType: "Ignore" }),
  integration("/shop/flags", { CookieDomain: ".tickets.example", IsCookieHttpOnly: true, IsCookieSecure: true }),
  integration("/shop"),
  integration("/fixed", { EventId: "fixed", RedirectLogic: "ForcedTargetUrl", ForcedTargetUrl: "https://tickets.example/start" }),
  integration("", {
    EventId: "kiosk",
    Triggers: [
      { LogicalOperator: "And", TriggerParts: [{ ValidatorType: "HttpHeaderValidator", HttpHeaderName: "X-Kiosk", Operator: "Equals", ValueToCompare: "Zurich", IsIgnoreCase: true }] },
      { LogicalOperator: "And", TriggerParts: [{ ValidatorType: "CookieValidator", CookieName: "kiosk", Operator: "Equals", ValueToCompare: "7 up" }] },
      { LogicalOperator: "And", TriggerParts: [{ ValidatorType: "UserAgentValidator", Operator: "Contains", ValueToCompare: "kiosk" }] },
      { LogicalOperator: "And", TriggerParts: [part({ UrlPart: "HostName", Operator: "Equals", ValueToCompare: "kiosk.example" })] },
    ],
  }),
];

const rule = (id, expression) => ({ id, expression, action: "bypass_waiting_room", description: id, enabled: true });

const POLICY = JSON.stringify({
  "velvetrope.toml": `
    customer_id = "acme"
    target = "worker"
    rules = { shop = "rules.json" }
    lists = { office = "office.txt" }
    [delivery]
    push = true`,
  "rules.json": JSON.stringify([
    rule("by path", 'http.request.uri.path eq "/shop/vip"'),
    rule("by address", "ip.src eq 203.0.113.7"),
    rule("by list", "ip.src in $office"),
    rule("by country", 'ip.src.country eq "LI"'),
    rule("by network", "ip.src.asnum eq 64500"),
    rule("by TLS", 'http.request.uri.path eq "/shop/tls" and cf.tls_version eq "TLSv1.3"'),
  ]),
  "office.txt": "198.51.100.0/24 # the office\n2001:db8::/48\n",
});

let site;
before(async () => {
  site = await Site.start({
    kv: { info: published(INTEGRATIONS), policy: POLICY },
    variables: { QUEUEIT_SECRETKEY_PREVIOUS: PREVIOUS },
  });
});
after(() => site.stop());

/** Asks, and asserts that the origin was not asked. */
async function answered(path, init) {
  const asked = site.origin.requests.length;
  const response = await site.get(path, init);
  assert.equal(site.origin.requests.length, asked, `${path} went to the origin`);
  return response;
}

function assertNotCached(response) {
  assert.equal(response.headers.get("cache-control"), "no-cache, no-store, must-revalidate, max-age=0");
  assert.equal(response.headers.get("pragma"), "no-cache");
  assert.equal(response.headers.get("expires"), "Fri, 01 Jan 1990 00:00:00 GMT");
  assert.equal(response.headers.get("x-queueit-connector"), "cloudflare");
}

/** The URL of the waiting room that a first visit of `target` is sent to. */
function room(target, { path = "", event = "shop", more = "" } = {}) {
  const t = target && `&t=${encodeURIComponent(target)}`;
  const page = "&cid=de-CH&l=Lights%20%26%20Stars";
  return `https://acme.queue-it.net/${path}?c=acme&e=${event}&ver=velvetrope-${VERSION}&cver=3&man=Shop${page}${more}${t}`;
}

test("a first visit goes to the waiting room", async () => {
  const response = await answered("/shop?a=1&b=%20x");
  assert.equal(response.status, 302);
  assert.equal(response.headers.get("location"), room(`${HOST}/shop?a=1&b=%20x`) + KUPVER);
  assertNotCached(response);
  assert.deepEqual(response.headers.getSetCookie(), []);
  assert.equal(await response.text(), "");
});

test("the room may send visitors to a fixed place", async () => {
  const response = await answered("/fixed/deep");
  assert.equal(response.headers.get("location"), room("https://tickets.example/start", { event: "fixed" }) + KUPVER);
});

test("what nothing matches passes", async () => {
  const { response, told } = await site.passed("/about?x=%2F", { headers: { "x-mine": "1" } });
  assert.equal(response.headers.get("x-queueit-connector"), "cloudflare");
  assert.equal(told.headers[VERDICT], "pass");
  assert.deepEqual([told.method, told.url, told.headers["x-mine"]], ["GET", "/about?x=%2F", "1"]);
  assert.deepEqual(response.headers.getSetCookie(), []);
});

test("whoever comes back with a token gets a session and a URL without the token", async () => {
  const before = now();
  const response = await answered(`/shop?a=1&queueittoken=${token()}&b=2`);
  assert.equal(response.status, 302);
  assert.equal(response.headers.get("location"), "/shop?a=1&b=2");
  assertNotCached(response);
  const [cookie, ...none] = response.headers.getSetCookie().map(setCookie);
  assert.deepEqual(none, []);
  const issued = Number(sessionParts(cookie.value).IssueTime);
  assert.ok(before <= issued && issued <= now());
  assert.equal(cookie.name, `${SESSION_NAME}shop`);
  assert.equal(cookie.value, sessionValue({ issued }));
  assert.deepEqual(cookie.attributes, [`expires=${new Date((issued + 86_400) * 1000).toUTCString()}`, "path=/"]);

  const headers = { cookie: `a=b; ${cookie.name}=${encodeURIComponent(cookie.value)}` };
  const { told } = await site.passed("/shop?a=1&b=2", { headers });
  assert.equal(told.headers[VERDICT], "session;room=shop");
});

test("cookies carry the attributes that the integration asks for, and the token's validity and address", async () => {
  const hip = hmac("192.0.2.9");
  const path = `/shop/flags?queueittoken=${token({ cv: 3, hip, rt: "SafetyNet" })}`;
  const response = await answered(path, { headers: { "cf-connecting-ip": "192.0.2.9" } });
  const [cookie] = response.headers.getSetCookie().map(setCookie);
  const issued = Number(sessionParts(cookie.value).IssueTime);
  assert.equal(cookie.value, sessionValue({ validity: 3, hip, type: "safetynet", issued }));
  assert.deepEqual(cookie.attributes.slice(1), ["domain=.tickets.example", "HttpOnly", "Secure", "path=/"]);
});

test("a session passes, and is renewed on the response", async () => {
  const issued = now() - 600;
  const { response, told } = await site.passed("/shop", { headers: { cookie: `x=1; ${session({ issued })}` } });
  assert.equal(told.headers[VERDICT], "session;room=shop");
  assert.equal(told.headers.cookie, `x=1; ${session({ issued })}`);
  const [cookie, ...none] = response.headers.getSetCookie().map(setCookie);
  assert.deepEqual(none, []);
  const renewed = Number(sessionParts(cookie.value).IssueTime);
  assert.ok(renewed > issued + 590 && renewed <= now());
  assert.equal(cookie.value, sessionValue({ issued: renewed }));
  assert.equal(response.headers.get("x-queueit-connector"), "cloudflare");
});

test("a session of fixed validity is not renewed", async () => {
  const { response } = await site.passed("/shop", { headers: { cookie: session({ validity: 20 }) } });
  assert.deepEqual(response.headers.getSetCookie(), []);
});

test("a session is no good when forged, expired, of another room or of another address", async () => {
  const refused = {
    forged: [session({}, "another secret"), ""],
    expired: [session({ issued: now() - 20 * 60 - 60 }), ""],
    ["of another address"]: [session({ hip: hmac("192.0.2.1") }), "error/connector/sessionstate/"],
  };
  for (const [what, [cookie, path]] of Object.entries(refused)) {
    const response = await answered("/shop", { headers: { cookie, "cf-connecting-ip": "192.0.2.2" } });
    assert.equal(response.status, 302, what);
    assert.ok(response.headers.get("location").startsWith(`https://acme.queue-it.net/${path}?`), response.headers.get("location"));
    assert.deepEqual(response.headers.getSetCookie(), [
      `${SESSION_NAME}shop=; expires=Thu, 01 Jan 1970 00:00:00 GMT; path=/`,
    ], what);
  }
  const other = await answered("/shop", { headers: { cookie: session({ event: "lounge" }) } });
  assert.deepEqual([other.status, other.headers.getSetCookie()], [302, []]);
});

test("a session of an address holds for that address", async () => {
  const headers = { cookie: session({ hip: hmac("192.0.2.1") }), "cf-connecting-ip": "192.0.2.1" };
  const { told } = await site.passed("/shop", { headers });
  assert.equal(told.headers[VERDICT], "session;room=shop");
});

test("the secret before is still good, and what is signed is signed with the new one", async () => {
  const cookie = session({}, PREVIOUS);
  const { response } = await site.passed("/shop", { headers: { cookie } });
  const [renewed] = response.headers.getSetCookie().map(setCookie);
  assert.equal(renewed.value, sessionValue({ issued: sessionParts(renewed.value).IssueTime }));
  const byToken = await answered(`/shop?queueittoken=${token({}, PREVIOUS)}`);
  assert.equal(byToken.headers.get("location"), "/shop");
});

test("a token that is no good says why", async () => {
  const ip = "192.0.2.77";
  const of = {
    hash: token({}, "another secret"),
    eventid: token({ e: "lounge" }),
    timestamp: token({ ts: now() - 5 }),
    ip: token({ hip: hmac("192.0.2.1") }),
  };
  for (const [code, bad] of Object.entries(of)) {
    const response = await answered(`/shop?queueittoken=${bad}&a=1`, { headers: { "cf-connecting-ip": ip } });
    assert.equal(response.status, 302);
    const location = response.headers.get("location");
    const at = new URL(location).searchParams.get("ts");
    assert.ok(Math.abs(at - now()) <= 2, at);
    const reason = code === "ip" ? `&icr=ip%2Ccip%3A${Buffer.from(ip).toString("hex")}%2Chip%3A${hmac("192.0.2.1")}` : "";
    const more = `${reason}&queueittoken=${bad}&ts=${at}`;
    assert.equal(location, room(`${HOST}/shop?a=1`, { path: `error/${code}/`, more }) + KUPVER);
    assert.deepEqual(response.headers.getSetCookie(), []);
  }
});

test("a token may come in a header", async () => {
  const { response, told } = await site.passed("/shop", { headers: { "x-queueittoken": token() } });
  assert.equal(told.headers[VERDICT], "token;room=shop");
  assert.equal(response.headers.getSetCookie().length, 1);
});

test("a script is told where to go", async () => {
  const page = "https://tickets.example/shop/page?x=1";
  const response = await answered("/shop/api", { headers: { "x-queueit-ajaxpageurl": encodeURIComponent(page) } });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("x-queueit-redirect"), encodeURIComponent(room(page)) + KUPVER);
  assert.equal(response.headers.get("access-control-expose-headers"), "x-queueit-redirect");
  assertNotCached(response);
  assert.equal(await response.text(), "");
});

test("whoever cancels loses the sessions of all rooms", async () => {
  const cookie = [session(), session({ event: "lounge", queue: "other" })].join("; ");
  const response = await answered("/cancel?why=1", { headers: { cookie } });
  assert.equal(response.status, 302);
  const target = encodeURIComponent(`${HOST}/cancel?why=1`);
  assert.equal(
    response.headers.get("location"),
    `https://acme.queue-it.net/cancel/multiple/acme?wrl=shop~queue-id_lounge~other&r=${target}${KUPVER}`,
  );
  assert.deepEqual(response.headers.getSetCookie(), ["shop", "lounge"].map((room) =>
    `${SESSION_NAME}${room}=; expires=Thu, 01 Jan 1970 00:00:00 GMT; path=/`));
  assertNotCached(response);
});

test("whoever has nothing to cancel passes", async () => {
  const { told } = await site.passed("/cancel", { headers: { cookie: session({}, "another secret") } });
  assert.equal(told.headers[VERDICT], "cancel");
});

test("what is to be ignored passes as it is", async () => {
  const path = `/ignored/shop?queueittoken=${token()}`;
  const { response, told } = await site.passed(path);
  assert.deepEqual([told.url, told.headers[VERDICT]], [path, "ignore"]);
  assert.deepEqual(response.headers.getSetCookie(), []);
});

test("whom a rule lets through passes untouched", async () => {
  const bypassed = {
    "by path": ["/shop/vip", {}],
    "by address": ["/shop/a", { headers: { "cf-connecting-ip": "203.0.113.7" } }],
    "by list": ["/shop/b", { headers: { "cf-connecting-ip": "198.51.100.200" } }],
    "by country": ["/shop/c", { cf: { country: "LI" } }],
    "by network": ["/shop/d", { cf: { asn: 64500 } }],
    "by TLS": ["/shop/tls", { cf: { tlsVersion: "TLSv1.3" } }],
  };
  for (const [id, [path, init]] of Object.entries(bypassed)) {
    const url = `${path}?queueittoken=${token({}, "forged")}`;
    const cookie = `${session({}, "forged")}; a=b`;
    const { response, told } = await site.passed(url, { ...init, headers: { ...init.headers, cookie } });
    assert.equal(told.headers[VERDICT], `bypass;rule=${encodeURIComponent(id)}`);
    assert.deepEqual([told.url, told.headers.cookie], [url, cookie]);
    assert.deepEqual(response.headers.getSetCookie(), [], id);
  }
  const ipv6 = await site.passed("/shop/b", { headers: { "cf-connecting-ip": "2001:db8::7" } });
  assert.equal(ipv6.told.headers[VERDICT], "bypass;rule=by%20list");
  for (const [path, init] of [
    ["/shop/vip2", {}],
    ["/shop/a", { headers: { "cf-connecting-ip": "203.0.113.8" } }],
    ["/shop/b", { headers: { "cf-connecting-ip": "198.51.101.1", "x-forwarded-for": "198.51.100.1" } }],
    ["/shop/c", { cf: { country: "CH" } }],
    ["/shop/d", { cf: { asn: 64501 } }],
    ["/shop/tls", { cf: { tlsVersion: "TLSv1.2" } }],
  ]) {
    assert.equal((await answered(path, init)).status, 302, `${path} ${JSON.stringify(init)}`);
  }
});

test("what the platform does not tell is missing, and does no harm", async () => {
  const address = await site.address();
  for (const path of ["/shop/c", "/shop/d", "/shop/tls"]) {
    const { status, headers } = await exchange(address, { path });
    assert.deepEqual([status, headers["x-queueit-failed"]], [302, undefined], path);
  }
  for (const cf of [{ tlsVersion: null }, { country: null, asn: "none", tlsVersion: 3 }, { country: "", asn: -1, tlsVersion: "" }]) {
    for (const path of ["/shop/c", "/shop/d", "/shop/tls"]) {
      const response = await answered(path, { cf });
      assert.deepEqual([response.status, response.headers.get("x-queueit-failed")], [302, null], JSON.stringify(cf));
    }
  }
});

test("a path cannot be disguised to slip through a rule or past one", async () => {
  const { told } = await site.passed("/shop/vip");
  assert.equal(told.headers[VERDICT], "bypass;rule=by%20path");
  // Some origins take them for the rule's path, and some for other pages of the shop.
  for (const path of ["/shop/%76ip", "/shop//vip", "/shop/vip;x", "/shop%2fvip", "/shop/x/..%2fvip"]) {
    assert.equal((await answered(path)).status, 302, path);
  }
});

const OTHER = "https://www.tickets.example";

test("preflights reach the site and bring back headers alone", async () => {
  const asks = { origin: OTHER, "access-control-request-method": "PUT" };
  site.origin.on("/shop/preflight", (_, response) => {
    response.writeHead(200, { "access-control-allow-methods": "PUT", "content-type": "text/plain" }).end("the page");
  });
  const asked = site.origin.requests.length;
  const response = await site.get("/shop/preflight", { method: "OPTIONS", headers: asks });
  assert.equal(site.origin.requests.length, asked + 1);
  assert.equal(site.origin.requests.at(-1).headers[VERDICT], "preflight");
  assert.deepEqual([response.status, await response.text()], [200, ""]);
  assert.equal(response.headers.get("access-control-allow-methods"), "PUT");
  const more = site.origin.requests.length;
  const body = new Blob(["more than a question"]).stream();
  assert.equal((await answered("/shop/preflight", { method: "OPTIONS", headers: asks, body, duplex: "half" })).status, 303);
  assert.equal(site.origin.requests.length, more);
  for (const name of Object.keys(asks)) {
    const { [name]: _, ...some } = asks;
    assert.equal((await answered("/shop/preflight", { method: "OPTIONS", headers: some })).status, 303, name);
  }
});

test("what is no navigation gets an answer for scripts", async () => {
  const headers = { origin: OTHER, "sec-fetch-mode": "cors", referer: `${HOST}/shop/page` };
  const response = await answered("/shop/api", { headers });
  assert.deepEqual([response.status, response.headers.get("content-type")], [429, "application/json"]);
  assert.equal(response.headers.get("access-control-allow-origin"), OTHER);
  assert.equal(response.headers.get("access-control-allow-credentials"), "true");
  assertNotCached(response);
  const told = await response.json();
  assert.deepEqual([told.error, told.room, told.queue_url], ["must_queue", "shop", room(`${HOST}/shop/page`) + KUPVER]);
  const page = await answered("/shop/api", { headers: { ...headers, "sec-fetch-mode": "navigate" } });
  assert.equal(page.status, 302);
});

test("a form that comes with a token arrives whole", async () => {
  const { response, told } = await site.passed(`/shop/order?queueittoken=${token()}`, { method: "POST", body: "tickets=2" });
  assert.deepEqual([told.method, told.body.length, told.headers[VERDICT]], ["POST", 9, "token;room=shop"]);
  assert.equal(response.headers.getSetCookie().length, 1);
  assert.equal(response.headers.get("cache-control"), "private, no-cache");
});

test("who keeps no cookies does not go round and round", async () => {
  const arrive = async () => (await answered(`/shop/round?a=1&queueittoken=${token({ q: "round" })}`)).headers;
  assert.equal((await arrive()).get("location"), "/shop/round?a=1");
  const marked = (await arrive()).get("location");
  assert.match(marked, /^\/shop\/round\?a=1&velvetrope_arrived=\d+-[\da-f]{32}$/);
  const lost = await answered(marked);
  assert.equal(lost.status, 403);
  assertNotCached(lost);
  assert.match(await lost.text(), /<a href="\/shop\/round\?a=1">/);
  const kept = await answered(marked, { headers: { cookie: session() } });
  assert.deepEqual([kept.status, kept.headers.get("location")], [302, "/shop/round?a=1"]);
});

test("triggers look at headers, cookies, the user agent and the host", async () => {
  for (const [url, headers] of [
    ["/", { "x-kiosk": "ZURICH" }],
    ["/", { cookie: "a=1; kiosk=7%20up" }],
    ["/", { "user-agent": "Mozilla/5.0 (kiosk)" }],
    ["https://kiosk.example/", {}],
  ]) {
    const response = await answered(url, { headers });
    assert.match(response.headers.get("location") ?? "", /&e=kiosk&/, JSON.stringify([url, headers]));
  }
  await site.passed("/", { headers: { "x-kiosk": "Zug", cookie: "kiosk=7 down", "user-agent": "none" } });
});

test("debug mode says what was decided by what", async () => {
  const debug = (fields, secret) => token({ e: undefined, q: undefined, rt: "debug", ...fields }, secret);
  const good = debug();
  const response = await answered(`/shop?queueittoken=${good}`, { headers: { "cf-connecting-ip": "192.0.2.5" } });
  assert.equal(response.status, 302);
  const [cookie] = response.headers.getSetCookie().map(setCookie);
  assert.equal(cookie.name, "queueitdebug");
  const told = Object.fromEntries(cookie.value.split("|").map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
  assert.equal(told.SdkVersion, `velvetrope-${VERSION}`);
  assert.equal(told.PureUrl, `${HOST}/shop`);
  assert.equal(told.QueueitToken, good);
  assert.equal(told.MatchedConfig, "Shop");
  assert.equal(told.ConfigVersion, "3");
  assert.equal(told.RequestIP, "192.0.2.5");

  const diagnostics = "https://acme.api2.queue-it.net/acme/diagnostics/connector/error/?code=";
  const forged = await answered(`/shop?queueittoken=${debug({}, "another secret")}`);
  assert.equal(forged.headers.get("location"), `${diagnostics}hash${KUPVER}`);
  const late = await answered(`/shop?queueittoken=${debug({ ts: now() - 5 })}`);
  assert.equal(late.headers.get("location"), `${diagnostics}timestamp${KUPVER}`);
});

test("the origin is told the truth, whatever the visitor says", async () => {
  for (const [path, verdict, headers] of [
    ["/about", "pass", {}],
    ["/ignored", "ignore", {}],
    ["/shop/vip", "bypass;rule=by%20path", {}],
    ["/shop", "session;room=shop", { cookie: session() }],
  ]) {
    const { response } = await site.passed(path, { headers: { ...headers, [VERDICT]: "bypass;rule=forged" } });
    const { rawHeaders } = site.origin.requests.at(-1);
    const verdicts = rawHeaders.filter((_, at) => rawHeaders[at - 1]?.toLowerCase() === VERDICT && at % 2 === 1);
    assert.deepEqual(verdicts, [verdict]);
    assert.equal(response.headers.get(VERDICT), null);
  }
});

test("nobody else can say a word of ours to the origin, however it is spelt", async () => {
  const forged = Object.fromEntries(
    ["X_Velvetrope_Verdict", "x-velvetrope_verdict", "x.velvetrope-verdict", "Forwarded", "X-Forwarded-Host", "X_Forwarded_For"]
      .map((name) => [name, "forged"]),
  );
  await site.passed("/about", { headers: { ...forged, "x-forwarded-hosts": "kept" } });
  const { rawHeaders } = site.origin.requests.at(-1);
  assert.equal(rawHeaders.includes("forged"), false, rawHeaders.join("\n"));
  assert.equal(rawHeaders.includes("kept"), true, rawHeaders.join("\n"));
});

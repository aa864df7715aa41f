// The connector in two halves, with something else than the visitor's URL behind the rope.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Response } from "miniflare";
import { Origin } from "./support/origin.js";
import { session, token } from "./support/queueit.js";
import { ROOT, Site, builtModules } from "./support/site.js";

/** Assets behind the rope, a second origin, an answer of its own, and the site. */
const OWN = `
  import { admit } from "./build/index.js";

  export default {
    async fetch(request, env, ctx) {
      const visit = await admit(request, env, ctx);
      const mine = visit.answer ?? visit.finish(await answer(visit, env));
      const response = new Response(mine.body, mine);
      response.headers.set("x-decision", visit.decision);
      return response;
    },
  };

  async function answer({ request }, env) {
    const { pathname, search } = new URL(request.url);
    if (pathname.endsWith(".css")) return env.ASSETS.fetch(request);
    if (pathname.startsWith("/shop/other")) return fetch(new Request("http://other.example" + pathname + search, request));
    if (pathname.startsWith("/shop/own")) {
      return new Response(request.headers.get("x-velvetrope-verdict"), { headers: { "cache-control": "public, max-age=600" } });
    }
    return fetch(request);
  }
`;

let site, other;
const asked = [];
before(async () => {
  other = await Origin.start();
  const entry = { type: "ESModule", path: new URL("own.js", ROOT).pathname, contents: OWN };
  const assets = (request) => {
    asked.push({ url: request.url, verdict: request.headers.get("x-velvetrope-verdict") });
    return new Response("an asset", { headers: { "content-type": "text/css", "cache-control": "public, max-age=600" } });
  };
  site = await Site.start({ worker: {
    modules: [entry, ...builtModules()], modulesRoot: ROOT.pathname, durableObjects: {}, serviceBindings: { ASSETS: assets },
  } });
});
after(() => Promise.all([site.stop(), other.stop()]));

const cookie = () => ({ headers: { cookie: session() } });

test("who has to wait sees nothing of what is behind", async () => {
  for (const path of ["/shop/site.css", "/shop/other", "/shop/own", "/shop"]) {
    const response = await site.get(path);
    assert.deepEqual([response.status, response.headers.get("x-decision")], [302, "queue"], path);
    assert.equal(await response.text(), "");
  }
  const entering = await site.get(`/shop/own?queueittoken=${token()}`);
  assert.deepEqual([entering.headers.get("location"), entering.headers.get("x-decision")], ["/shop/own", "token"]);
  assert.deepEqual([asked.length, site.origin.requests.length], [0, 0]);
});

test("assets behind the rope belong to who may see them", async () => {
  const inside = await site.get("/shop/site.css", cookie());
  assert.equal(await inside.text(), "an asset");
  assert.deepEqual(["cache-control", "x-decision", "x-queueit-connector"].map((name) => inside.headers.get(name)),
    ["private, max-age=600", "session", "cloudflare"]);
  assert.equal(inside.headers.getSetCookie().length, 1, "the session goes on");
  assert.match(asked.at(-1).verdict, /^session/);
  const outside = await site.get("/site.css");
  assert.deepEqual(["cache-control", "x-decision"].map((name) => outside.headers.get(name)), ["public, max-age=600", "pass"]);
});

test("other origins and answers of one's own stand behind it, too", async () => {
  const own = await site.get("/shop/own", cookie());
  assert.equal(await own.text(), "session;room=shop");
  assert.equal(own.headers.get("cache-control"), "private, max-age=600");
  const { response, told } = await site.passed("/shop/other?a=1", { ...cookie(), method: "POST", body: "a body" });
  assert.deepEqual([told.headers.host, told.url, told.method, told.body.length], ["other.example", "/shop/other?a=1", "POST", 6]);
  assert.equal(response.headers.getSetCookie().length, 1);
});

test("what somebody forged does not get behind it", async () => {
  const forged = { "x-velvetrope-verdict": "bypass", "x-original-url": "/admin", "x-forwarded-host": "evil.example", "x-velvetrope-passed": "1" };
  const { told } = await site.passed("/about", { headers: forged });
  assert.equal(told.headers["x-velvetrope-verdict"], "pass");
  assert.deepEqual([told.headers["x-original-url"], told.headers["x-forwarded-host"]], [undefined, undefined]);
  assert.match(told.headers["x-velvetrope-passed"], /^[0-9a-f]{64}$/);
});

test("who brings a mark is refused at most, and only after it has come by as often", async () => {
  const marks = [];
  for (const mark of ["", "never", "0".repeat(64)]) {
    const { told } = await site.passed("/about", { headers: { "x-velvetrope-passed": mark } });
    marks.push(told.headers["x-velvetrope-passed"]);
  }
  assert.equal(new Set(marks).size, 1, "a mark that nobody here has made counts for nothing");
  let [mark] = marks;
  for (let times = 1; times < 3; times += 1) {
    assert.equal((await site.get("/shop", { headers: { "x-velvetrope-passed": mark } })).status, 302, "the rope stands");
    mark = (await site.passed("/about", { headers: { "x-velvetrope-passed": mark } })).told.headers["x-velvetrope-passed"];
  }
  const before = site.origin.requests.length;
  const refused = await site.get("/about", { headers: { "x-velvetrope-passed": mark } });
  assert.deepEqual([refused.status, refused.headers.get("x-decision"), refused.headers.get("cache-control")], [508, "loop", "no-store"]);
  assert.equal((await site.get("/shop", { headers: { "x-velvetrope-passed": mark } })).status, 302, "the rope stands");
  assert.equal(site.origin.requests.length, before);
  await site.passed("/about");
});

// Visitors who come at the same time never see anything of each other.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SESSION_NAME, integration, now, published, session, sessionParts, setCookie, token } from "./support/queueit.js";
import { Site } from "./support/site.js";

const VISITORS = 200;

test("200 visitors at once each get what is theirs", { timeout: 120_000 }, async (t) => {
  const site = await Site.of(t, { kv: { info: published([integration("/shop", { InvolvedWaitingRoomIds: ["lounge"] })]) } });
  const visitors = Array.from({ length: VISITORS }, (_, number) => ({ number, queue: `visitor-${number}`, ip: `192.0.2.${number}` }));
  // The origin answers nobody before all who pass have come.
  const passing = visitors.filter(({ number }) => number % 2 === 0).length;
  let waiting = [];
  site.origin.on("/shop/all", (request, response) => {
    waiting.push(() => {
      response.setHeader("set-cookie", `origin=${request.headers["x-number"]}`);
      response.end(request.headers.cookie);
    });
    if (waiting.length % passing === 0) {
      waiting.forEach((answer) => answer());
      waiting = [];
    }
  });
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(visitors.map((visitor) => (visitor.number % 2 === 0 ? assertPasses(site, visitor) : assertEnters(site, visitor, round))));
  }
});

/** With a session; it is renewed. */
async function assertPasses(site, { number, queue, ip }) {
  const event = number % 4 === 0 ? "shop" : "lounge";
  const cookie = session({ event, queue, issued: now() - 100 - number });
  const headers = { cookie, "x-number": String(number), "cf-connecting-ip": ip };
  const response = await site.get("/shop/all", { headers });
  assert.equal(response.status, 200);
  assert.equal(await response.text(), cookie);
  const [origins, ours, ...more] = response.headers.getSetCookie();
  assert.deepEqual([origins, more], [`origin=${number}`, []]);
  assert.equal(setCookie(ours).name, `${SESSION_NAME}${event}`);
  assert.equal(sessionParts(setCookie(ours).value).QueueId, queue);
}

/** With a token. */
async function assertEnters(site, { number, queue, ip }, round) {
  const response = await site.get(`/shop?number=${number}&round=${round}&queueittoken=${token({ q: queue })}`, { headers: { "cf-connecting-ip": ip } });
  assert.equal(response.headers.get("location"), `/shop?number=${number}&round=${round}`);
  const [cookie, ...more] = response.headers.getSetCookie().map(setCookie);
  assert.deepEqual(more, []);
  assert.equal(sessionParts(cookie.value).QueueId, queue);
}

test("200 visitors at once are each sent where they belong, with no header of another's", { timeout: 120_000 }, async (t) => {
  const moved = integration("/other", { EventId: "other", QueueDomain: "other.queue.example" });
  const site = await Site.of(t, { kv: { info: published([moved, integration("/shop")]) } });
  const kinds = [
    { path: "/shop", e: "shop", headers: [] },
    { path: "/other", e: "other", headers: [] },
    { path: `/shop?queueittoken=${token({}, "forged")}`, e: "shop", headers: [] },
    { path: "/shop", e: "shop", method: "POST", headers: [] },
  ];
  const alone = [];
  for (const kind of kinds) alone.push(namesOf(await site.get(kind.path, { method: kind.method })));
  await Promise.all(Array.from({ length: VISITORS }, async (_, number) => {
    const { path, e, method } = kinds[number % kinds.length];
    const response = await site.get(`${path}${path.includes("?") ? "&" : "?"}number=${number}`, { method });
    const { searchParams } = new URL(response.headers.get("location"));
    assert.equal(searchParams.get("e"), e);
    assert.equal(new URL(searchParams.get("t")).searchParams.get("number"), String(number));
    assert.deepEqual(namesOf(response), alone[number % kinds.length]);
    assert.equal(response.status, method === "POST" ? 303 : 302);
  }));
});

/** Which headers there are; what is about the connection says nothing. */
const namesOf = ({ headers }) => [...headers.keys()].filter((name) => !["date", "connection", "keep-alive"].includes(name)).sort();

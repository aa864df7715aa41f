// If the compiled core dies all the same, one request follows the failure policy, and nobody else notices.

import assert from "node:assert/strict";
import { test } from "node:test";
import { COMPILING, DEADLY, DECIDING, fragile } from "./support/fragile.js";
import { integration, published, session } from "./support/queueit.js";
import { Site, becomes, bundle } from "./support/site.js";

const MINE = `/shop?mine=${"x".repeat(DEADLY)}`;

/** What no visitor may tell an origin. */
const FORGED = Object.fromEntries(
  ["x-velvetrope-verdict", "x_velvetrope_verdict", "x-forwarded-host", "forwarded", "x-original-url"].map((name) => [name, "forged"]),
);

for (const [onFailure, status] of [["open", 200], ["closed", 503]]) {
  test(`a trap costs one request, which fails ${onFailure}, and nobody else notices`, { timeout: 120_000 }, async (t) => {
    const site = await Site.of(t, { variables: { VELVETROPE_ON_FAILURE: onFailure }, worker: bundle(fragile(DECIDING)) });
    assert.equal((await site.get("/shop")).status, 302);
    const held = [];
    site.origin.on("/shop/slow", (_, response) => held.push(response));
    const others = Array.from({ length: 20 }, () => site.get("/shop/slow", { headers: { cookie: session() } }));
    await becomes(async () => assert.equal(held.length, others.length));

    for (let round = 0; round < 3; round += 1) {
      const mine = await site.get(MINE, { headers: FORGED });
      assert.equal(mine.status, status);
      assert.equal(mine.headers.get("x-queueit-failed"), "true");
      assert.equal(mine.headers.get("x-queueit-connector"), "cloudflare");
      if (onFailure === "open") {
        const { url, headers } = site.origin.requests.at(-1);
        assert.deepEqual([url, headers["x-velvetrope-verdict"]], [MINE, "failed-open"]);
        assert.ok(!JSON.stringify(headers).includes("forged"), JSON.stringify(headers));
      }
      await mine.arrayBuffer();
      const next = await site.get("/shop");
      assert.match(next.headers.get("location") ?? `${next.status}`, /&e=shop&.*&cver=3&/);
    }

    held.forEach((response) => response.end("at last"));
    for (const other of await Promise.all(others)) {
      assert.deepEqual([other.status, await other.text()], [200, "at last"]);
      assert.equal(other.headers.getSetCookie().length, 1);
    }
  });
}

test("many deadly requests at once cost only themselves", { timeout: 120_000 }, async (t) => {
  const site = await Site.of(t, { variables: { VELVETROPE_ON_FAILURE: "closed" }, worker: bundle(fragile(DECIDING)) });
  const asked = Array.from({ length: 60 }, async (_, index) => {
    const isDeadly = index % 3 === 0;
    const { status } = await site.get(isDeadly ? MINE : "/shop");
    assert.equal(status, isDeadly ? 503 : 302);
  });
  await Promise.all(asked);
});

test("a configuration that the compiler dies of is refused, and the next one is taken", { timeout: 120_000 }, async (t) => {
  const worker = bundle(fragile(COMPILING));
  const deadly = published([integration("/shop", { Name: "x".repeat(DEADLY) })]);
  const site = await Site.of(t, { kv: { info: deadly }, variables: { VELVETROPE_ON_FAILURE: "closed" }, worker });
  assert.equal((await site.get("/shop")).status, 503);
  const kv = await site.kv();
  await kv.put("info", published([integration("/shop")]));
  await becomes(async () => assert.equal((await site.get("/shop")).status, 302));
  await kv.put("info", deadly);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  assert.equal((await site.get("/shop")).status, 302);
});

// The Worker says what the desk says: every rule and request of tests/end_to_end/agreement, which records what the desk says.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ROOT, Site } from "./support/site.js";

const { policy, visits, rules } = JSON.parse(readFileSync(new URL("tests/data/agreement.json", ROOT), "utf8"));

test("every rule means the same at the desk and here", { timeout: 300_000 }, async (t) => {
  const kv = { info: policy["integration.json"], policy: JSON.stringify(policy) };
  const site = await Site.of(t, { kv });
  const differ = [];
  for (const { room, expression, passes } of rules) {
    for (const [number, visit] of visits.entries()) {
      const passed = await passesAt(site, visit, room);
      if (passed !== passes[number]) {
        differ.push(`${expression}\n  ${visit.method} ${visit.url} ${JSON.stringify(visit.headers)}: desk ${passes[number]}, Worker ${passed}`);
      }
    }
  }
  assert.equal(differ.length, 0, `${differ.length} of ${rules.length * visits.length} differ\n${differ.join("\n")}`);
});

/** What miniflare would make up of a connection. */
const NOTHING_KNOWN = Object.fromEntries(
  ["city", "region", "regionCode", "metroCode", "postalCode", "timezone", "latitude", "longitude", "clientTcpRtt", "tlsClientAuth"]
    .map((property) => [property, null]),
);

/** Whether a request passes the room of a rule. */
async function passesAt(site, { method, url, headers, ip, cf }, room) {
  const all = [...headers, ["cf-connecting-ip", ip], ["CF-Ray", "8f0a-ZRH"], ["x-room", room]];
  // The client would say which it is.
  if (!headers.some(([name]) => name.toLowerCase() === "user-agent")) all.push(["user-agent", ""]);
  const asked = site.origin.requests.length;
  const response = await site.get(url, { method, headers: all, cf: { ...NOTHING_KNOWN, ...cf } });
  await response.arrayBuffer();
  const passed = site.origin.requests.length > asked;
  assert.ok(passed || [302, 303].includes(response.status), `${method} ${url}: ${response.status}`);
  return passed;
}

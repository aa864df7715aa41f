// What COST.md says is used is what is used.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { integration, published } from "./support/queueit.js";
import { ROOT, Site, becomes } from "./support/site.js";
import { Store } from "./support/store.js";

const PAGE = readFileSync(new URL("deploy/cloudflare/COST.md", ROOT), "utf8");

/** A row of the table, by how it begins: the numbers in a million requests at 1, 10 and 100 requests a second of an isolate. */
function row(beginning) {
  const line = PAGE.split("\n").find((line) => line.startsWith(`| **${beginning}`));
  return line.split("|").slice(3, 6).map((cell) => Number(cell.replace(/[^\d]/g, "")));
}

test("KV is read four times at each refresh, and once more where something has changed", async (t) => {
  const store = new Store({ info: published([integration("/shop")]) });
  const site = await Site.of(t, { kv: {}, variables: { VELVETROPE_REFRESH_SECONDS: "1" }, ...store.options() });
  assert.equal((await site.get("/shop")).status, 302);
  assert.equal(store.reads, 4 + 1);
  for (let refresh = 1; refresh <= 3; refresh += 1) {
    await becomes(async () => {
      await site.get("/shop");
      assert.ok(store.reads > 5 + 4 * (refresh - 1));
    });
    await becomes(() => assert.equal(store.reads, 5 + 4 * refresh));
  }
});

test("the table and the formula say the same", () => {
  const [, script] = /```sh\n(awk -v[\s\S]*?)```/.exec(PAGE);
  for (const [index, rate] of [1, 10, 100].entries()) {
    const { stdout, status } = spawnSync("sh", ["-c", script.replace("r=10", `r=${rate}`).replaceAll(/P(.)=0/g, "P$1=1")], { encoding: "utf8" });
    assert.equal(status, 0);
    const counts = stdout.trim().split("\n").map((line) => Number(line.match(/\d+/)[0]));
    const rows = ["Worker requests", "CPU", "KV reads", "Counter: requests", "Counter: rows", "Log events"].map((name) => row(name)[index]);
    assert.deepEqual(counts, rows, `r = ${rate}`);
  }
});

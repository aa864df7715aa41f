// What isolates hold does not grow with the number of configurations that they have seen. `VELVETROPE_CHANGES=2000` shows it
// at length.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { exchange, keepingAlive } from "./support/http.js";
import { integration, published, push } from "./support/queueit.js";
import { Site } from "./support/site.js";
import { Store } from "./support/store.js";

const CHANGES = Number(process.env.VELVETROPE_CHANGES ?? 60);
const READINGS = 10;
/** MiB by which the runtime may grow more than where nothing changes. */
const ROOM = 48;

/** Fifty integrations, of which every one changes with each version. */
const configuration = (version) => published(
  Array.from({ length: 50 }, (_, number) => integration(`/shop-${number}-${version}`, { Name: `Version ${version}`, EventId: `room${number}` })),
  version,
);

/** MiB that the runtimes of this process hold. */
function held() {
  const statuses = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid)).map((pid) => {
    try {
      return readFileSync(`/proc/${pid}/status`, "utf8");
    } catch {
      return ""; // It has ended.
    }
  });
  const ours = statuses.filter((status) => /^Name:\s+workerd/.test(status) && status.includes(`PPid:\t${process.pid}\n`));
  return ours.reduce((sum, status) => sum + Number(/VmRSS:\s+(\d+)/.exec(status)[1]), 0) / 1024;
}

/** What is held, reading by reading, while one configuration after the other is pushed; or is sent to the site instead. */
async function readings(path) {
  const store = new Store({ info: configuration(1) });
  const site = await Site.start({ kv: {}, variables: { VELVETROPE_REFRESH_SECONDS: "86400" }, ...store.options() });
  try {
    const address = await site.address();
    const agent = keepingAlive(1);
    const told = [];
    for (let change = 1; change <= CHANGES; change += 1) {
      const { status } = await exchange(address, { method: "PUT", path, body: push(configuration(1 + change)), agent });
      assert.equal(status, 200);
      store.compiled().forEach((key) => store.entries.delete(key));
      if (change % Math.ceil(CHANGES / READINGS) === 0) told.push(Math.round(held()));
    }
    agent.destroy();
    return told;
  } finally {
    await site.stop();
  }
}

test(`${CHANGES} changes hold no more memory than none`, { timeout: 1_800_000 }, async (t) => {
  const changing = await readings("/?__push_queueit_config");
  const control = await readings("/about");
  t.diagnostic(`MiB with ${CHANGES} changes: ${changing.join(" ")}`);
  t.diagnostic(`MiB with as many requests of that size: ${control.join(" ")}`);
  const growth = (readings) => readings.at(-1) - readings[readings.length >> 2];
  assert.ok(growth(changing) <= growth(control) + ROOM, `${growth(changing)} MiB against ${growth(control)} MiB`);
});

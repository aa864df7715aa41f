// The first try, as the guide says: `wrangler dev` on one's own machine.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { exchange } from "./support/http.js";
import { Origin } from "./support/origin.js";
import { CUSTOMER, SECRET, integration, published, session } from "./support/queueit.js";
import { ROOT } from "./support/site.js";
import { Project } from "./support/wrangler.js";

const PATIENCE = { timeout: 240_000 };
const GUIDE = readFileSync(new URL("deploy/cloudflare/README.md", ROOT), "utf8");

/** What the guide says behind `npx wrangler@4` in the lines that begin so. */
function guided(beginning) {
  const line = GUIDE.split("\n").find((line) => line.startsWith(`npx wrangler@4 ${beginning}`));
  assert.ok(line, `the guide has no line with ${beginning}`);
  return line.replace("npx wrangler@4 ", "").replace(/\s+#.*/, "").split(" ");
}

/** The project after the guide's steps before `dev`. */
async function prepared(test) {
  const project = new Project(test);
  const settings = readFileSync(`${project.folder}/wrangler.toml`, "utf8");
  project.write("wrangler.toml", settings.replace("your-customer-id", CUSTOMER));
  project.write(".dev.vars", `QUEUEIT_SECRETKEY=${SECRET}\n`);
  project.write("integrations.json", published([integration("/shop")]));
  await project.run(...guided("kv key put info").map((word) => (word === "--remote" ? "--local" : word)));
  return project;
}

/** As somebody who goes to a page. */
const get = (url, path, headers = {}) => exchange(new URL(url), { path, headers: { host: new URL(url).host, ...headers } });

test("wrangler dev as the guide says passes visitors on to the site", PATIENCE, async (t) => {
  const origin = await Origin.start();
  t.after(() => origin.stop());
  const project = await prepared(t);
  const command = guided("dev").map((word) => word.replace("127.0.0.1:3000", origin.address));
  assert.ok(command.includes(origin.address), `${command}`);
  const { address } = await project.dev(...command.slice(1));
  const passed = await get(address, "/about?a=1");
  assert.deepEqual([passed.status, passed.headers["x-origin"], JSON.parse(passed.body).url], [200, "yes", "/about?a=1"]);
  const queued = await get(address, "/shop");
  assert.equal(queued.status, 302);
  assert.match(queued.headers.location, new RegExp(`\\?c=${CUSTOMER}&e=shop&`));
  assert.equal((await get(address, "/shop", { cookie: session() })).headers["x-origin"], "yes");
  assert.equal(origin.requests.length, 2);
});

test("a Worker that asks itself says so, with and without a configuration", PATIENCE, async (t) => {
  for (const project of [await prepared(t), new Project(t)]) {
    const { address, said } = await project.dev();
    for (const headers of [{}, { "x-velvetrope-passed": "1" }]) {
      const { status, body, headers: told } = await get(address, "/about", headers);
      assert.deepEqual([status, told["cache-control"]], [508, "no-store"]);
      assert.match(body, /--local-upstream/);
    }
    // Of what a Worker logs, wrangler may leave something out.
    assert.ok((said().match(/has gone in circles/g) ?? []).length <= 2, "one for each request");
    assert.ok((said().match(/GET \/about/g) ?? []).length <= 8, "each request may come by four times");
  }
});

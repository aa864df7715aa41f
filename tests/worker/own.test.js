// The connector in somebody's own Worker: examples/own-worker. What is in front of it there, package.test.js shows.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { session } from "./support/queueit.js";
import { ROOT, Site, builtModules } from "./support/site.js";

const OWN = new URL("examples/own-worker/index.js", ROOT);
const MINE = "max-age=31536000";

let site;
before(async () => {
  const text = readFileSync(OWN, "utf8").replace('"velvetrope-worker"', '"../../build/index.js"');
  const entry = { type: "ESModule", path: OWN.pathname, contents: text };
  const modules = [entry, ...builtModules()];
  site = await Site.start({ worker: { modules, modulesRoot: ROOT.pathname } });
});
after(() => site.stop());

test("what comes after it sees redirects and the site's answers", async () => {
  const queued = await site.get("/shop");
  assert.equal(queued.status, 302);
  assert.equal(queued.headers.get("strict-transport-security"), MINE);
  const { response } = await site.passed("/shop", { headers: { cookie: session() } });
  assert.equal(response.headers.get("strict-transport-security"), MINE);
  assert.match(response.headers.getSetCookie().join(), /^QueueITAccepted/);
});

test("WebSockets pass", async () => {
  const response = await site.get("/live", { headers: { upgrade: "websocket" } });
  assert.equal(response.status, 101);
  response.webSocket.accept();
  const heard = new Promise((resolve) => response.webSocket.addEventListener("message", resolve, { once: true }));
  response.webSocket.send("hello");
  assert.equal((await heard).data, "hello");
  response.webSocket.close();
});

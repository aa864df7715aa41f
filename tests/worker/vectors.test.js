// Every recorded exchange of the public Cloudflare connector, over HTTP through the Worker.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Miniflare } from "miniflare";
import { expected } from "./support/deviations.js";
import { Origin } from "./support/origin.js";
import { now } from "./support/queueit.js";
import { ROOT, bundle } from "./support/site.js";
import { answerAt, exchanges, requestNow } from "./support/vectors.js";

/** How many Workers, one for each exchange, run at once. */
const AT_ONCE = 50;
const VERSION = /^version = "(.*)"$/m.exec(readFileSync(new URL("Cargo.toml", ROOT), "utf8"))[1];
const CONNECTOR = { sdk: `velvetrope-${VERSION}`, platform: `cloudflare-${VERSION}` };

/** Sends a request to the Worker that it names. */
const ROUTER = `
  export default {
    fetch(request, env) {
      const headers = new Headers(request.headers);
      headers.delete("x-case");
      return env[request.headers.get("x-case")].fetch(new Request(request, { headers }));
    },
  };`;

/** What carries a message, and what the origin says, and no connector has a part in. */
const NOT_OURS = ["connection", "content-encoding", "content-length", "content-type", "date", "keep-alive", "mf-content-encoding", "transfer-encoding", "x-origin"];

test("every exchange goes as it was recorded", async (t) => {
  const records = exchanges();
  assert.ok(records.length > 0, "no exchange is recorded");
  const failures = [];
  for (let at = 0; at < records.length; at += AT_ONCE) {
    failures.push(...(await run(t, records.slice(at, at + AT_ONCE))));
  }
  console.log(`edge-v3: ${records.length - failures.length} passed, ${failures.length} failed`);
  assert.deepEqual(failures.slice(0, 40), [], `${failures.length} of ${records.length} failed`);
});

/** What failed of some exchanges. */
async function run(t, records) {
  const origin = await Origin.start();
  const names = records.map((_, index) => `case-${index}`);
  const miniflare = new Miniflare({
    host: "127.0.0.1",
    port: 0,
    cf: false,
    workers: [
      { name: "router", modules: true, script: ROUTER, compatibilityDate: "2026-04-01", serviceBindings: Object.fromEntries(names.map((name) => [name, name])) },
      ...records.map((record, index) => worker(record, names[index], origin)),
    ],
  });
  try {
    await Promise.all(records.map((record, index) => seed(miniflare, record, names[index])));
    const failures = [];
    for (const [index, record] of records.entries()) {
      const failure = await check(miniflare, origin, record, names[index]);
      if (failure) failures.push(failure);
    }
    return failures;
  } finally {
    await miniflare.dispose();
    await origin.stop();
  }
}

function worker(record, name, origin) {
  return {
    name,
    ...bundle(),
    bindings: { QUEUEIT_CUSTOMERID: record.customer_id, QUEUEIT_SECRETKEY: record.secret },
    kvNamespaces: { IntegrationConfigKV: name },
    outboundService: { external: { address: origin.address, http: {} } },
  };
}

async function seed(miniflare, { stored_config: stored }, name) {
  const kv = await miniflare.getKVNamespace("IntegrationConfigKV", name);
  if (typeof stored === "string") await kv.put("info", stored);
}

async function check(miniflare, origin, record, name) {
  const before = now();
  const { method, url, headers, body } = requestNow(record, before);
  const asked = origin.requests.length;
  const response = await miniflare.dispatchFetch(url, {
    method, headers: { ...headers, "x-case": name }, body: body || undefined, redirect: "manual",
  });
  const isForwarded = origin.requests.length > asked;
  const text = await response.text();
  const kv = await miniflare.getKVNamespace("IntegrationConfigKV", name);
  const stored = await kv.get("info");
  const after = now();
  const told = {
    forwarded_to_origin: isForwarded,
    status: response.status,
    headers: [...response.headers].filter(([name]) => !NOT_OURS.includes(name)),
    body: isForwarded ? "origin" : text,
    ...(stored === null || stored === record.stored_config ? {} : { stored: [{ key: "info", value: stored }] }),
  };
  let differences;
  for (let at = before; at <= after; at += 1) {
    const expect = answerAt(record, expected(record), before, at, CONNECTOR);
    differences = differing(expect, told);
    if (!differences) return undefined;
  }
  return `${record.name}: ${differences}`;
}

function differing(expect, told) {
  try {
    assert.deepEqual(told, expect);
    return undefined;
  } catch (error) {
    return error.message;
  }
}

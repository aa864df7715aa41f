// Every recorded exchange of the public Cloudflare connector, over HTTP through the Worker.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { test } from "node:test";
import { Miniflare } from "miniflare";
import { expected } from "./support/deviations.js";
import { Origin } from "./support/origin.js";
import { now } from "./support/queueit.js";
import { ROOT, bundle, navigating } from "./support/site.js";
import { answerAt, exchanges, requestNow } from "./support/vectors.js";

const VERSION = /^version = "(.*)"$/m.exec(readFileSync(new URL("Cargo.toml", ROOT), "utf8"))[1];
const CONNECTOR = { sdk: `velvetrope-${VERSION}`, platform: `cloudflare-${VERSION}` };

/** What carries a message, and what the origin says, and no connector has a part in. */
const NOT_OURS = ["connection", "content-encoding", "content-length", "content-type", "date", "keep-alive", "mf-content-encoding", "transfer-encoding", "x-origin"];

test("every exchange goes as it was recorded", { timeout: 300_000 }, async (t) => {
  const records = exchanges();
  assert.ok(records.length > 0, "no exchange is recorded");
  const origin = await Origin.start();
  t.after(() => origin.stop());
  const miniflare = new Miniflare({ host: "127.0.0.1", port: 0, cf: false, handleRuntimeStdio() {}, ...connectors(records, origin) });
  t.after(() => miniflare.dispose());
  await Promise.all(records.map((record, number) => seed(miniflare, record, number)));
  const failures = [];
  for (const [number, record] of records.entries()) {
    const failure = await check(miniflare, origin, record, number);
    if (failure) failures.push(failure);
  }
  console.log(`edge-v3: ${records.length - failures.length} passed, ${failures.length} failed`);
  assert.deepEqual(failures.slice(0, 40), [], `${failures.length} of ${records.length} failed`);
});

/**
 * A Worker with a connector for each record: copies of the bundle, each with bindings of its own, called as somebody's
 * own Worker calls one. The compiled core is the same for all.
 */
function connectors(records, origin) {
  const { modules, modulesRoot, compatibilityDate } = bundle();
  const wasm = modules.filter(({ type }) => type === "CompiledWasm");
  const copies = records.flatMap((_, number) => modules.filter(({ type }) => type === "ESModule").map((module) => ({
    type: "ESModule",
    path: join(modulesRoot, String(number), relative(modulesRoot, module.path)),
    contents: wasm.reduce((text, { path }) => text.replaceAll(`"./${basename(path)}"`, `"../${basename(path)}"`), module.contents.toString()),
  })));
  const imports = records.map((_, number) => `import { handle as handle${number} } from "./${number}/index.js";`);
  const entry = `${imports.join("\n")}
    const handles = [${records.map((_, number) => `handle${number}`)}];
    export default {
      fetch(request, env, ctx) {
        const headers = new Headers(request.headers);
        const number = headers.get("x-case");
        headers.delete("x-case");
        const bindings = { ...env.variables[number], IntegrationConfigKV: env["kv" + number] };
        return handles[number](new Request(request, { headers }), bindings, ctx);
      },
    };`;
  return {
    modules: [{ type: "ESModule", path: join(modulesRoot, "entry.js"), contents: entry }, ...copies, ...wasm],
    modulesRoot,
    compatibilityDate,
    bindings: { variables: records.map(({ customer_id, secret }) => ({
      QUEUEIT_CUSTOMERID: customer_id, QUEUEIT_SECRETKEY: secret, VELVETROPE_SHARED_SESSIONS: "true",
    })) },
    kvNamespaces: Object.fromEntries(records.map((_, number) => [`kv${number}`, `case-${number}`])),
    outboundService: { external: { address: origin.address, http: {} } },
  };
}

async function seed(miniflare, { stored_config: stored }, number) {
  const kv = await miniflare.getKVNamespace(`kv${number}`);
  if (typeof stored === "string") await kv.put("info", stored);
}

async function check(miniflare, origin, record, number) {
  const before = now();
  const { method, url, headers, body } = requestNow(record, before);
  const asked = origin.requests.length;
  const response = await miniflare.dispatchFetch(url, {
    method, headers: navigating({ ...headers, "x-case": String(number) }), body: body || undefined, redirect: "manual",
  });
  const isForwarded = origin.requests.length > asked;
  const text = await response.text();
  const kv = await miniflare.getKVNamespace(`kv${number}`);
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

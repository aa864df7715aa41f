// What a user deploys: wrangler takes it, and it is small.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ROOT, Site, builtModules } from "./support/site.js";

const FOLDER = fileURLToPath(new URL("deploy/cloudflare/", ROOT));
const WRANGLER = join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "bin/wrangler.js");

test("wrangler takes the Worker as it would be deployed", { timeout: 120_000 }, (t) => {
  takes(t, FOLDER, ["IntegrationConfigKV", "DecisionCounter", "QUEUEIT_CUSTOMERID"]);
});

test("wrangler takes the Worker that manages", { timeout: 120_000 }, (t) => {
  takes(t, join(FOLDER, "manage"), ["IntegrationConfigKV", "PolicyStore", "DecisionCounter", "VELVETROPE_ZONE"]);
});

function takes(t, source, bindings) {
  const folder = mkdtempSync(join(tmpdir(), "velvetrope-deploy-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "wrangler.toml"), elsewhere(readFileSync(join(source, "wrangler.toml"), "utf8"), source));
  const { status, stdout, stderr } = spawnSync(
    process.execPath, [WRANGLER, "deploy", "--dry-run", "--env=", "--outdir", join(folder, "out")],
    { cwd: folder, env: environment(folder), encoding: "utf8" },
  );
  assert.equal(status, 0, stdout + stderr);
  for (const bound of bindings) {
    assert.match(stdout, new RegExp(bound));
  }
  assert.doesNotMatch(stdout + stderr, /warning/i);
  const deployed = readdirSync(join(folder, "out"));
  assert.ok(deployed.some((name) => name.endsWith(".wasm")), `${deployed}`);
  assert.ok(deployed.some((name) => name.endsWith(".js")), `${deployed}`);
}

/** In which wrangler finds nobody's account, and tells nobody of its use. */
function environment(home) {
  return { ...process.env, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", HOME: home, NO_COLOR: "1" };
}

/** The settings as they are, but for where the bundle is: it is built already. */
function elsewhere(settings, source = FOLDER) {
  const [, main] = /^main\s*=\s*"(.*?)"/m.exec(settings);
  return settings.replace(/^main\s*=.*$/m, `main = ${JSON.stringify(join(source, main))}`).replace(/^\[build\][^[]*/m, "");
}

test("the Worker is small", () => {
  const sizes = new Map();
  for (const { path, contents } of builtModules()) {
    const name = path.slice(new URL("build/", ROOT).pathname.length);
    sizes.set(name, gzipped(contents));
    console.log(`${name}: ${contents.length} bytes, ${sizes.get(name)} with gzip`);
  }
  const whole = [...sizes.values()].reduce((sum, size) => sum + size);
  assert.ok(sizes.get("index_bg.wasm") <= 445_000, "what every isolate starts");
  assert.ok(whole <= 1_120_000, `${whole} bytes are uploaded`);
});

/** As the program does it; the library that Node.js has is quicker and packs worse. */
function gzipped(contents) {
  const { status, stdout } = spawnSync("gzip", ["-9"], { input: contents, maxBuffer: contents.length });
  assert.equal(status, 0);
  return stdout.length;
}

test("a policy is published into the namespace that the Worker reads", { timeout: 300_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "velvetrope-publish-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "wrangler.toml"), elsewhere(readFileSync(join(FOLDER, "wrangler.toml"), "utf8")));
  const policy = fileURLToPath(new URL("examples/ticketing", ROOT));
  const wrangler = ["--local", "--persist-to", join(folder, "state"), "--config", join(folder, "wrangler.toml")];
  const { status, stdout, stderr } = spawnSync(
    fileURLToPath(new URL("target/debug/velvetrope", ROOT)),
    ["publish", policy, "--integration", "--", ...wrangler],
    { cwd: fileURLToPath(new URL(".", import.meta.url)), env: environment(folder), encoding: "utf8" },
  );
  assert.equal(status, 0, stdout + stderr);
  const [id] = /[0-9a-f]{32}/.exec(readFileSync(join(folder, "wrangler.toml"), "utf8"));
  const site = await Site.of(t, {
    kv: {},
    variables: { QUEUEIT_CUSTOMERID: undefined },
    worker: { kvNamespaces: { IntegrationConfigKV: id } },
    shared: { kvPersist: join(folder, "state", "v3", "kv") },
  });
  const { status: redirected, headers } = await site.get("https://tickets.example/shop/1");
  assert.deepEqual([redirected, new URL(headers.get("location")).searchParams.get("c")], [302, "ticketing"]);
  const { told } = await site.passed("https://tickets.example/shop/userverified");
  assert.equal(told.headers["x-velvetrope-verdict"], "bypass;rule=ticket-links");
  assert.doesNotMatch(site.logs, /compiled here/);
});

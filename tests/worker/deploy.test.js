// What a user deploys: wrangler takes it, and it is small.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { ROOT, builtModules } from "./support/site.js";

const KIB = 1_024;
const FOLDER = fileURLToPath(new URL("deploy/cloudflare/", ROOT));
const WRANGLER = join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "bin/wrangler.js");

test("wrangler takes the Worker as it would be deployed", { timeout: 120_000 }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), "velvetrope-deploy-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "wrangler.toml"), elsewhere(readFileSync(join(FOLDER, "wrangler.toml"), "utf8")));
  const environment = { ...process.env, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", HOME: folder, NO_COLOR: "1" };
  const { status, stdout, stderr } = spawnSync(
    process.execPath, [WRANGLER, "deploy", "--dry-run", "--outdir", join(folder, "out")],
    { cwd: folder, env: environment, encoding: "utf8" },
  );
  assert.equal(status, 0, stdout + stderr);
  for (const bound of ["IntegrationConfigKV", "DecisionCounter", "QUEUEIT_CUSTOMERID"]) {
    assert.match(stdout, new RegExp(bound));
  }
  assert.doesNotMatch(stdout + stderr, /warning/i);
  const deployed = readdirSync(join(folder, "out"));
  assert.ok(deployed.some((name) => name.endsWith(".wasm")), `${deployed}`);
  assert.ok(deployed.some((name) => name.endsWith(".js")), `${deployed}`);
});

/** The settings as they are, but for where the bundle is: it is built already. */
function elsewhere(settings) {
  const [, main] = /^main\s*=\s*"(.*?)"/m.exec(settings);
  return settings.replace(/^main\s*=.*$/m, `main = ${JSON.stringify(join(FOLDER, main))}`).replace(/^\[build\][^[]*/m, "");
}

test("the Worker is small", () => {
  const modules = builtModules();
  assert.ok(modules.some(({ type }) => type === "CompiledWasm"));
  for (const { path, contents } of modules) {
    const size = gzipSync(contents, { level: 9 }).length;
    console.log(`${path.slice(ROOT.pathname.length)}: ${contents.length} bytes, ${size} with gzip`);
    assert.ok(size <= 400 * KIB, `${path} has ${size} bytes with gzip`);
  }
});

// deploy/cloudflare/terraform, by the real Terraform and the provider's real schema. The provider itself is no package of any
// registry that tests may use, so it is played by terraform/provider.js.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { devNull, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ROOT } from "./support/site.js";
import { Provider, SCHEMA } from "./terraform/provider.js";

const FOLDER = fileURLToPath(new URL("deploy/cloudflare/terraform/", ROOT));
const MODULES = fileURLToPath(new URL("build", ROOT));
const isMissing = spawnSync("terraform", ["version"]).error && "terraform is not installed";

let provider;
before(async () => {
  provider = await Provider.start();
});
after(() => provider.stop());

test("it is written as Terraform writes it", { skip: isMissing }, async () => {
  const { status, output } = await terraform(FOLDER, ["fmt", "-check", "-recursive", "-diff"]);
  assert.equal(status, 0, output);
});

test("it is valid by the provider's schema", { skip: isMissing }, async () => {
  const { status, output } = await terraform(FOLDER, ["validate"]);
  assert.equal(status, 0, output);
});

test("what the schema does not have is not valid", { skip: isMissing }, async (t) => {
  const slips = [
    ["observability = { enabled = true }", 'observability = { enabled = "most" }', /bool/],
    ["script  = cloudflare_worker.rope.name", "script  = cloudflare_worker.rope.nom", /nom/],
    ['main_module        = "index.js"', 'main           = "index.js"', /main/],
    ['strategy    = "percentage"', "", /strategy/],
  ];
  for (const [right, wrong, told] of slips) {
    const folder = copy(t);
    const text = readFileSync(join(folder, "main.tf"), "utf8");
    const slipped = text.replaceAll(right, wrong);
    assert.notEqual(slipped, text, right);
    writeFileSync(join(folder, "main.tf"), slipped);
    const { status, output } = await terraform(folder, ["validate"]);
    assert.equal(status, 1, `${wrong}: ${output}`);
    assert.match(output, told);
  }
});

test("it plans the Worker, its routes and its rollouts", { skip: isMissing }, async (t) => {
  const folder = copy(t);
  const tests = join(folder, "tests", "rope.tftest.hcl");
  const more = `variables {\n  modules = ${JSON.stringify(MODULES)}\n`;
  writeFileSync(tests, readFileSync(tests, "utf8").replace("variables {\n", more));
  const { status, output } = await terraform(folder, ["test"]);
  assert.equal(status, 0, output);
  assert.match(output, /4 passed, 0 failed/);
});

test("the example of variables has what is required", () => {
  const variables = readFileSync(join(FOLDER, "variables.tf"), "utf8").split(/^variable /m).slice(1);
  const required = variables.filter((text) => !/^  default /m.test(text)).map((text) => /"(\w+)"/.exec(text)[1]);
  const example = readFileSync(join(FOLDER, "staging.tfvars"), "utf8");
  const missing = required.filter((name) => !new RegExp(`^${name} `, "m").test(example));
  assert.deepEqual(missing, ["secret_key"], "which comes from the environment");
});

test("the schema is that of the provider's version that is pinned", () => {
  const [, version] = /version = "([\d.]+)"/.exec(readFileSync(join(FOLDER, "main.tf"), "utf8"));
  assert.equal(SCHEMA.version, version);
});

/** The files where a test may change them. */
function copy(t) {
  const folder = mkdtempSync(join(tmpdir(), "velvetrope-terraform-"));
  t.after(() => rmSync(folder, { recursive: true }));
  cpSync(FOLDER, folder, { recursive: true });
  return folder;
}

/** Not synchronously: the provider answers from this process. */
function terraform(folder, [command, ...options]) {
  const env = { ...process.env, ...provider.environment, CHECKPOINT_DISABLE: "1", TF_CLI_CONFIG_FILE: devNull };
  const plain = command === "fmt" ? [] : ["-no-color"];
  const child = spawn("terraform", [command, ...plain, ...options], { cwd: folder, env });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output }));
  });
}

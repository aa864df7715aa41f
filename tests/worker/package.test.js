// The Worker as a package of npm: packed, installed where there is nothing else, bundled by wrangler and run by workerd, and
// its types. It is build-package/, which `deploy/cloudflare/build package` makes.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { exchange } from "./support/http.js";
import { Origin } from "./support/origin.js";
import { CUSTOMER, SECRET, integration, published, session } from "./support/queueit.js";
import { ROOT, Site, builtModules } from "./support/site.js";
import { Project } from "./support/wrangler.js";

const PATIENCE = { timeout: 480_000 };
const HERE = fileURLToPath(new URL(".", import.meta.url));
const EXAMPLES = fileURLToPath(new URL("examples/", ROOT));
const MODULES = join(HERE, "node_modules");

/** A folder with the packed package in it, and installed. */
let home;
let packed;
before(() => {
  home = mkdtempSync(join(tmpdir(), "velvetrope-package-"));
  const [{ filename, files }] = JSON.parse(npm(fileURLToPath(new URL("build-package/", ROOT)), "pack", "--json", "--pack-destination", home));
  packed = files.map(({ path }) => path).sort();
  writeFileSync(join(home, "package.json"), '{ "private": true, "type": "module" }');
  npm(home, "install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", `./${filename}`);
});
after(() => rmSync(home, { recursive: true }));

function npm(folder, ...args) {
  const { status, stdout, stderr } = spawnSync("npm", args, { cwd: folder, encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

/** A project that has the package installed, and what examples need beside it. */
function project(t, ...more) {
  const project = new Project(t, null);
  cpSync(join(home, "node_modules/velvetrope-worker"), join(project.folder, "node_modules/velvetrope-worker"), { recursive: true });
  for (const name of more) {
    mkdirSync(join(project.folder, "node_modules", dirname(name)), { recursive: true });
    symlinkSync(join(MODULES, name), join(project.folder, "node_modules", name));
  }
  return project;
}

test("it holds what it says, and is all that is installed", () => {
  assert.deepEqual(packed, [
    "LICENSE-APACHE", "LICENSE-MIT", "README.md", "compiler.js", "compiler_bg.wasm", "compiler_glue.js", "core.js", "index.d.ts",
    "index.js", "index_bg.wasm", "manage.d.ts", "manage/index.js", "manage/manage_bg.wasm", "manage/manage_glue.js",
    "manage/wrangler.toml", "package.json", "wrangler.toml",
  ]);
  assert.deepEqual(readdirSync(join(home, "node_modules")).filter((name) => !name.startsWith(".")), ["velvetrope-worker"]);
});

test("it says of itself what is so", () => {
  const told = JSON.parse(readFileSync(join(home, "node_modules/velvetrope-worker/package.json"), "utf8"));
  const crate = readFileSync(new URL("Cargo.toml", ROOT), "utf8");
  for (const key of ["version", "license"]) {
    assert.equal(told[key], new RegExp(`^${key} = "(.*)"$`, "m").exec(crate)[1]);
  }
  const named = [told.main, told.types, ...Object.values(told.exports).flatMap((entry) => (entry.types ? Object.values(entry) : entry))];
  for (const file of named) {
    assert.ok(packed.includes(file.replace("./", "")), file);
  }
});

test("nothing in it tells whose machine it was built on", () => {
  const cargo = process.env.CARGO_HOME ?? join(homedir(), ".cargo");
  const paths = [homedir(), cargo, fileURLToPath(ROOT), ".cargo/", ".rustup/", "registry/src", "/home/", "/Users/", "/root/"];
  for (const file of packed) {
    const bytes = readFileSync(join(home, "node_modules/velvetrope-worker", file));
    for (const path of paths) {
      assert.equal(bytes.indexOf(path), -1, `${file} has ${path}`);
    }
  }
});

test("its types say yes to what is right and no to what is wrong", PATIENCE, (t) => {
  compile(project(t, "@cloudflare/workers-types"), ["whole.ts", "platform.ts", "wrong.ts"], { types: ["@cloudflare/workers-types"] });
  compile(project(t), ["whole.ts", "wrong.ts"], { lib: ["es2023", "dom"], types: [] });
});

test("examples are as its types say", PATIENCE, (t) => {
  const all = project(t, "@cloudflare/workers-types", "hono");
  for (const name of ["assets-behind", "framework", "origins", "pages"]) {
    cpSync(join(EXAMPLES, name), join(all.folder, name), { recursive: true });
  }
  tsc(all, ["*/**/*.ts"], { types: ["@cloudflare/workers-types"] });
});

test("its types fit those that wrangler writes of its settings", PATIENCE, async (t) => {
  for (const [settings, file] of [["wrangler.toml", "generated.ts"], ["manage/wrangler.toml", "generated-manage.ts"]]) {
    const own = project(t);
    const text = readFileSync(join(home, "node_modules/velvetrope-worker", settings), "utf8");
    own.write("wrangler.toml", text.replace(/^main = .*$/m, `main = "${file}"`).replace(/^script_name = .*$/gm, ""));
    cpSync(join(HERE, "types", file), join(own.folder, file));
    await own.run("types", "--env=");
    assert.match(readFileSync(join(own.folder, "worker-configuration.d.ts"), "utf8"), /DurableObjectNamespace<import\(/);
    tsc(own, [file], { types: ["./worker-configuration.d.ts"] });
  }
});

/** Compiles files of types/ with every option of strictness. */
function compile(project, files, options) {
  for (const file of files) cpSync(join(HERE, "types", file), join(project.folder, file));
  tsc(project, files, options);
}

function tsc(project, include, options) {
  const compilerOptions = {
    strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noPropertyAccessFromIndexSignature: true,
    noImplicitReturns: true, noImplicitOverride: true, noFallthroughCasesInSwitch: true, noUnusedLocals: true,
    noUnusedParameters: true, isolatedModules: true, verbatimModuleSyntax: true, skipLibCheck: false, noEmit: true,
    target: "es2022", lib: ["es2023"], module: "esnext", moduleResolution: "bundler", preserveSymlinks: true, ...options,
  };
  project.write("tsconfig.json", JSON.stringify({ compilerOptions, include }));
  const { status, stdout } = spawnSync(process.execPath, [join(MODULES, "typescript/bin/tsc")], { cwd: project.folder, encoding: "utf8" });
  assert.equal(status, 0, stdout);
}

test("with its settings, wrangler makes a Worker of it without Rust, which runs", PATIENCE, async (t) => {
  const own = project(t);
  cpSync(join(own.folder, "node_modules/velvetrope-worker/wrangler.toml"), join(own.folder, "wrangler.toml"));
  own.more = { PATH: dirname(process.execPath), CARGO_HOME: "/nowhere", RUSTUP_HOME: "/nowhere" };
  await own.run("deploy", "--dry-run", "--outdir", "out", "--env=");
  const site = await Site.of(t, { worker: bundled(join(own.folder, "out/")) });
  assert.equal((await site.get("/shop")).status, 302);
  const { response, told } = await site.passed("/shop", { headers: { cookie: session() } });
  assert.equal(told.headers["x-velvetrope-verdict"], "session;room=shop");
  assert.match(response.headers.getSetCookie().join(), /^QueueITAccepted/);
});

test("so it does of the Worker that manages", PATIENCE, async (t) => {
  const own = project(t);
  cpSync(join(own.folder, "node_modules/velvetrope-worker/manage/wrangler.toml"), join(own.folder, "wrangler.toml"));
  own.more = { PATH: dirname(process.execPath) };
  const said = await own.run("deploy", "--dry-run", "--outdir", "out", "--env=");
  assert.match(said, /PolicyStore/);
  assert.ok(readdirSync(join(own.folder, "out")).some((name) => name.endsWith(".wasm")));
});

/** What wrangler has made, for miniflare. */
function bundled(folder) {
  const modules = builtModules(new URL(`file://${folder}`)).filter(({ path }) => !path.endsWith(".map"));
  return { modules, modulesRoot: folder };
}

/** An example that `wrangler dev` runs, with an integration that queues paths with `/shop`. */
async function running(t, name, { command = ["dev"], needs = [], variables = {} } = {}) {
  const example = project(t, ...needs);
  const files = (path) => !/node_modules|\.wrangler/.test(path);
  cpSync(join(EXAMPLES, name), example.folder, { recursive: true, filter: files });
  const settings = readFileSync(join(example.folder, "wrangler.toml"), "utf8");
  example.write("wrangler.toml", Object.entries({ QUEUEIT_CUSTOMERID: CUSTOMER, ...variables }).reduce(
    (text, [key, value]) => text.replace(new RegExp(`^${key} = .*$`, "m"), `${key} = ${JSON.stringify(value)}`), settings));
  example.write(".dev.vars", `QUEUEIT_SECRETKEY=${SECRET}\n`);
  example.write("integrations.json", published([integration("/shop")]));
  await example.run("kv", "key", "put", "info", "--path", "integrations.json", "--binding", "IntegrationConfigKV", "--local");
  const { address } = await example.serve(...command);
  const { host } = new URL(address);
  /** As somebody who goes to a page. */
  const get = (path, { headers, ...more } = {}) => exchange(new URL(address), { path, headers: { host, ...headers }, ...more });
  return { get };
}

const visitor = { headers: { cookie: session() } };

/** Whether somebody is sent to the waiting room. */
function waits(response) {
  assert.equal(response.status, 302);
  assert.match(response.headers.location, /^https:\/\/acme\.queue-it\.net\/\?c=acme&e=shop/);
}

test("example: assets in front of the rope", PATIENCE, async (t) => {
  const origin = await Origin.start();
  t.after(() => origin.stop());
  const { get } = await running(t, "own-worker", {
    command: ["dev", "--local-upstream", origin.address, "--upstream-protocol", "http"],
  });
  waits(await get("/shop"));
  const asset = await get("/assets/site.css?shop");
  assert.equal(asset.status, 200);
  assert.equal(asset.headers["x-queueit-connector"], undefined);
  // What is not there is nowhere: nothing of the origin's gets past, whatever way it would read paths.
  for (const path of ["/assets/shop", "/assets/..%2fshop", "/assets/%2e%2e%2fshop", "/assets/..\\shop"]) {
    assert.notEqual((await get(path)).status, 200, path);
  }
  assert.equal(origin.requests.length, 0);
  const passed = await get("/shop", visitor);
  assert.equal(passed.headers["strict-transport-security"], "max-age=31536000");
  assert.equal(JSON.parse(passed.body).headers["x-velvetrope-verdict"], "session;room=shop");
});

test("example: assets behind the rope", PATIENCE, async (t) => {
  const { get } = await running(t, "assets-behind");
  assert.match((await get("/")).body, /To the shop/);
  for (const path of ["/shop/", "/shop/index.html", "/%73hop/", "//shop/"]) {
    waits(await get(path));
  }
  const passed = await get("/shop/", visitor);
  assert.match(passed.body, /has waited/);
  assert.match(passed.headers["cache-control"], /private/);
  assert.match(passed.headers["set-cookie"].join(), /^QueueITAccepted/);
});

test("example: a framework behind the rope", PATIENCE, async (t) => {
  const { get } = await running(t, "framework", { needs: ["hono"] });
  assert.equal((await get("/healthz")).body, "well\n");
  assert.equal((await get("/")).body, "Tickets");
  waits(await get("/shop/1"));
  const order = { method: "POST", body: "two", headers: { ...visitor.headers, "x-velvetrope-verdict": "bypass;rule=forged" } };
  const bought = await get("/shop/1", order);
  assert.deepEqual(JSON.parse(bought.body), { bought: "two", verdict: "session;room=shop" });
  assert.match(bought.headers["set-cookie"].join(), /^QueueITAccepted/);
});

test("example: several origins behind the rope", PATIENCE, async (t) => {
  const [shop, api, site] = await Promise.all([Origin.start(), Origin.start(), Origin.start()]);
  t.after(() => Promise.all([shop.stop(), api.stop(), site.stop()]));
  const { get } = await running(t, "origins", {
    command: ["dev", "--local-upstream", site.address, "--upstream-protocol", "http"],
    variables: { SHOP_ORIGIN: `http://${shop.address}`, API_ORIGIN: `http://${api.address}` },
  });
  waits(await get("/shop/1"));
  const paths = { "/shop/1?a=b": shop, "/api/x": api, "/about": site };
  for (const [path, origin] of Object.entries(paths)) {
    const response = await get(path, visitor);
    assert.equal(response.headers["x-origin"], "yes", path);
    assert.equal(JSON.parse(response.body).headers.host, origin.address, path);
  }
  assert.deepEqual([shop, api, site].map(({ requests }) => requests.length), [1, 1, 1]);
  const posted = await get("/shop/1", { ...visitor, method: "POST", body: "order" });
  assert.equal(JSON.parse(posted.body).body.length, 5);
});

test("example: Pages behind the rope", PATIENCE, async (t) => {
  const { get } = await running(t, "pages", { command: ["pages", "dev"] });
  assert.match((await get("/")).body, /To the shop/);
  waits(await get("/shop/"));
  assert.match((await get("/shop/", visitor)).body, /has waited/);
  assert.deepEqual(JSON.parse((await get("/api")).body), { method: "GET", verdict: "pass" });
});

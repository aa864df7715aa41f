// The guide's commands: deploy/cloudflare/README.md and operations.md, by the wrangler that is pinned. What can be run without
// an account is run as it stands; everything else against a stand-in of Cloudflare's API, which shows that wrangler takes the
// command, and what it would ask for.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { exchange } from "./support/http.js";
import { Origin } from "./support/origin.js";
import { SECRET, integration, published, session } from "./support/queueit.js";
import { ROOT } from "./support/site.js";
import { Project } from "./support/wrangler.js";

const PATIENCE = { timeout: 480_000 };
const FOLDER = fileURLToPath(new URL("deploy/cloudflare/", ROOT));
const [SITE, STAGING] = ["00000000000000000000000000000000", "11111111111111111111111111111111"];

/** Commands of wrangler in a page, as words. */
function commands(page) {
  const text = readFileSync(new URL(`deploy/cloudflare/${page}`, ROOT), "utf8");
  const blocks = [...text.matchAll(/^ *```sh\n([^]*?)^ *```/gm)].flatMap(([, block]) => block.split("\n"));
  const said = blocks.map((line) => /npx wrangler@4 (.*)/.exec(line)?.[1]).filter((line) => line !== undefined);
  return said.map((line) => line.replace(/\s+#.*/, "").replaceAll('""', "").trim().split(/\s+/));
}

test("the site and staging are two Workers with nothing in common", PATIENCE, async (t) => {
  for (const source of [FOLDER, `${FOLDER}manage/`]) {
    const project = new Project(t, source);
    for (const command of [["deploy"], ["versions", "upload"]]) {
      const [site, staging] = [
        await project.run(...command, "--dry-run", "--env="),
        await project.run(...command, "--dry-run", "--env", "staging"),
      ];
      assert.doesNotMatch(site + staging, /warning/i);
      const bindings = (said) => [...said.matchAll(/^env\.(\w+) /gm)].map(([, name]) => name).sort();
      assert.deepEqual(bindings(staging), bindings(site), "what the site is bound to, staging is, too");
      assert.ok(site.includes(SITE) && !site.includes(STAGING));
      assert.ok(staging.includes(STAGING) && !staging.includes(SITE));
    }
  }
});

test("with its routes, as the guide puts them", PATIENCE, async (t) => {
  const project = new Project(t);
  const settings = readFileSync(`${project.folder}/wrangler.toml`, "utf8");
  const [, script] = /sed -i '(s\/\^# routes.*?)' wrangler\.toml/.exec(readFileSync(`${FOLDER}README.md`, "utf8"));
  const { stdout } = spawnSync("sed", [script.replace("YOUR-ZONE", "shop.example")], { input: settings, encoding: "utf8" });
  project.write("wrangler.toml", stdout);
  const asked = await cloudflare(t, project);
  await project.run("deploy", "--env=");
  await project.run("deploy", "--env", "staging");
  const routes = asked.filter(({ path, method }) => method === "PUT" && path.endsWith("/routes"));
  assert.deepEqual(routes.map(({ path, body }) => [path.split("/").at(-2), JSON.parse(body).map(({ pattern }) => pattern)]), [
    ["velvetrope", ["www.shop.example/*"]],
    ["velvetrope-staging", ["staging.shop.example/*"]],
  ]);
});

test("staging runs on one's own machine, with a namespace of its own", PATIENCE, async (t) => {
  const origin = await Origin.start();
  t.after(() => origin.stop());
  const project = new Project(t);
  project.write(".dev.vars", `QUEUEIT_SECRETKEY=${SECRET}\n`);
  for (const [environment, path] of [["", "/site"], ["staging", "/shop"]]) {
    project.write("integrations.json", published([integration(path)]));
    const put = ["kv", "key", "put", "info", "--path", "integrations.json", "--binding", "IntegrationConfigKV", "--local"];
    await project.run(...put, `--env=${environment}`);
  }
  const [command] = commands("operations.md").filter(([first]) => first === "dev");
  const { address } = await project.serve(...command, "--local-upstream", origin.address, "--upstream-protocol", "http");
  const get = async (path, headers) => (await exchange(new URL(address), { path, headers: { host: new URL(address).host, ...headers } }));
  assert.equal((await get("/shop")).status, 302);
  assert.equal((await get("/site")).headers["x-origin"], "yes");
  const passed = await get("/shop", { cookie: session() });
  assert.equal(JSON.parse(passed.body).headers["x-velvetrope-verdict"], "session;room=shop");
});

test("every other command of the guide is one that wrangler takes", PATIENCE, async (t) => {
  const project = new Project(t);
  project.write("integrations.json", published([integration("/shop")]));
  const asked = await cloudflare(t, project);
  const all = [...commands("README.md"), ...commands("operations.md")];
  const changing = (from) => asked.slice(from).filter(({ method }) => method !== "GET");
  const named = new Set();
  for (const words of all) {
    const command = words.map((word) => word.replace("NEW-ID", VERSIONS[0].id).replace("OLD-ID", VERSIONS[1].id));
    const line = words.join(" ");
    // `login` opens a browser, `tail` does not end, and `dev` has tests of its own.
    if (/^(login|tail|dev|pages dev)\b/.test(line) || named.has(line)) continue;
    named.add(line);
    const before = asked.length;
    const said = await project.run(...command);
    if (line.includes("--local")) continue;
    assert.ok(changing(before).length > 0 || /^(deployments status)/.test(line), `${line}: nothing is asked for: ${said}`);
  }
  assert.ok(named.size >= 12, [...named].join("\n"));
});

const VERSIONS = ["bcf48806-b317-4351-9ee7-36e7d557d4de", "dc8dcd28-271b-4367-9840-6c244f84cb40"].map((id, index) => ({
  id,
  number: 2 - index,
  metadata: { created_on: `2026-11-2${2 - index}T00:00:00Z`, modified_on: "2026-11-22T00:00:00Z", author_email: "a@example.com", source: "wrangler" },
  annotations: {},
  resources: { bindings: [], script: { handlers: ["fetch"] }, script_runtime: {} },
}));

/** A stand-in of Cloudflare's API, that a project is told of; what it was asked. */
async function cloudflare(t, project) {
  const asked = [];
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const path = request.url.split("?")[0].replace(/^\/client\/v4/, "");
    asked.push({ method: request.method, path, body: Buffer.concat(parts).toString("latin1") });
    const result = answer(request.method, path);
    response.writeHead(result === undefined ? 404 : 200, { "content-type": "application/json" });
    const errors = result === undefined ? [{ code: 10007, message: `nothing at ${path}` }] : [];
    response.end(JSON.stringify({ success: result !== undefined, errors, messages: [], result: result ?? null, result_info: { page: 1, per_page: 20, count: 1, total_count: 1, total_pages: 1 } }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const api = `http://127.0.0.1:${server.address().port}/client/v4`;
  project.more = { CLOUDFLARE_API_BASE_URL: api, CLOUDFLARE_API_TOKEN: "token", CLOUDFLARE_ACCOUNT_ID: "account", CI: "1" };
  return asked;
}

function answer(method, path) {
  const deployments = VERSIONS.map(({ id, metadata }) => ({
    id: `deployment-${id}`, source: "wrangler", strategy: "percentage", annotations: {}, author_email: "a@example.com",
    created_on: metadata.created_on, versions: [{ version_id: id, percentage: 100 }],
  }));
  const routes = [
    [/\/storage\/kv\/namespaces$/, method === "GET" ? [] : { id: SITE, title: "IntegrationConfigKV" }],
    [/\/storage\/kv\/namespaces\/\w+\/(values|bulk)/, {}],
    [/\/versions$/, method === "GET" ? { items: VERSIONS } : { ...VERSIONS[0], metadata: { has_preview: false } }],
    [/\/versions\/[\w-]+$/, VERSIONS.find(({ id }) => path.endsWith(id))],
    [/\/deployments$/, method === "GET" ? { deployments } : deployments[0]],
    [/\/script-settings$/, {}],
    [/\/settings$/, { bindings: [] }],
    [/\/secrets(\/\w+)?$/, method === "GET" ? [] : {}],
    [/\/references$/, { services: { incoming: [], outgoing: [] }, durable_objects: [], dispatch_outbounds: [] }],
    [/\/tails\/by-consumer\//, []],
    [/\/subdomain$/, { enabled: false, previews_enabled: false, subdomain: "own" }],
    [/\/routes$/, []],
    [/\/workers\/services\/[\w-]+$/, { default_environment: { environment: "production", script: { tag: "t", last_deployed_from: "wrangler" } } }],
    [/\/workers\/scripts\/[\w-]+$/, method === "GET" ? undefined : { id: "velvetrope", deployment_id: VERSIONS[0].id, startup_time_ms: 1, pipeline_hash: "h", mutable_pipeline_id: "m" }],
    [/\/workers\/scripts$/, []],
    [/^\/zones$/, [{ id: "zone" }]],
    [/^\/memberships$/, []],
    [/^\/user/, { id: "u", email: "a@example.com" }],
  ];
  return routes.find(([pattern]) => pattern.test(path))?.[1];
}

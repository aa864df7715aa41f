// Measures the Worker beside its peers, all in one workerd, by wrk over loopback: CPU of the whole process per request.
//
//     make worker && cd benches/worker && npm ci && node run.js [SECONDS [ROUNDS]]
//
// Needs Linux and `wrk` (Debian package). Rows: a Worker that says hello (`hello 302`: with the headers of our
// redirects), the official npm connector whose configuration text is cached, and velvetrope, each with 3, 100 and 1,000
// integrations, of which the one in the middle is the visitor's. The site behind them runs in the same process, so its
// CPU is in `pass`. Before anything is measured, the official connector and velvetrope must answer alike. Rounds of
// whole SECONDS go through all Workers in turn. Tables tell medians; ratios are medians, too, each of ratios within a
// round, since one machine is never equally busy for long.
//
// The first answer of an isolate is told besides, with that many integrations, or with 1,000 or 10,000 bypass rules:
// `text` where it has to compile what KV holds, `compiled` where it finds in KV what somebody else has compiled. It is
// measured over HTTP, in ROUNDS fresh processes: CPU of the thread that runs the Worker, which is what Cloudflare limits,
// and time. What hello takes of it is the way there. workerd has loaded modules before. With 0 SECONDS that is all.

import { deepStrictEqual, equal } from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { build } from "esbuild";
import workerd from "workerd";
import { session as velvetropesSession } from "../../tests/worker/support/queueit.js";

const [SECONDS = 4, ROUNDS = 5] = process.argv.slice(2).map(Number);
const SIZES = [3, 100, 1_000];
const RULES = [1_000, 10_000];
const CUSTOMER = "bench";
const SECRET = "e9a8f1c2-not-a-real-secret";
const BUILD = new URL("../../build/", import.meta.url).pathname;
const WRANGLER = readFileSync(new URL("../../deploy/cloudflare/wrangler.toml", import.meta.url), "utf8");
const COMPATIBILITY = `compatibilityDate = "${/^compatibility_date\s*=\s*"(.*?)"/m.exec(WRANGLER)[1]}"`;
/** Clock ticks of /proc in a second. */
const TICKS = Number(spawnSync("getconf", ["CLK_TCK"]).stdout);

async function main(folder) {
  await bundlePeer(folder);
  for (const name of ["hello.js", "kv.js", "origin.js"]) cpSync(new URL(name, import.meta.url), join(folder, name));
  cpSync(BUILD, join(folder, "build"), { recursive: true });
  const workers = await workersWithPorts();
  writeFileSync(join(folder, "bench.capnp"), configuration(workers));
  for (let round = 1; round < ROUNDS; round += 1) await withServer(folder, workers, () => {});
  await withServer(folder, workers, async (pid) => {
    if (SECONDS === 0) return;
    const todo = jobs(workers);
    for (const size of SIZES) await verifyAlike(size, todo);
    todo.forEach((job) => load(job, 1));
    for (let round = 0; round < ROUNDS; round += 1) todo.forEach((job) => measure(job, pid));
  });
  reportFirst(workers);
  if (SECONDS > 0) report(workers.filter(({ isMeasured }) => isMeasured));
}

/** Does something with a new process, after each Worker has given its first answer. */
async function withServer(folder, workers, action) {
  const stdio = ["ignore", "ignore", "inherit"];
  const server = spawn(workerd.default, ["serve", "bench.capnp"], { cwd: folder, stdio });
  try {
    await Promise.all(workers.map(({ port }) => listening(port)));
    // Node loads its client, too, when it is needed first.
    await ask(workers[0], "/hello");
    // In this order: `compiled` finds what `text` has stored.
    for (const worker of workers) await firstAnswer(worker, server.pid);
    await action(server.pid);
  } finally {
    server.kill();
    await once(server, "exit");
  }
}

/** js-sha256 takes workerd for Node, unless there is no `process`. */
async function bundlePeer(folder) {
  await build({
    entryPoints: [new URL("peer.js", import.meta.url).pathname],
    outfile: join(folder, "peer.js"),
    bundle: true, minify: true, format: "esm", define: { process: "undefined" }, logLevel: "error",
  });
}

async function workersWithPorts() {
  const sized = SIZES.flatMap((size) => [
    { name: `official ${size}`, kind: "peer", size, isMeasured: true },
    { name: `velvetrope ${size}`, kind: "velvetrope", size, first: `text, ${size} integrations`, isMeasured: true },
    { name: `compiled ${size}`, kind: "velvetrope", size, first: `compiled, ${size} integrations` },
  ]);
  const ruled = RULES.flatMap((rules) => ["text", "compiled"].map((form) => (
    { name: `${form} ${rules} rules`, kind: "velvetrope", size: 3, kv: `kv ${rules} rules`, first: `${form}, ${rules} bypass rules` }
  )));
  const hellos = [
    { name: "hello", kind: "hello", size: 0, path: "/hello", first: "hello", isMeasured: true },
    { name: "hello 302", kind: "hello", size: 0, path: "/redirect", isMeasured: true },
  ];
  const all = [...hellos, ...sized, ...ruled];
  return Promise.all(all.map(async (worker) => (
    { kv: `kv ${worker.size}`, ...worker, port: await freePort(), firsts: [], results: { redirect: [], pass: [] } }
  )));
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

function configuration(workers) {
  const services = [
    ...workers.map((worker) => `( name = "${worker.name}", worker = ${definition(worker)} )`),
    ...SIZES.map((size) => namespace(`kv ${size}`, { info: published(size) })),
    ...RULES.map((rules) => namespace(`kv ${rules} rules`, { info: published(3), policy: policy(rules) })),
    `( name = "origin", worker = ( ${module("origin.js")}, ${COMPATIBILITY} ) )`,
  ];
  const sockets = workers.map(({ name, port }) => (
    `( name = "${name}", address = "127.0.0.1:${port}", http = (), service = "${name}" )`
  ));
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ ${services.join(",\n    ")} ],
  sockets = [ ${sockets.join(",\n    ")} ],
);`;
}

const namespace = (name, values) => `( name = "${name}", worker = ( ${module("kv.js")},
      bindings = [ ( name = "VALUES", json = ${quoted(JSON.stringify(values))} ) ], ${COMPATIBILITY} ) )`;

const quoted = (text) => JSON.stringify(text);

const module = (file) => `modules = [ ( name = "${file}", esModule = embed "${file}" ) ]`;

/** A Worker in workerd's configuration. */
function definition({ name, kind, kv }) {
  const outbound = 'globalOutbound = "origin"';
  if (kind === "hello") return `( ${module("hello.js")}, ${COMPATIBILITY}, ${outbound} )`;
  const bindings = [
    `( name = "QUEUEIT_CUSTOMERID", text = "${CUSTOMER}" )`,
    `( name = "QUEUEIT_SECRETKEY", text = "${SECRET}" )`,
    `( name = "IntegrationConfigKV", kvNamespace = "${kv}" )`,
  ];
  if (kind === "peer") return `( ${module("peer.js")}, bindings = [ ${bindings} ], ${COMPATIBILITY}, ${outbound} )`;
  const [, binding, className] = /name\s*=\s*"(\w+)"[\s,]*class_name\s*=\s*"(\w+)"/.exec(WRANGLER);
  bindings.push(`( name = "${binding}", durableObjectNamespace = "${className}" )`);
  return `( modules = [ ${builtModules()} ], bindings = [ ${bindings} ], ${COMPATIBILITY}, ${outbound},
      durableObjectNamespaces = [ ( className = "${className}", uniqueKey = "${name}", enableSql = true ) ],
      durableObjectStorage = ( inMemory = void ) )`;
}

function builtModules() {
  const names = readdirSync(BUILD, { recursive: true }).filter((name) => /\.(js|wasm)$/.test(name));
  names.sort((one, other) => (other === "index.js") - (one === "index.js") || one.localeCompare(other));
  const kind = (name) => (name.endsWith(".wasm") ? "wasm" : "esModule");
  return names.map((name) => `( name = "${name}", ${kind(name)} = embed "build/${name}" )`);
}

/** A configuration as Queue-it publishes it, with several kinds of triggers. */
function published(size) {
  const common = { Operator: "Contains", IsNegative: false, IsIgnoreCase: true };
  const part = (ValidatorType, more) => ({ ValidatorType, ...common, ...more });
  const triggers = (number) => [
    [part("UrlValidator", { UrlPart: "PagePath", ValueToCompare: `/events/${number}/` })],
    [part("UrlValidator", { UrlPart: "PageUrl", ValueToCompare: `//shop${number}.example/`, IsIgnoreCase: false }),
      part("CookieValidator", { CookieName: "preview", Operator: "Equals", ValueToCompare: "yes", IsNegative: true })],
    [part("HttpHeaderValidator", {
      HttpHeaderName: "x-campaign", Operator: "Equals", ValueToCompare: `campaign ${number}`,
    })],
  ];
  const integrations = Array.from({ length: size }, (_, number) => ({
    Name: `Event ${number}`, ActionType: "Queue", EventId: `room${number}`, CookieDomain: "", LayoutName: "Lights",
    Culture: "en-GB", ExtendCookieValidity: true, CookieValidityMinute: 600, QueueDomain: "bench.queue-it.net",
    RedirectLogic: "AllowTParameter", ForcedTargetUrl: "",
    Triggers: triggers(number).map((TriggerParts) => ({ LogicalOperator: "And", TriggerParts })),
  }));
  return JSON.stringify({ Description: "bench", Integrations: integrations, Version: 7 });
}

/** A policy folder as KV holds it, with rules of several kinds, none of which is true. */
function policy(count) {
  const expressions = [
    (number) => `http.request.uri.path eq "/assets/${number}.css"`,
    (number) => `starts_with(http.request.uri.path, "/api/${number}/") and http.request.method eq "POST"`,
    (number) => `ip.src in {198.51.${number % 256}.0/24 203.0.113.${number % 256}}`,
    (number) => `http.user_agent contains "bot-${number}" or any(http.request.headers["x-partner"][*] eq "p${number}")`,
  ];
  const rules = Array.from({ length: count }, (_, number) => ({
    id: `rule-${number}`, action: "bypass_waiting_room", description: `rule ${number}`,
    expression: expressions[number % expressions.length](number),
  }));
  const settings = `customer_id = "${CUSTOMER}"\nrules = { "*" = "rules.json" }\n`;
  return JSON.stringify({ "velvetrope.toml": settings, "rules.json": JSON.stringify(rules) });
}

async function listening(port) {
  for (const end = Date.now() + 30_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const socket = connect(port, "127.0.0.1");
    const isThere = await once(socket, "connect").then(() => true, () => false);
    socket.destroy();
    if (isThere) return;
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** Where the integration in the middle is, and a session for it. */
const page = (size) => `/events/${size >> 1}/tickets`;

function session(size) {
  return velvetropesSession({ event: `room${size >> 1}`, issued: Math.floor(Date.now() / 1000) }, SECRET);
}

const signed = (text) => createHmac("sha256", SECRET).update(text).digest("hex");

/** What is measured: each way through each Worker. */
function jobs(workers) {
  return workers.filter(({ isMeasured }) => isMeasured).flatMap((worker) => worker.kind === "hello"
    ? [{ worker, way: "redirect", path: worker.path }, { worker, way: "pass", path: "/pass" }]
    : [
      { worker, way: "redirect", path: page(worker.size) },
      { worker, way: "pass", path: page(worker.size), headers: { cookie: session(worker.size) } },
    ]);
}

/** As somebody who goes to a page; `fetch` would say of itself that it is a script. */
async function ask({ port }, path, headers = {}) {
  const asked = request({ host: "127.0.0.1", port, path, headers });
  asked.end();
  const [response] = await once(asked, "response");
  const told = new Headers();
  for (const [name, values] of Object.entries(response.headersDistinct)) values.forEach((value) => told.append(name, value));
  return new Response(await text(response), { status: response.statusCode, headers: told });
}

/** Whoever does less is not measured: what is queued, what has a session, what has a forged one, and what is free. */
async function verifyAlike(size, todo) {
  const [official, ours] = ["official", "velvetrope"].map((name) => (
    todo.find(({ worker }) => worker.name === `${name} ${size}`).worker
  ));
  const cookie = session(size);
  const forged = cookie.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
  for (const [path, headers, status] of [
    [page(size), {}, 302],
    [page(size), { cookie }, 200],
    [page(size), { cookie: forged }, 302],
    ["/about", { cookie }, 200],
  ]) {
    const theirs = await comparable(await ask(official, path, headers));
    equal(theirs.status, status, `${official.name} at ${path}`);
    deepStrictEqual(await comparable(await ask(ours, path, headers)), theirs);
  }
}

/** An answer without what may differ: the port, versions, and the second in which a session was renewed. */
async function comparable(response) {
  const { headers, status } = response;
  const location = headers.get("location") && new URL(headers.get("location").replace(/127\.0\.0\.1%3A\d+/i, ""));
  const parameters = [...(location?.searchParams ?? [])].filter(([name]) => name !== "ver" && name !== "kupver").sort();
  const named = ["cache-control", "pragma", "expires", "x-queueit-connector"].map((name) => headers.get(name));
  const cookies = headers.getSetCookie().map((cookie) => renewed(cookie).sort());
  return { status, origin: location?.origin, parameters, named, cookies, body: await response.text() };
}

/** The parts of a session cookie, whose hash must be right if it has one. */
function renewed(header) {
  const [pair, ...attributes] = header.split("; ");
  const fields = new URLSearchParams(decodeURIComponent(pair.slice(pair.indexOf("=") + 1)));
  const lasting = ["EventId", "QueueId", "RedirectType"].map((name) => fields.get(name));
  if (fields.has("Hash")) equal(fields.get("Hash"), signed(lasting.join("") + fields.get("IssueTime")));
  return [pair.split("=")[0], ...lasting, ...attributes.filter((part) => !part.startsWith("expires="))];
}

/** Milliseconds until a Worker that has answered nobody has answered somebody, and of CPU that it has taken. */
async function firstAnswer(worker, pid) {
  const [started, before] = [performance.now(), cpuOfMainThread(pid)];
  await ask(worker, page(worker.size));
  worker.firsts.push({ milliseconds: performance.now() - started, cpu: cpuOfMainThread(pid) - before });
  // What it leaves to do after the answer (storing what it compiled) shall not weigh on others.
  await new Promise((resolve) => setTimeout(resolve, 300));
}

function measure(job, pid) {
  const before = cpu(pid);
  const requests = load(job, SECONDS);
  const used = cpu(pid) - before;
  job.worker.results[job.way].push({ micros: (used * 1e6) / requests, rate: requests / SECONDS });
}

/** How many requests were answered. */
function load({ worker, path, headers = {} }, seconds) {
  const given = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const url = `http://127.0.0.1:${worker.port}${path}`;
  const { stdout, error } = spawnSync("wrk", ["-t1", "-c8", `-d${seconds}s`, ...given, url], { encoding: "utf8" });
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  if (!requests || /Non-2xx or 3xx/.test(stdout)) throw new Error(`${worker.name} ${path}: ${error ?? stdout}`);
  return requests;
}

/** Seconds of CPU that a process has used. */
function cpu(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Milliseconds of CPU that the first thread of a process has used: the one that runs Workers. */
function cpuOfMainThread(pid) {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
}

function median(values) {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[sorted.length >> 1];
}

function reportFirst(workers) {
  console.log("| first answer of | median ms of CPU | least | median ms | least |\n|---|---|---|---|---|");
  for (const { first, firsts } of workers.filter(({ first }) => first)) {
    const cells = ["cpu", "milliseconds"].map((what) => firsts.map((one) => one[what])).flatMap((all) => [median(all), Math.min(...all)]);
    console.log(`| ${[first, ...cells.map((cell) => cell.toFixed(1))].join(" | ")} |`);
  }
}

function report(workers) {
  console.log("\n| Worker | redirect µs | redirects/s | pass µs | passes/s |\n|---|---|---|---|---|");
  for (const { name, results } of workers) {
    const cells = Object.values(results).flatMap((rounds) => (
      ["micros", "rate"].map((what) => median(rounds.map((round) => round[what])))
    ));
    console.log(`| ${[name, ...cells.map(Math.round)].join(" | ")} |`);
  }
  console.log("\n| ratio | redirect | pass |\n|---|---|---|");
  const [small, large] = [SIZES[0], SIZES.at(-1)];
  const pairs = [
    [`velvetrope ${small}`, "hello"],
    [`velvetrope ${small}`, "hello 302"],
    ...SIZES.map((size) => [`velvetrope ${size}`, `official ${size}`]),
    ...["velvetrope", "official"].map((name) => [`${name} ${large}`, `${name} ${small}`]),
  ];
  for (const pair of pairs) {
    const [one, other] = pair.map((wanted) => workers.find(({ name }) => name === wanted).results);
    const ratio = (way) => median(one[way].map(({ micros }, round) => micros / other[way][round].micros)).toFixed(2);
    console.log(`| ${pair.join(" to ")} | ${ratio("redirect")} | ${ratio("pass")} |`);
  }
}

const folder = mkdtempSync(join(tmpdir(), "velvetrope-bench-"));
try {
  await main(folder);
} finally {
  rmSync(folder, { recursive: true });
}

// Measures the Worker beside its peers, all in one workerd, by wrk over loopback: CPU of the whole process per request.
//
//     make worker && cd benches/worker && npm ci && node run.js [SECONDS [ROUNDS]]
//
// Needs Linux and `wrk` (Debian package). Rows: a Worker that says hello, the official npm connector whose
// configuration text is cached, and velvetrope, each with 3, 100 and 1,000 integrations, of which the one in the middle
// is the visitor's (`reloaded` is velvetrope in an isolate that finds in KV what another one has compiled). Rounds go through all Workers in turn; the median of them is told, since one machine is never
// equally busy for long.

import { spawn, spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import workerd from "workerd";

const [SECONDS = 4, ROUNDS = 5] = process.argv.slice(2).map(Number);
const SIZES = [3, 100, 1_000];
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
  const server = spawn(workerd.default, ["serve", "bench.capnp"], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  try {
    await Promise.all(workers.map(({ port }) => listening(port)));
    // In this order: `reloaded` loads what `velvetrope` has compiled and stored.
    for (const worker of workers) worker.first = await firstAnswer(worker);
    const todo = jobs(workers);
    await Promise.all(todo.map(verify));
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const job of todo) measure(job, server.pid);
    }
  } finally {
    server.kill();
    await once(server, "exit");
  }
  report(workers);
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
  const plain = [{ name: "hello", kind: "hello" }];
  const sized = SIZES.flatMap((size) => ["peer", "velvetrope", "reloaded"].map((kind) => ({ name: `${kind}-${size}`, kind, size })));
  return Promise.all([...plain, ...sized].map(async (worker) => ({ ...worker, port: await freePort(), results: {} })));
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
    ...SIZES.map((size) => `( name = "kv-${size}", worker = ( ${module("kv.js")},
      bindings = [ ( name = "INFO", text = ${quoted(published(size))} ) ], ${COMPATIBILITY} ) )`),
    `( name = "origin", worker = ( ${module("origin.js")}, ${COMPATIBILITY} ) )`,
  ];
  const sockets = workers.map(({ name, port }) => `( name = "${name}", address = "127.0.0.1:${port}", http = (), service = "${name}" )`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ ${services.join(",\n    ")} ],
  sockets = [ ${sockets.join(",\n    ")} ],
);`;
}

const quoted = (text) => JSON.stringify(text);

const module = (file) => `modules = [ ( name = "${file}", esModule = embed "${file}" ) ]`;

/** A Worker in workerd's configuration. */
function definition({ kind, size }) {
  const outbound = 'globalOutbound = "origin"';
  if (kind === "hello") return `( ${module("hello.js")}, ${COMPATIBILITY}, ${outbound} )`;
  const bindings = [
    `( name = "QUEUEIT_CUSTOMERID", text = "${CUSTOMER}" )`,
    `( name = "QUEUEIT_SECRETKEY", text = "${SECRET}" )`,
    `( name = "IntegrationConfigKV", kvNamespace = "kv-${size}" )`,
  ];
  if (kind === "peer") return `( ${module("peer.js")}, bindings = [ ${bindings} ], ${COMPATIBILITY}, ${outbound} )`;
  const [, binding, className] = /name\s*=\s*"(\w+)"[\s,]*class_name\s*=\s*"(\w+)"/.exec(WRANGLER);
  bindings.push(`( name = "${binding}", durableObjectNamespace = "${className}" )`);
  return `( modules = [ ${builtModules()} ], bindings = [ ${bindings} ], ${COMPATIBILITY}, ${outbound},
      durableObjectNamespaces = [ ( className = "${className}", uniqueKey = "${kind}-${size}", enableSql = true ) ],
      durableObjectStorage = ( inMemory = void ) )`;
}

function builtModules() {
  const names = readdirSync(BUILD, { recursive: true }).filter((name) => /\.(js|wasm)$/.test(name));
  names.sort((one, other) => (other === "index.js") - (one === "index.js") || one.localeCompare(other));
  return names.map((name) => `( name = "${name}", ${name.endsWith(".wasm") ? "wasm" : "esModule"} = embed "build/${name}" )`);
}

/** A configuration as Queue-it publishes it, with several kinds of triggers. */
function published(size) {
  const part = (ValidatorType, more) => ({ ValidatorType, Operator: "Contains", IsNegative: false, IsIgnoreCase: true, ...more });
  const triggers = (number) => [
    [part("UrlValidator", { UrlPart: "PagePath", ValueToCompare: `/events/${number}/` })],
    [part("UrlValidator", { UrlPart: "PageUrl", ValueToCompare: `//shop${number}.example/`, IsIgnoreCase: false }),
      part("CookieValidator", { CookieName: "preview", Operator: "Equals", ValueToCompare: "yes", IsNegative: true })],
    [part("HttpHeaderValidator", { HttpHeaderName: "x-campaign", Operator: "Equals", ValueToCompare: `campaign ${number}` })],
  ];
  const integrations = Array.from({ length: size }, (_, number) => ({
    Name: `Event ${number}`, ActionType: "Queue", EventId: `room${number}`, CookieDomain: "", LayoutName: "Lights", Culture: "en-GB",
    ExtendCookieValidity: true, CookieValidityMinute: 600, QueueDomain: "bench.queue-it.net", RedirectLogic: "AllowTParameter",
    ForcedTargetUrl: "",
    Triggers: triggers(number).map((TriggerParts) => ({ LogicalOperator: "And", TriggerParts })),
  }));
  return JSON.stringify({ Description: "bench", Integrations: integrations, Version: 7 });
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
  const [room, issued] = [`room${size >> 1}`, Math.floor(Date.now() / 1000)];
  const hash = createHmac("sha256", SECRET).update(`${room}queue-idqueue${issued}`).digest("hex");
  const value = `EventId=${room}&QueueId=queue-id&RedirectType=queue&IssueTime=${issued}&Hash=${hash}`;
  return `QueueITAccepted-SDFrts345E-V3_${room}=${encodeURIComponent(value)}`;
}

/** What is measured: each way through each Worker. */
function jobs(workers) {
  return workers.flatMap((worker) => worker.kind === "hello"
    ? [{ worker, way: "redirect", path: "/hello", status: 200 }, { worker, way: "pass", path: "/pass", status: 200 }]
    : [
      { worker, way: "redirect", path: page(worker.size), status: 302 },
      { worker, way: "pass", path: page(worker.size), status: 200, headers: { cookie: session(worker.size) } },
    ]);
}

async function verify({ worker, path, headers, status }) {
  const response = await fetch(`http://127.0.0.1:${worker.port}${path}`, { redirect: "manual", headers });
  if (response.status !== status) throw new Error(`${worker.name} answers ${response.status} at ${path}`);
}

/** Milliseconds until a Worker that has answered nobody has answered somebody. */
async function firstAnswer(worker) {
  const started = performance.now();
  await fetch(`http://127.0.0.1:${worker.port}${page(worker.size ?? 0)}`, { redirect: "manual" });
  const took = performance.now() - started;
  // What it leaves to do after the answer (storing what it compiled) shall not weigh on others.
  await new Promise((resolve) => setTimeout(resolve, 300));
  return took;
}

function measure({ worker, way, path, headers = {} }, pid) {
  const given = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const before = cpu(pid);
  const { stdout } = spawnSync("wrk", ["-t1", "-c8", `-d${SECONDS}s`, ...given, `http://127.0.0.1:${worker.port}${path}`], { encoding: "utf8" });
  const used = cpu(pid) - before;
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  if (!requests || /Non-2xx or 3xx/.test(stdout)) throw new Error(`${worker.name} ${path}: ${stdout}`);
  (worker.results[way] ??= []).push({ micros: (used * 1e6) / requests, rate: requests / SECONDS });
}

/** Seconds of CPU that a process has used. */
function cpu(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

function median(values) {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[sorted.length >> 1];
}

function report(workers) {
  const micros = (name, way) => median(workers.find((worker) => worker.name === name).results[way].map(({ micros }) => micros));
  console.log("| Worker | redirect µs | redirects/s | pass µs | passes/s | first answer ms |\n|---|---|---|---|---|---|");
  for (const { name, results, first } of workers) {
    const cells = ["redirect", "pass"].flatMap((way) => [micros(name, way), median(results[way].map(({ rate }) => rate))]);
    console.log(`| ${[name, ...cells.map(Math.round), first.toFixed(1)].join(" | ")} |`);
  }
  const ratio = (what, one, other, target) => console.log(`${what}: ${(one / other).toFixed(2)} (target ${target})`);
  const [small, large] = [SIZES[0], SIZES.at(-1)];
  console.log();
  ratio(`redirect, velvetrope to hello, ${small}`, micros(`velvetrope-${small}`, "redirect"), micros("hello", "redirect"), "1.2");
  for (const size of SIZES) {
    ratio(`redirect, velvetrope to official, ${size}`, micros(`velvetrope-${size}`, "redirect"), micros(`peer-${size}`, "redirect"), "0.85 at 3");
    ratio(`pass, velvetrope to official, ${size}`, micros(`velvetrope-${size}`, "pass"), micros(`peer-${size}`, "pass"), "0.85");
  }
  for (const kind of ["velvetrope", "peer"]) {
    for (const way of ["redirect", "pass"]) {
      ratio(`${way}, ${kind}, ${large} to ${small}`, micros(`${kind}-${large}`, way), micros(`${kind}-${small}`, way), kind === "peer" ? "none" : "1.1");
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), "velvetrope-bench-"));
try {
  await main(folder);
} finally {
  rmSync(folder, { recursive: true });
}

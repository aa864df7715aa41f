// The module that runs as the Worker. It carries requests into the compiled connector and its replies out, keeps the
// configuration fresh, and does all I/O; it decides nothing. What the texts look like that go in and come out is
// described in wire.rs.
//
// Somebody's own Worker imports `handle` and `DecisionCounter` from here.

import { compile } from "./compiler.js";
import { DecisionCounter, Engine } from "./core.js";

export { DecisionCounter };
export default { fetch: handle };

const { decide } = Engine;

/** A request whose URL has this anywhere but at the beginning is a push. */
const PUSH = "__push_queueit_config";
/** How many pushes may be read at a time: anybody can send them, and their bodies are held in memory. */
const PUSHES_AT_ONCE = 4;
/** Where operators read what was counted. */
const DECISIONS = "/__velvetrope/decisions";
/** Milliseconds that a visitor waits for the first configuration. */
const PATIENCE = 5_000;
/** Milliseconds until KV is read again after it could not be, or held nothing usable. */
const RETRY = 5_000;
/** Milliseconds that counts are collected. */
const COLLECTING = 2_000;
/** How much of a body triggers see, in UTF-16 units; no text of so many is longer than so many bytes. */
const SEEN_UNITS = 2_048;
const SEEN_BYTES = 3 * SEEN_UNITS;

/**
 * What an origin could take for the verdict, or for a word of the network in front, whatever stands between its letters (see
 * `edge::is_verdict_header`, `is_forwarding_header` and `is_target_header`). Names have lower case. What Cloudflare sets itself stays.
 */
const FORGED =
  /^(x[^a-z\d]velvetrope[^a-z\d]verdict|forwarded|x[^a-z\d](forwarded[^a-z\d]host|original[^a-z\d](ur[li]|host)|rewrite[^a-z\d]url|host|http[^a-z\d]host[^a-z\d]override)|(?=.*[^a-z\d-])x[^a-z\d](forwarded[^a-z\d].*|real[^a-z\d]ip))$/;

/** What the core has to be told of each request, and the reply where even a new instance cannot give one. */
let plan;
let lastResort;
take();
/** When KV is to be read again, and the reading under way. */
let due = 0;
let reading;
/** Whether KV has been read, or could not be. */
let isReady = false;
/** What was read last, so that nothing is compiled twice, and the arguments of `setVariables` that belong to it. */
let seen = [];
let variables = [];
/** What loads the policy in force into a new instance. */
let inForce;
let pushes = 0;
/** What was counted and not yet sent: decisions by label, and bypass rules that let requests pass by name. */
let counts = nothingCounted();
let flushDue = 0;

/**
 * Answers one request, or passes it on.
 *
 * @param {Request} request
 * @param {object} env the bindings that wrangler.toml names
 * @param {ExecutionContext} ctx
 * @returns {Response | Promise<Response>}
 */
export function handle(request, env, ctx) {
  const now = Date.now();
  if (now >= due) {
    refresh(env, ctx, now);
  }
  return isReady ? serve(request, env, ctx, now) : whenReady(request, env, ctx);
}

async function whenReady(request, env, ctx) {
  await Promise.race([reading, scheduler.wait(PATIENCE)]);
  return serve(request, env, ctx, Date.now());
}

function serve(request, env, ctx, now) {
  const { url } = request;
  if (plan.push && url.indexOf(PUSH) > 0) {
    return push(request, env, ctx);
  }
  if (env.VELVETROPE_ADMIN_TOKEN && url.includes(DECISIONS) && new URL(url).pathname === DECISIONS) {
    return decisions(request, env);
  }
  if (plan.body && request.body !== null) {
    return serveWithBody(request, env, ctx, now);
  }
  return carryOut(ask(pack(request, url, now)), request, env, ctx, now);
}

async function serveWithBody(request, env, ctx, now) {
  let reply;
  try {
    const start = await startOf(request);
    reply = ask(pack(request, request.url, now) + start);
  } catch {
    reply = Engine.fail("the body of a request cannot be read");
  }
  return carryOut(reply, request, env, ctx, now);
}

function pack(request, url, now) {
  const { headers } = request;
  let packed = `${now}\n${request.method}\n${url}\n${headers.get("cf-connecting-ip") ?? ""}\n`;
  if (plan.properties.length > 0) {
    packed += packProperties(request.cf);
  }
  if (plan.seed) {
    packed += `@seed:"${hex(crypto.getRandomValues(new Uint8Array(16)))}"\n`;
  }
  // Whether a preflight is one, the core tells by all that it brings.
  if (request.method === "OPTIONS" && request.body !== null) packed += "@body:true\n";
  if (plan.all_headers || request.method === "OPTIONS") {
    for (const [name, value] of headers) packed += `${name}:${value}\n`;
  } else {
    for (const name of plan.headers) {
      const value = headers.get(name);
      if (value !== null) packed += `${name}:${value}\n`;
    }
  }
  return `${packed}\n`;
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

function packProperties(cf) {
  let packed = "";
  for (const { label, path } of plan.properties) {
    let value = cf;
    for (const step of path) value = value?.[step];
    if (value !== undefined && value !== null) packed += `${label}${JSON.stringify(value)}\n`;
  }
  return packed;
}

/** The start of a body as triggers see it. The request keeps its body. */
async function startOf(request) {
  const reader = request.clone().body.getReader();
  const bytes = await upTo(SEEN_BYTES, reader);
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes).slice(0, SEEN_UNITS);
  // Half a character is none.
  return text.replace(/[\ud800-\udbff]$/, "");
}

/** The next bytes of a stream, at most so many; the rest is not read. */
async function upTo(limit, reader) {
  const chunks = [];
  let length = 0;
  while (length < limit) {
    const { value, done } = await reader.read();
    if (done) break;
    const chunk = value.subarray(0, limit - length);
    chunks.push(chunk);
    length += chunk.length;
  }
  if (length === limit) reader.cancel().catch(() => {});
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** The core's reply. If the core dies of a request, the next one finds a new core. */
function ask(packed) {
  try {
    return decide(packed);
  } catch (error) {
    return reviveAfter(error, "a decision");
  }
}

function carryOut(reply, request, env, ctx, now) {
  const lines = reply.split("\n");
  const [status, label, failed, rule] = lines;
  count(label, rule, env, ctx, now);
  if (failed !== "") {
    log(`${label}: ${failed}`);
  }
  return status.length === 1 ? pass(request, lines) : answer(lines);
}

/** How the origin's response comes back, as `wire.rs` says. */
const [PRIVATE, WITHOUT_BODY] = ["1", "2"];

/** To the origin and back; bodies and WebSockets are not touched, but for a body that is not to come. */
async function pass(request, lines) {
  const forVisitor = 6 + 2 * Number(lines[5]);
  const headers = new Headers(request.headers);
  // Deleted while others are looked at, some would be missed.
  for (const name of [...headers.keys()]) {
    if (FORGED.test(name)) headers.delete(name);
  }
  for (let at = 6; at < forVisitor; at += 2) headers.set(lines[at], lines[at + 1]);
  const asked = lines[4] === "" ? request : new Request(lines[4], request);
  const response = await fetch(asked, { headers, redirect: "manual" });
  const passed = lines[0] === WITHOUT_BODY ? withoutBody(response) : new Response(response.body, response);
  if (lines[0] === PRIVATE) makePrivate(passed.headers);
  for (let at = forVisitor; at < lines.length; at += 2) {
    if (lines[at] === "set-cookie") passed.headers.append("set-cookie", lines[at + 1]);
    else passed.headers.set(lines[at], lines[at + 1]);
  }
  return passed;
}

/** Makes headers those of a response that belongs to its visitor alone. */
function makePrivate(headers) {
  let text = "";
  for (const [name, value] of headers) text += `${name}:${value}\n`;
  let told;
  try {
    told = Engine.private(text);
  } catch (error) {
    reviveAfter(error, "a response");
    told = "private, no-store";
  }
  const [cacheControl, ...unfit] = told.split("\n");
  for (const name of unfit) headers.delete(name);
  headers.set("cache-control", cacheControl);
}

function withoutBody(response) {
  response.body?.cancel().catch(() => {});
  const passed = new Response(null, response);
  for (const name of ["content-length", "content-encoding", "set-cookie"]) passed.headers.delete(name);
  return passed;
}

/** The runtime takes headers as an object three times as fast as in pairs; only cookies come more than once. */
function answer(lines) {
  const headers = {};
  const cookies = [];
  let at = 6;
  for (; at < lines.length && lines[at] !== ""; at += 2) {
    if (lines[at] === "set-cookie") cookies.push(lines[at + 1]);
    else headers[lines[at]] = lines[at + 1];
  }
  const body = lines.slice(at + 1).join("\n");
  const response = new Response(body === "" ? null : body, { status: Number(lines[0]), headers });
  for (const cookie of cookies) response.headers.append("set-cookie", cookie);
  return response;
}

// Configuration

/** Notes what the core says after a change. */
function take() {
  const told = JSON.parse(Engine.plan());
  const properties = told.properties.map((property) => ({ label: `@${property}:`, path: property.split(".") }));
  plan = { ...told, properties };
  lastResort = Engine.fail("the core cannot be started again");
}

/** Reads KV anew while visitors are served by what is in force. */
function refresh(env, ctx, now) {
  const period = 1_000 * (between(1, 86_400, env.VELVETROPE_REFRESH_SECONDS) ?? 60);
  due = now + (isReady ? period : PATIENCE);
  reading = read(env, ctx).catch(storeFailed).then(() => {
    due = Date.now() + (inForce ? period : Math.min(period, RETRY));
    isReady = true;
  });
  ctx.waitUntil(reading);
}

function storeFailed(error) {
  log(`KV cannot be read: ${error}`);
  Engine.storeFailed(`KV cannot be read: ${error}`);
  if (!inForce) {
    seen = [];
    take();
  }
}

function between(least, most, text) {
  const number = text ? Number(text) : NaN;
  return number >= least && number <= most ? number : undefined;
}

/** What KV holds and the core is told of, unless it is bound. */
const VARIABLES = ["QUEUEIT_CUSTOMERID", "QUEUEIT_SECRETKEY", "QUEUEIT_SECRETKEY_PREVIOUS"];

/** Puts in force what KV holds, if it is new. */
async function read(env, ctx) {
  const kv = env.IntegrationConfigKV;
  const settings = [env.VELVETROPE_ON_FAILURE === "closed", env.VELVETROPE_SHARED_SESSIONS === "true"];
  if (seen.length === 0) {
    setVariables([...VARIABLES.map((name) => env[name] ?? ""), ...settings]);
  }
  if (!kv) {
    throw "no namespace is bound as IntegrationConfigKV";
  }
  // Where it cannot be read, the texts are compiled.
  const readSaved = () => kv.getWithMetadata("compiled", "arrayBuffer").catch(() => null);
  const isFirst = seen.length === 0;
  const [early, ...values] = await Promise.all([
    isFirst ? readSaved() : null,
    kv.get("info"),
    kv.get("policy"),
    kv.get("managed"),
    ...VARIABLES.map(async (name) => env[name] || ((await kv.get(name)) ?? "").trim()),
  ]);
  if (values.every((value, index) => value === seen[index])) {
    return;
  }
  seen = values;
  const [info, policy, managed, ...others] = values;
  setVariables([...others, ...settings]);
  const { value, metadata } = (isFirst ? early : await readSaved()) ?? {};
  const saved = value ? [new Uint8Array(value), JSON.stringify(metadata)] : [];
  load({ info, policy, managed, saved }, (configuration) => ctx.waitUntil(store(kv, configuration)));
}

function setVariables(values) {
  variables = values;
  Engine.setVariables(...values);
}

/** Puts a configuration in force if it is good; tells `keep` if it had to be compiled. */
function load(configuration, keep) {
  const texts = textsOf(configuration);
  try {
    if (!Engine.load(...texts, ...configuration.saved)) {
      Engine.take(...texts, compiled(...texts)).forEach(log);
    }
    putInForce(configuration, keep);
  } catch (error) {
    if (typeof error === "string") {
      log(`not put in force: ${error}`);
      take();
    } else {
      reviveAfter(error, "a configuration");
    }
  }
}

/** What KV holds of a configuration; what it lacks is undefined, as the core has it. */
const textsOf = ({ info, policy, managed }) => [info ?? undefined, policy ?? undefined, managed ?? undefined];

/** What the compiler makes of texts; nothing if it dies of them. */
function compiled(...texts) {
  try {
    return compile(...texts, variables[0]);
  } catch (error) {
    log(`the compiler died: ${error}`);
    return new Uint8Array();
  }
}

/** Notes what the core has put in force. */
function putInForce(configuration, keep) {
  const toStore = Engine.takeToStore();
  inForce = { ...configuration, variables };
  if (toStore.length > 0) {
    inForce.saved = toStore;
    keep(inForce);
  }
  take();
}

/** Keeps a compiled policy for other isolates. */
async function store(kv, { saved: [bytes, origin] }) {
  try {
    await kv.put("compiled", bytes, { metadata: JSON.parse(origin) });
  } catch (error) {
    log(`the compiled policy cannot be stored: ${error}`);
  }
}

/** Makes a new instance after one has died, with the policy in force; the reply to the request that killed it. */
function reviveAfter(error, what) {
  log(`the core died of ${what}: ${error}`);
  try {
    // The glue makes a new instance at the next call, which must bring nothing: it would be put into the dead one's memory.
    Engine.restart();
    Engine.setVariables(...(inForce?.variables ?? variables));
    if (inForce) {
      Engine.load(...textsOf(inForce), ...inForce.saved);
    }
    return Engine.fail(`the core died of ${what}`);
  } catch (again) {
    log(`the core cannot be started again: ${again}`);
    return lastResort;
  }
}

/** Takes a configuration that Queue-it sends: checks it, stores it, and puts it in force. */
async function push(request, env, ctx) {
  if (pushes >= PUSHES_AT_ONCE) {
    return notNow("several configurations are being pushed at once");
  }
  pushes += 1;
  try {
    const limit = Engine.pushLimit() + 1;
    if (Number(request.headers.get("content-length") ?? 0) >= limit) {
      return new Response("Fail!", { status: 400, headers: { "x-queueit-connector": "cloudflare" } });
    }
    const body = request.body === null ? new Uint8Array() : await upTo(limit, request.body.getReader());
    return await accept(body, env, ctx);
  } catch (error) {
    return notNow(`a pushed configuration cannot be taken: ${error}`);
  } finally {
    pushes -= 1;
  }
}

async function accept(body, env, ctx) {
  const kv = env.IntegrationConfigKV;
  const [held, policy, managed] = await Promise.all([kv.get("info"), kv.get("policy"), kv.get("managed")]);
  const [reply, info, ...warnings] = pushed(body, held, { policy, managed });
  const lines = reply.split("\n");
  if (info === undefined) {
    log(`a pushed configuration is refused: ${lines[2]}`);
    return answer(lines);
  }
  warnings.forEach(log);
  seen = [info, policy, managed, ...seen.slice(3)];
  putInForce({ info, policy, managed, saved: [] }, (configuration) => ctx.waitUntil(store(kv, configuration)));
  await kv.put("info", info);
  return answer(lines);
}

function pushed(body, held, others) {
  try {
    const info = Engine.pushedText(body);
    const texts = textsOf({ info, ...others });
    const outcome = info === undefined ? new Uint8Array() : compiled(...texts);
    return Engine.push(body, held ?? undefined, ...texts.slice(1), outcome);
  } catch (error) {
    reviveAfter(error, "a pushed configuration");
    throw error;
  }
}

function notNow(why) {
  log(why);
  const headers = { "x-queueit-connector": "cloudflare", "retry-after": "10", "cache-control": "no-store" };
  return new Response("Fail!", { status: 503, headers });
}

// Counting

function nothingCounted() {
  return { decisions: new Map(), rules: new Map() };
}

/** Counts what was decided. What an isolate has counted is sent at most every few seconds, after visitors have their answers. */
function count(label, rule, env, ctx, now) {
  if (env.DECISIONS === undefined) {
    return;
  }
  add(counts.decisions, label, 1);
  if (rule !== "") {
    add(counts.rules, rule, 1);
  }
  if (now >= flushDue) {
    // If this one is cut off, a later one comes.
    flushDue = now + 10 * COLLECTING;
    ctx.waitUntil(scheduler.wait(COLLECTING).then(() => flush(env)));
  }
}

function add(counts, key, number) {
  counts.set(key, (counts.get(key) ?? 0) + number);
}

async function flush(env) {
  flushDue = 0;
  const taken = counts;
  counts = nothingCounted();
  try {
    const [decisions, rules] = [taken.decisions, taken.rules].map(Object.fromEntries);
    const body = JSON.stringify({ decisions, rules });
    const response = await counter(env).fetch("https://counter/", { method: "POST", body });
    if (!response.ok) throw `status ${response.status}`;
    return response;
  } catch (error) {
    for (const [label, number] of taken.decisions) add(counts.decisions, label, number);
    for (const [rule, number] of taken.rules) add(counts.rules, rule, number);
    log(`decisions cannot be counted: ${error}`);
    return notNow("");
  }
}

const counter = ({ DECISIONS: counters }) => counters.get(counters.idFromName("site"));

async function decisions(request, env) {
  const headers = { "cache-control": "no-store", "content-type": "application/json" };
  if (!Engine.isAuthorized(request.headers.get("authorization") ?? "", env.VELVETROPE_ADMIN_TOKEN)) {
    const help = '{"error":"send VELVETROPE_ADMIN_TOKEN as a bearer token"}\n';
    return new Response(help, { status: 401, headers: { ...headers, "www-authenticate": "Bearer" } });
  }
  const { status, body } = await flush(env);
  return new Response(body, { status, headers });
}

function log(text) {
  console.log(`velvetrope: ${text}`);
}

// The module that runs as the Worker. It carries requests into the compiled connector and its replies out, keeps the
// configuration fresh, and does all I/O; it decides nothing. What the texts look like that go in and come out is
// described in wire.rs.
//
// Somebody's own Worker imports from here: `handle`, or `admit`, which is the half of it before the site is asked, and
// gives the half after it; and `DecisionCounter`, where decisions are to be counted.

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
/** What marks requests that go on, so that one that runs in a circle is known. */
const MARK = "x-velvetrope-passed";
/** Milliseconds for which is waited for KV, and after which it is said to be silent. Visitors wait so long once. */
const PATIENCE = 5_000;
const SILENT = `it has not answered for ${PATIENCE / 1_000} seconds`;
/** The same of what is compiled; after that it is compiled here. */
const PATIENCE_FOR_COMPILED = 2_000;
/** Milliseconds until KV is read again after it could not be, or held nothing usable. */
const RETRY = 5_000;
/** Milliseconds for which KV may go on to tell what a push has replaced: it is cached, for a minute by default. */
const STALE = 120_000;
/** How many of those are remembered. */
const REPLACED = 8;
/** Seconds for which KV keeps what was compiled. It is compiled again where it is needed after that. */
const KEPT = 90 * 86_400;
/** The most milliseconds that an isolate may have to do after an answer, with something to spare of Cloudflare's 30 s. */
const AFTERWARDS = 25_000;
/** Milliseconds without a decision after which an isolate may never be asked again. */
const QUIET = 2_000;
/** How many sites an isolate knows at a time. */
const SITES = 64;
/** How much of a body triggers see, in UTF-16 units; no text of so many is longer than so many bytes. */
const SEEN_UNITS = 2_048;
const SEEN_BYTES = 3 * SEEN_UNITS;

/**
 * What an origin could take for the verdict, or for a word of the network in front, whatever stands between its letters (see
 * `edge::is_verdict_header`, `is_forwarding_header` and `is_target_header`). Names have lower case. What Cloudflare sets itself stays.
 */
const FORGED =
  /^(x[^a-z\d]velvetrope[^a-z\d]verdict|forwarded|x[^a-z\d](forwarded[^a-z\d]host|original[^a-z\d](ur[li]|host)|rewrite[^a-z\d]url|host|http[^a-z\d]host[^a-z\d]override)|(?=.*[^a-z\d-])x[^a-z\d](forwarded[^a-z\d].*|real[^a-z\d]ip))$/;

/** What KV holds and the core is told of, unless it is bound. */
const VARIABLES = ["QUEUEIT_CUSTOMERID", "QUEUEIT_SECRETKEY", "QUEUEIT_SECRETKEY_PREVIOUS"];
/** What makes one site another than the next: everything that an isolate keeps belongs to these of `env`. */
const IDENTITY = ["IntegrationConfigKV", ...VARIABLES, "VELVETROPE_ON_FAILURE", "VELVETROPE_SHARED_SESSIONS", "VELVETROPE_ZONE"];

/** The sites of this isolate, used last first, and the number of the next one. */
const sites = [];
let next = 1;
/** How often the core has begun anew. It knows nothing then. */
let beginnings = 0;
let pushes = 0;

/**
 * Answers one request, or passes it on to where its URL leads.
 *
 * @param {Request} request
 * @param {object} env the bindings that wrangler.toml names
 * @param {{ waitUntil(promise: Promise<unknown>): void }} ctx
 * @returns {Promise<Response>}
 */
export async function handle(request, env, ctx) {
  const { answer, request: passed, finish } = await admit(request, env, ctx);
  return answer ?? finish(await fetch(passed));
}

/**
 * Decides about one request, and asks nobody else for an answer.
 *
 * Where `answer` is there, it is all that the visitor may get. Else whatever stands behind the rope (assets, another
 * origin, a framework) answers `request`, which is the visitor's without what others could have forged, with the verdict
 * in `x-velvetrope-verdict`; and what the visitor gets is `finish` of that response, once: it brings the session, and is
 * not to be cached where it is this visitor's alone. The request that came in is used up if it has a body.
 *
 * @param {Request} request
 * @param {object} env the bindings that wrangler.toml names
 * @param {{ waitUntil(promise: Promise<unknown>): void }} ctx
 * @returns {Visit | Promise<Visit>}
 *
 * @typedef {{ decision: string, answer: Response, request?: undefined, finish?: undefined }
 *   | { decision: string, answer?: undefined, request: Request, finish: (response: Response) => Response }} Visit
 */
export function admit(request, env, ctx) {
  return siteOf(env).admit(request, env, ctx);
}

function siteOf(env) {
  if (sites[0]?.isOf(env)) {
    return sites[0];
  }
  const index = sites.findIndex((site) => site.isOf(env));
  const [site] = index < 0 ? [new Site(env)] : sites.splice(index, 1);
  sites.unshift(site);
  if (sites.length > SITES) {
    log(`more than ${SITES} sites in one isolate: is IntegrationConfigKV another object each time?`);
    sites.pop().forget();
  }
  return site;
}

/** What an isolate keeps of one configuration. */
class Site {
  #identity;
  /** By which number the core knows it, since which of its beginnings, and whether that is to end with each call. */
  #number = next++;
  #since;
  #isForgotten = false;
  /** What the core has to be told of each request, and the reply where even a new instance cannot give one. */
  #plan;
  #lastResort;
  /** When KV is to be read again, the reading under way, how many there were, and the last whose outcome counted. */
  #due = 0;
  #reading;
  #readings = 0;
  #taken = 0;
  /** Whether KV has been read, or could not be; and until when visitors wait for that. */
  #isReady = false;
  #deadline;
  // What is in force, and why nothing is, the core knows; here is only what has to outlive it, and what KV is asked for.
  /** What was read last, so that nothing is compiled twice, and the arguments of `setVariables` that belong to it. */
  #seen = [];
  #variables;
  /** What a push has replaced, and until when KV may still tell that. */
  #replaced = { texts: [], until: 0 };
  /** What loads the policy in force into a new instance of the core. */
  #inForce;
  /** What was counted and not yet sent: decisions by label, and bypass rules that let requests pass by name. */
  #counts = nothingCounted();
  #countedLast = 0;
  #flushDue = 0;

  constructor(env) {
    this.#identity = IDENTITY.map((name) => env[name]);
    this.#variables = [...VARIABLES.map((name) => env[name] ?? ""), ...settingsOf(env)];
    this.#withCore(() => this.#take());
  }

  isOf(env) {
    for (let index = 0; index < IDENTITY.length; index += 1) {
      if (env[IDENTITY[index]] !== this.#identity[index]) return false;
    }
    return true;
  }

  /** What is under way goes on. */
  forget() {
    this.#isForgotten = true;
    this.#withCore(() => {});
  }

  admit(request, env, ctx) {
    const now = Date.now();
    if (now >= this.#due) {
      this.#refresh(env, ctx, now);
    }
    return this.#isReady ? this.#serve(request, env, ctx, now) : this.#whenReady(request, env, ctx);
  }

  async #whenReady(request, env, ctx) {
    await Promise.race([this.#reading, scheduler.wait(Math.max(0, this.#deadline - Date.now()))]);
    if (!this.#isReady) {
      this.#isReady = true;
      this.#storeFailed(SILENT);
    }
    return this.#serve(request, env, ctx, Date.now());
  }

  #serve(request, env, ctx, now) {
    const { url } = request;
    if (this.#plan.push && url.indexOf(PUSH) > 0) {
      return this.#push(request, env).then((answer) => answered("push", answer));
    }
    if (env.VELVETROPE_ADMIN_TOKEN && url.includes(DECISIONS) && new URL(url).pathname === DECISIONS) {
      return this.#decisions(request, env).then((answer) => answered("decisions", answer));
    }
    if (this.#plan.body && request.body !== null) {
      return this.#serveWithBody(request, env, ctx, now);
    }
    return this.#carryOut(this.#ask(this.#pack(request, url, now)), request, env, ctx, now);
  }

  async #serveWithBody(request, env, ctx, now) {
    let reply;
    try {
      const start = await startOf(request);
      reply = this.#ask(this.#pack(request, request.url, now) + start);
    } catch {
      reply = this.#withCore(() => Engine.fail(this.#number, "the body of a request cannot be read"));
    }
    return this.#carryOut(reply, request, env, ctx, now);
  }

  #pack(request, url, now) {
    const { headers } = request;
    const plan = this.#plan;
    let packed = `${now}\n${request.method}\n${url}\n${headers.get("cf-connecting-ip") ?? ""}\n`;
    if (plan.properties.length > 0) {
      packed += packProperties(plan.properties, request.cf);
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

  /** The core's reply. If the core dies of a request, the next one finds a new core. */
  #ask(packed) {
    try {
      return this.#withCore(() => decide(this.#number, packed));
    } catch (error) {
      return this.#reviveAfter(error, "a decision");
    }
  }

  #carryOut(reply, request, env, ctx, now) {
    const lines = reply.split("\n");
    const [status, label, failed, rule] = lines;
    this.#count(label, rule, env, ctx, now);
    if (failed !== "") {
      log(`${label}: ${failed}`);
    }
    return status.length === 1 ? this.#goOn(request, label, lines) : answered(label, answer(lines));
  }

  /** With the request as it goes on; its body is not touched. */
  #goOn(request, label, lines) {
    const headers = new Headers(request.headers);
    const times = this.#timesPassed(headers.get(MARK));
    if (times >= this.#plan.marks.length) {
      return answered("loop", goesInCircles(request.url));
    }
    // Deleted while others are looked at, some would be missed.
    for (const name of [...headers.keys()]) {
      if (FORGED.test(name)) headers.delete(name);
    }
    const end = behindRequest(lines);
    for (let at = 6; at < end; at += 2) headers.set(lines[at], lines[at + 1]);
    headers.set(MARK, this.#plan.marks[times]);
    const asked = lines[4] === "" ? request : new Request(lines[4], request);
    const passed = new Request(asked, { headers, redirect: "manual" });
    return { decision: label, request: passed, finish: (response) => forVisitor(response, lines) };
  }

  /** How often a request that brings this mark has come by. What strangers make up counts for nothing, and is replaced. */
  #timesPassed(mark) {
    if (mark === null) {
      return 0;
    }
    try {
      return this.#withCore(() => Engine.timesPassed(this.#number, mark));
    } catch (error) {
      this.#reviveAfter(error, "a mark");
      return 0;
    }
  }

  // The core

  /** Does something with the core, which may have died since, or have forgotten this site. */
  #withCore(work) {
    if (this.#since !== beginnings) {
      this.#begin();
    }
    try {
      return work();
    } finally {
      if (this.#isForgotten) {
        this.#since = undefined;
        Engine.forget(this.#number);
      }
    }
  }

  /** Tells the core what it knew before. */
  #begin() {
    this.#since = beginnings;
    if (this.#inForce) {
      Engine.setVariables(this.#number, ...this.#inForce.variables);
      Engine.load(this.#number, ...this.#inForce.held, this.#inForce.saved);
    }
    Engine.setVariables(this.#number, ...this.#variables);
  }

  /** Makes a new instance after one has died, with the policy in force; the reply to the request that killed it. */
  #reviveAfter(error, what) {
    try {
      restart(error, what);
      return this.#withCore(() => Engine.fail(this.#number, `the core died of ${what}`));
    } catch (again) {
      log(`the core cannot be started again: ${again}`);
      return this.#lastResort;
    }
  }

  /** Notes what the core says after a change. */
  #take() {
    const told = JSON.parse(Engine.plan(this.#number));
    const properties = told.properties.map((property) => ({ label: `@${property}:`, path: property.split(".") }));
    this.#plan = { ...told, properties };
    this.#lastResort = Engine.fail(this.#number, "the core cannot be started again");
  }

  // Configuration

  /** Reads KV anew while visitors are served by what is in force. */
  #refresh(env, ctx, now) {
    const period = 1_000 * (between(1, 86_400, env.VELVETROPE_REFRESH_SECONDS) ?? 60);
    this.#readings += 1;
    this.#deadline ??= now + PATIENCE;
    this.#due = now + (this.#plan.in_force ? period : PATIENCE);
    const read = this.#read(env, ctx, this.#readings);
    this.#reading = within(PATIENCE, read).catch((error) => this.#storeFailed(error)).then(() => {
      this.#due = Date.now() + (this.#plan.in_force ? period : Math.min(period, RETRY));
      this.#isReady = true;
    });
    // What comes late is taken, too.
    ctx.waitUntil(Promise.allSettled([this.#reading, read]));
  }

  #storeFailed(error) {
    log(`KV cannot be read: ${error}`);
    this.#withCore(() => {
      if (Engine.storeFailed(this.#number, `KV cannot be read: ${error}`)) {
        this.#seen = [];
        this.#take();
      }
    });
  }

  /** Puts in force what KV holds, if it is new. */
  async #read(env, ctx, reading) {
    const kv = env.IntegrationConfigKV;
    if (!kv) {
      throw "no namespace is bound as IntegrationConfigKV";
    }
    const values = await Promise.all([
      kv.get("info"),
      kv.get("policy"),
      kv.get("managed"),
      ...VARIABLES.map(async (name) => env[name] || ((await kv.get(name)) ?? "").trim()),
    ]);
    if (Date.now() < this.#replaced.until && this.#replaced.texts.includes(values[0])) {
      [values[0]] = this.#seen;
    }
    if (reading < this.#taken || values.every((value, index) => value === this.#seen[index])) {
      return;
    }
    const texts = values.slice(0, 3).map((value) => value ?? undefined);
    const key = Engine.key(...texts);
    // Where it cannot be read, the texts are compiled.
    const saved = await within(PATIENCE_FOR_COMPILED, kv.get(key, "arrayBuffer")).catch(() => null);
    if (reading < this.#taken) {
      return;
    }
    this.#taken = reading;
    this.#seen = values;
    this.#variables = [...values.slice(3), ...settingsOf(env)];
    const compiled = this.#load(texts, saved === null ? undefined : new Uint8Array(saved));
    if (compiled) {
      ctx.waitUntil(store(kv, key, compiled));
    }
  }

  /** Puts a configuration in force if it is good; what was compiled, if it had to be. */
  #load(texts, saved) {
    const held = heldOf(texts);
    try {
      return this.#withCore(() => {
        Engine.setVariables(this.#number, ...this.#variables);
        if (!Engine.load(this.#number, ...held, saved)) {
          Engine.take(this.#number, ...held, this.#compiled(texts)).forEach(log);
        }
        return this.#putInForce(held, saved);
      });
    } catch (error) {
      if (typeof error !== "string") {
        this.#reviveAfter(error, "a configuration");
        return undefined;
      }
      log(`not put in force: ${error}`);
      this.#withCore(() => this.#take());
    }
  }

  /** What the compiler makes of texts; nothing if it dies of them. */
  #compiled(texts) {
    log("KV holds a configuration that nobody has compiled; it is compiled here");
    try {
      return compile(...texts, this.#variables[0]);
    } catch (error) {
      log(`the compiler died: ${error}`);
      return new Uint8Array();
    }
  }

  /** Notes what the core has put in force; what was compiled for that. */
  #putInForce(held, saved) {
    const compiled = Engine.takeToStore(this.#number);
    this.#inForce = { held, saved: compiled ?? saved, variables: this.#variables };
    this.#take();
    return compiled;
  }

  /** Takes a configuration that Queue-it sends: checks it, stores it, and puts it in force. */
  async #push(request, env) {
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
      return await this.#accept(body, env.IntegrationConfigKV);
    } catch (error) {
      return notNow(`a pushed configuration cannot be taken: ${error}`);
    } finally {
      pushes -= 1;
    }
  }

  async #accept(body, kv) {
    const [held, ...others] = await within(PATIENCE, Promise.all(["info", "policy", "managed"].map((key) => kv.get(key))));
    const [reply, info, ...warnings] = this.#pushed(body, held, others.map((value) => value ?? undefined));
    const lines = reply.split("\n");
    if (info === undefined) {
      log(`a pushed configuration is refused: ${lines[2]}`);
      return answer(lines);
    }
    warnings.forEach(log);
    const texts = [info, ...others.map((value) => value ?? undefined)];
    this.#ignoreReadings();
    const before = Date.now() < this.#replaced.until ? this.#replaced.texts : [];
    const replaced = [...new Set([...before, this.#seen[0], held])].filter((text) => text !== info);
    this.#replaced = { texts: replaced.slice(-REPLACED), until: Date.now() + STALE };
    this.#seen = [info, ...others, ...this.#seen.slice(3)];
    const compiled = this.#withCore(() => this.#putInForce(heldOf(texts)));
    // Before the text that others look for it with.
    await within(PATIENCE, store(kv, Engine.key(...texts), compiled)).catch(() => {});
    await within(PATIENCE, kv.put("info", info));
    this.#ignoreReadings();
    return answer(lines);
  }

  #pushed(body, held, others) {
    try {
      return this.#withCore(() => {
        const info = Engine.pushedText(this.#number, body);
        const outcome = info === undefined ? new Uint8Array() : this.#compiled([info, ...others]);
        return Engine.push(this.#number, body, held ?? undefined, ...others, outcome);
      });
    } catch (error) {
      this.#reviveAfter(error, "a pushed configuration");
      throw error;
    }
  }

  /** What is being read now is older than what is in force. */
  #ignoreReadings() {
    this.#readings += 1;
    this.#taken = this.#readings;
  }

  // Counting

  /**
   * Counts what was decided, if that is asked for. What an isolate has counted is sent with the first request after so many
   * seconds, or where no more requests come, after visitors have their answers.
   */
  #count(label, rule, env, ctx, now) {
    if (!env.VELVETROPE_COUNT_SECONDS || env.DECISIONS === undefined) {
      return;
    }
    add(this.#counts.decisions, label, 1);
    if (rule !== "") {
      add(this.#counts.rules, rule, 1);
    }
    this.#countedLast = now;
    if (this.#flushDue === 0) {
      const period = 1_000 * (between(1, 3_600, env.VELVETROPE_COUNT_SECONDS) ?? 60);
      this.#flushDue = now + period;
      ctx.waitUntil(this.#flushLater(Math.min(period, AFTERWARDS), env));
    } else if (now >= this.#flushDue) {
      ctx.waitUntil(this.#flush(env));
    }
  }

  /** The isolate may be ended before the time has come where nobody asks any more. */
  async #flushLater(wait, env) {
    await scheduler.wait(wait);
    const now = Date.now();
    if (this.#flushDue !== 0 && (now >= this.#flushDue || now - this.#countedLast >= QUIET)) {
      await this.#flush(env);
    }
  }

  async #flush(env) {
    this.#flushDue = 0;
    const taken = this.#counts;
    this.#counts = nothingCounted();
    try {
      const [decisions, rules] = [taken.decisions, taken.rules].map(Object.fromEntries);
      const body = JSON.stringify({ decisions, rules });
      const signal = AbortSignal.timeout(PATIENCE);
      const response = await counter(env).fetch("https://counter/", { method: "POST", body, signal });
      if (!response.ok) throw `status ${response.status}`;
      return response;
    } catch (error) {
      for (const [label, number] of taken.decisions) add(this.#counts.decisions, label, number);
      for (const [rule, number] of taken.rules) add(this.#counts.rules, rule, number);
      log(`decisions cannot be counted: ${error}`);
      return notNow("");
    }
  }

  async #decisions(request, env) {
    const headers = { "cache-control": "no-store", "content-type": "application/json" };
    if (!Engine.isAuthorized(request.headers.get("authorization") ?? "", env.VELVETROPE_ADMIN_TOKEN)) {
      const help = '{"error":"send VELVETROPE_ADMIN_TOKEN as a bearer token"}\n';
      return new Response(help, { status: 401, headers: { ...headers, "www-authenticate": "Bearer" } });
    }
    if (!env.VELVETROPE_COUNT_SECONDS || env.DECISIONS === undefined) {
      const help = '{"error":"nothing is counted: set VELVETROPE_COUNT_SECONDS, and bind DECISIONS"}\n';
      return new Response(help, { status: 503, headers });
    }
    const { status, body } = await this.#flush(env);
    return new Response(body, { status, headers });
  }
}

const settingsOf = (env) => [env.VELVETROPE_ON_FAILURE === "closed", env.VELVETROPE_SHARED_SESSIONS === "true"];

/** Whether there is an `info`, and a `policy`. */
const heldOf = ([info, policy]) => [info !== undefined, policy !== undefined];

/** After this the glue makes a new instance at the next call, which brings nothing: it would be put into the dead one's memory. */
function restart(error, what) {
  log(`the core died of ${what}: ${error}`);
  beginnings += 1;
  Engine.restart();
}

/** What a promise gives, if it does in time. */
function within(milliseconds, promise) {
  return Promise.race([
    promise,
    scheduler.wait(milliseconds).then(() => {
      throw SILENT;
    }),
  ]);
}

function between(least, most, text) {
  const number = text ? Number(text) : NaN;
  return number >= least && number <= most ? number : undefined;
}

// Requests and responses

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

function packProperties(properties, cf) {
  let packed = "";
  for (const { label, path } of properties) {
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

const answered = (decision, answer) => ({ decision, answer });

/** How the origin's response comes back, as `wire.rs` says. */
const [PRIVATE, WITHOUT_BODY] = ["1", "2"];

/** Where in a reply the headers of the response begin. */
const behindRequest = (lines) => 6 + 2 * Number(lines[5]);

/** The response as the visitor gets it; bodies and WebSockets are not touched, but for a body that is not to come. */
function forVisitor(response, lines) {
  const passed = lines[0] === WITHOUT_BODY ? withoutBody(response) : new Response(response.body, response);
  if (lines[0] === PRIVATE) makePrivate(passed.headers);
  for (let at = behindRequest(lines); at < lines.length; at += 2) {
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
    restart(error, "a response");
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

/** The redirect that was given last without a cookie: its lines, which of them says where it leads, and its headers. */
let last = { lines: [], at: 0, headers: undefined };

function answer(lines) {
  const status = Number(lines[0]);
  if (differsOnlyInLocation(lines)) {
    last.headers.set("location", lines[last.at]);
    // It takes a copy of them.
    return new Response(null, { status, headers: last.headers });
  }
  // The runtime takes headers as an object three times as fast as in pairs; only cookies come more than once.
  const headers = {};
  const cookies = [];
  let location = 0;
  let at = 6;
  for (; at < lines.length && lines[at] !== ""; at += 2) {
    if (lines[at] === "set-cookie") cookies.push(lines[at + 1]);
    else headers[lines[at]] = lines[at + 1];
    if (lines[at] === "location") location = at + 1;
  }
  const body = lines.slice(at + 1).join("\n");
  if (location > 0 && cookies.length === 0 && body === "") {
    last = { lines, at: location, headers: new Headers(headers) };
  }
  const response = new Response(body === "" ? null : body, { status, headers });
  for (const cookie of cookies) response.headers.append("set-cookie", cookie);
  return response;
}

/** Whether the headers of the last redirect are those of this one but for where it leads, as for most visitors. */
function differsOnlyInLocation(lines) {
  if (lines.length !== last.lines.length) return false;
  for (let at = 6; at < lines.length; at += 1) {
    if (lines[at] !== last.lines[at] && at !== last.at) return false;
  }
  return true;
}

/** The answer to a request that has come back too often (RFC 9457, which `wrangler dev` does not pack on its way through). */
function goesInCircles(url) {
  log(`a request has gone in circles: ${new URL(url).pathname}`);
  const detail = "It has come back to the Worker again and again: where that passes visitors on to leads to itself. "
    + "With `wrangler dev`, name the site behind it: --local-upstream 127.0.0.1:3000 --upstream-protocol http. "
    + "At Cloudflare, the route's host needs a DNS record that leads to the site, and the site must not ask its own host.";
  const problem = { title: "This request goes in circles", status: 508, detail };
  const headers = { "x-queueit-connector": "cloudflare", "cache-control": "no-store", "content-type": "application/problem+json" };
  return new Response(`${JSON.stringify(problem, null, 2)}\n`, { status: 508, headers });
}

function notNow(why) {
  if (why) log(why);
  const headers = { "x-queueit-connector": "cloudflare", "retry-after": "10", "cache-control": "no-store" };
  return new Response("Fail!", { status: 503, headers });
}

/** Keeps a compiled policy for other isolates. */
async function store(kv, key, compiled) {
  try {
    await kv.put(key, compiled, { expirationTtl: KEPT });
  } catch (error) {
    log(`the compiled policy cannot be stored: ${error}`);
  }
}

function nothingCounted() {
  return { decisions: new Map(), rules: new Map() };
}

function add(counts, key, number) {
  counts.set(key, (counts.get(key) ?? 0) + number);
}

const counter = ({ DECISIONS: counters, VELVETROPE_ZONE }) => counters.get(counters.idFromName(VELVETROPE_ZONE || "site"));

function log(text) {
  console.log(`velvetrope: ${text}`);
}

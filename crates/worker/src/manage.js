// The module that runs as the Worker that manages rooms, bypass rules and lists, beside the one that decides. All that is
// managed is in one Durable Object, which is the only one to write it: it does the I/O, and what it says is decided by
// manage.rs. What is in force at the edges is a copy in KV, under the key `managed`.

import module from "./manage_bg.wasm";
import { Management, __wbg_reset_state as renew, initSync } from "./manage_glue.js";

/** Milliseconds for which what KV holds of the policy is believed, and what was counted. */
const BELIEVED = 5_000;
/** Milliseconds until something is tried again that failed. */
const RETRY = 5_000;
/** KV takes a key once a second. */
const BETWEEN_PUTS = 1_000;
/** Milliseconds for which is waited for what was counted. */
const PATIENCE = 2_000;
/** Undoes a transaction. */
const UNDO = Symbol("undo");

export default {
  fetch(request, env) {
    return env.STORE.get(env.STORE.idFromName("store")).fetch(request);
  },
};

export class PolicyStore {
  #ctx;
  #env;
  /** The policy as KV held it last, and until when that is believed. */
  #known = [];
  #believedUntil = 0;
  #countedUntil = 0;
  #publishedRevision = 0;
  #nextPut = 0;

  constructor(ctx, env) {
    this.#ctx = ctx;
    this.#env = env;
    initSync({ module });
    this.#setToken();
    this.#transact((sql) => Management.migrate(sql));
  }

  async fetch(request) {
    const { pathname, search, host, protocol } = new URL(request.url);
    const limit = Management.bodyLimit(request.method, pathname);
    const body = await wholeOf(request, limit);
    if (body === undefined) {
      return respond(Management.tooLarge(limit));
    }
    await this.#refresh();
    // What was asked for, whoever has passed it on.
    const asked = new Headers(request.headers);
    asked.set("host", host);
    asked.set("x-forwarded-proto", protocol.slice(0, -1));
    const head = JSON.stringify({
      method: request.method,
      uri: pathname + search,
      headers: [...asked],
      now: Date.now(),
    });
    try {
      return respond(await this.#answerWithHits(head, body));
    } catch (error) {
      log(`${request.method} ${pathname}: ${error}`);
      return new Response(null, { status: 500 });
    }
  }

  /** What bypass rules did is asked for only where it is shown, which is to whom it may be. */
  async #answerWithHits(head, body) {
    const answer = this.#answer(head, body);
    const isComplete = !JSON.parse(answer[0]).shows_hits || !(await this.#readCounted());
    return isComplete ? answer : this.#answer(head, body);
  }

  /** Asks the counter of the Worker that decides, if it is bound and was not asked just now; whether it was. */
  async #readCounted() {
    const { DECISIONS: counters } = this.#env;
    if (!counters || Date.now() < this.#countedUntil) {
      return false;
    }
    try {
      const counter = counters.get(counters.idFromName("site"));
      const response = await counter.fetch("https://counter/", { signal: AbortSignal.timeout(PATIENCE) });
      if (!response.ok) throw `status ${response.status}`;
      Management.setCounted(await response.text());
    } catch (error) {
      log(`what was counted cannot be read: ${error}`);
      Management.setCounted();
    }
    this.#countedUntil = Date.now() + BELIEVED;
    return true;
  }

  #answer(head, body) {
    let answer;
    try {
      this.#transact((sql) => {
        answer = Management.answer(head, body, sql);
        if (!JSON.parse(answer[0]).keep) throw UNDO;
      });
      // In one with what has been written: there is no await in between.
      this.#schedule();
    } catch (error) {
      if (error !== UNDO) throw error;
    }
    return answer;
  }

  /** Takes over what the policy says that was published, if it is new. */
  async #refresh() {
    if (Date.now() < this.#believedUntil) {
      return;
    }
    try {
      const { IntegrationConfigKV: kv, QUEUEIT_CUSTOMERID, VELVETROPE_ZONE } = this.#env;
      const [policy, info, customer] = await Promise.all([
        kv.get("policy"),
        kv.get("info"),
        QUEUEIT_CUSTOMERID || kv.get("QUEUEIT_CUSTOMERID"),
      ]);
      this.#believedUntil = Date.now() + BELIEVED;
      const read = [policy ?? undefined, info ?? undefined, customer?.trim() ?? ""];
      if (read.every((value, index) => value === this.#known[index]) || !(policy || info)) {
        return;
      }
      this.#transact((sql) => Management.takeFiles(VELVETROPE_ZONE || "site", ...read, Date.now(), sql));
      this.#known = read;
      this.#schedule();
    } catch (error) {
      log(`the published policy cannot be taken over: ${error}`);
    }
  }

  #schedule() {
    this.#ctx.storage.setAlarm(Math.max(Date.now(), this.#nextPut));
  }

  /** Does what was asked of lists, and publishes what has changed. */
  async alarm() {
    try {
      while (this.#transact((sql) => Management.runNextOperation(Date.now(), sql)));
      await this.#publish();
    } catch (error) {
      log(`what is managed cannot be published: ${error}`);
      await this.#ctx.storage.setAlarm(Date.now() + RETRY);
    }
  }

  async #publish() {
    const { IntegrationConfigKV: kv, VELVETROPE_ZONE } = this.#env;
    const [revision, texts] = this.#transact((sql) => Management.texts(VELVETROPE_ZONE || "site", sql));
    if (revision === this.#publishedRevision) {
      return;
    }
    this.#nextPut = Date.now() + BETWEEN_PUTS;
    await kv.put("managed", texts, { metadata: { revision } });
    this.#publishedRevision = revision;
  }

  /** Works in one transaction. After a trap the next one finds a new instance. */
  #transact(work) {
    const { storage } = this.#ctx;
    const sql = (text, parameters) => JSON.stringify([...storage.sql.exec(text, ...JSON.parse(parameters)).raw()]);
    try {
      return storage.transactionSync(() => work(sql));
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) {
        renew();
        this.#setToken();
      }
      throw error;
    }
  }

  #setToken() {
    Management.setToken(this.#env.VELVETROPE_ADMIN_TOKEN ?? "");
  }
}

/** The body of a request, of which no more is held than `limit` bytes; nothing where it is longer. */
async function wholeOf(request, limit) {
  if (Number(request.headers.get("content-length") ?? 0) > limit) return undefined;
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  const chunks = [];
  let length = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > limit) {
      reader.cancel().catch(() => {});
      return undefined;
    }
    chunks.push(value);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

function respond([head, body]) {
  const { status, headers, trouble } = JSON.parse(head);
  if (trouble) log(trouble);
  return new Response(body.length === 0 ? null : body, { status, headers });
}

function log(text) {
  console.log(`velvetrope: ${text}`);
}

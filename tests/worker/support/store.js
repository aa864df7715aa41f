// A KV namespace that a test holds in its hands: it counts, breaks or hangs when told to, and may be as slow to tell of
// changes as Cloudflare's.

import { Response } from "miniflare";

/** Runs beside the Worker and stands in for the binding: it asks the test for everything. */
const BINDING = `
  export default function (env) {
    async function read(key, options) {
      const type = typeof options === "string" ? options : options?.type ?? "text";
      const response = await env.store.fetch("http://store/" + encodeURIComponent(key));
      if (response.status === 404) return { value: null, metadata: null };
      if (!response.ok) throw new Error("KV GET failed: " + response.status + " " + (await response.text()));
      const metadata = JSON.parse(decodeURIComponent(response.headers.get("metadata")));
      const readers = {
        text: () => response.text(), json: () => response.json(),
        arrayBuffer: () => response.arrayBuffer(), stream: () => response.body,
      };
      return { value: await readers[type](), metadata };
    }
    return {
      get: async (key, options) => (await read(key, options)).value,
      getWithMetadata: read,
      async put(key, value, options) {
        const metadata = encodeURIComponent(JSON.stringify(options?.metadata ?? null));
        const response = await env.store.fetch("http://store/" + encodeURIComponent(key), {
          method: "PUT", body: value, headers: { metadata },
        });
        if (!response.ok) throw new Error("KV PUT failed: " + response.status + " " + (await response.text()));
      },
    };
  }`;

export class Store {
  /** Texts, bytes, or both with metadata, by key. */
  entries;
  isBroken = false;
  reads = 0;
  /** Every key that was written, in that order. */
  written = [];
  /** For how many milliseconds a read is answered as the last one was, also that there is nothing. */
  cachedFor = 0;
  #cached = new Map();
  #hanging;

  constructor(entries) {
    this.entries = new Map(Object.entries(entries));
  }

  /** Nobody is answered before `goOn`. */
  hang() {
    this.#hanging ??= withResolvers();
  }

  goOn() {
    this.#hanging?.resolve();
    this.#hanging = undefined;
  }

  /** What a site needs to use it instead of its namespace. */
  options() {
    return { worker: this.bound(), others: [this.binding()] };
  }

  /** How a Worker is bound to it in place of its namespace. */
  bound(name = "store") {
    return { kvNamespaces: {}, wrappedBindings: { IntegrationConfigKV: { scriptName: name } } };
  }

  /** What stands between. */
  binding(name = "store") {
    return { name, modules: true, script: BINDING, serviceBindings: { store: (request) => this.#serve(request) } };
  }

  /** How often a key was written, or one that goes on with a colon. */
  writes(key) {
    return this.written.filter((written) => written === key || written.startsWith(`${key}:`)).length;
  }

  /** Under which keys it holds compiled policies. */
  compiled() {
    return [...this.entries.keys()].filter((key) => key.startsWith("compiled:"));
  }

  /** What is stored under a key. */
  entry(key) {
    const entry = this.entries.get(key);
    return entry?.value === undefined ? { value: Buffer.from(entry ?? ""), metadata: null } : entry;
  }

  async #serve(request) {
    const key = decodeURIComponent(new URL(request.url).pathname.slice(1));
    await this.#hanging?.promise;
    if (this.isBroken) return new Response("the store is broken", { status: 500 });
    if (request.method === "PUT") {
      const metadata = JSON.parse(decodeURIComponent(request.headers.get("metadata")));
      this.entries.set(key, { value: Buffer.from(await request.arrayBuffer()), metadata });
      this.written.push(key);
      return new Response(null, { status: 204 });
    }
    this.reads += 1;
    const entry = this.#read(key);
    if (!entry) return new Response(null, { status: 404 });
    return new Response(entry.value, { headers: { metadata: encodeURIComponent(JSON.stringify(entry.metadata)) } });
  }

  #read(key) {
    const cached = this.#cached.get(key);
    if (cached && Date.now() < cached.until) return cached.entry;
    const entry = this.entries.has(key) ? this.entry(key) : undefined;
    this.#cached.set(key, { entry, until: Date.now() + this.cachedFor });
    return entry;
  }
}

function withResolvers() {
  let resolve;
  const promise = new Promise((given) => {
    resolve = given;
  });
  return { promise, resolve };
}

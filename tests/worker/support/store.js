// A KV namespace that a test holds in its hands: it counts, and breaks when told to.

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
  #writes = [];

  constructor(entries) {
    this.entries = new Map(Object.entries(entries));
  }

  /** What a site needs to use it instead of its namespace. */
  options() {
    const serviceBindings = { store: (request) => this.#serve(request) };
    return {
      worker: { kvNamespaces: {}, wrappedBindings: { IntegrationConfigKV: { scriptName: "store" } } },
      others: [{ name: "store", modules: true, script: BINDING, serviceBindings }],
    };
  }

  /** How often a key was written. */
  writes(key) {
    return this.#writes.filter((written) => written === key).length;
  }

  /** What is stored under a key. */
  entry(key) {
    const entry = this.entries.get(key);
    return entry?.value === undefined ? { value: Buffer.from(entry ?? ""), metadata: null } : entry;
  }

  async #serve(request) {
    const key = decodeURIComponent(new URL(request.url).pathname.slice(1));
    if (this.isBroken) return new Response("the store is broken", { status: 500 });
    if (request.method === "PUT") {
      const metadata = JSON.parse(decodeURIComponent(request.headers.get("metadata")));
      this.entries.set(key, { value: Buffer.from(await request.arrayBuffer()), metadata });
      this.#writes.push(key);
      return new Response(null, { status: 204 });
    }
    this.reads += 1;
    if (!this.entries.has(key)) return new Response(null, { status: 404 });
    const { value, metadata } = this.entry(key);
    return new Response(value, { headers: { metadata: encodeURIComponent(JSON.stringify(metadata)) } });
  }
}

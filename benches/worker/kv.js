// A KV namespace of one process: the configuration, and what the Worker stores.

const stored = new Map();

export default {
  async fetch(request, env) {
    const key = decodeURIComponent(new URL(request.url).pathname.slice(1));
    if (request.method === "PUT") {
      stored.set(key, { value: await request.arrayBuffer(), metadata: request.headers.get("cf-kv-metadata") });
      return new Response(null, { status: 200 });
    }
    if (key in env.VALUES) return new Response(env.VALUES[key]);
    const { value, metadata } = stored.get(key) ?? {};
    if (!value) return new Response(null, { status: 404 });
    return new Response(value, { headers: metadata ? { "cf-kv-metadata": metadata } : {} });
  },
};

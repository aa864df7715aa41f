// Somebody's own Worker around the connector: static assets never wait, and every answer gets a header.

import { DecisionCounter, handle } from "velvetrope-worker";

export { DecisionCounter };

export default {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname.startsWith("/assets/")) return env.ASSETS.fetch(request);
    const response = await handle(request, env, ctx);
    const mine = new Response(response.body, response);
    mine.headers.set("strict-transport-security", "max-age=31536000");
    return mine;
  },
};

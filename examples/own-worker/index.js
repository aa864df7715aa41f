// Somebody's own Worker around the connector: every answer gets a header. Static assets are answered before it is asked; see
// wrangler.toml.

import { DecisionCounter, handle } from "velvetrope-worker";

export { DecisionCounter };

export default {
  async fetch(request, env, ctx) {
    const response = await handle(request, env, ctx);
    const mine = new Response(response.body, response);
    mine.headers.set("strict-transport-security", "max-age=31536000");
    return mine;
  },
};

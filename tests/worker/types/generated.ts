// What is bound, as `wrangler types` writes it, fits.

import { DecisionCounter, admit } from "velvetrope-worker";

export { DecisionCounter };

export default {
  async fetch(request, env, ctx) {
    const visit = await admit(request, env, ctx);
    if (visit.answer) return visit.answer;
    return visit.finish(await fetch(visit.request));
  },
} satisfies ExportedHandler<Env>;

// A site of static assets alone, all of it behind the rope. Nothing is fetched from anywhere.

import { type Env, admit } from "velvetrope-worker";

interface Bindings extends Env {
  ASSETS: Fetcher;
}

export default {
  async fetch(request, env, ctx) {
    const visit = await admit(request, env, ctx);
    if (visit.answer) return visit.answer;
    return visit.finish(await env.ASSETS.fetch(visit.request));
  },
} satisfies ExportedHandler<Bindings>;

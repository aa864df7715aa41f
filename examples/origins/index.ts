// Several origins behind one rope: which one answers is looked up by the beginning of the path. What nobody is named for
// goes to where the URL leads, as without a Worker.

import { type Env, admit } from "velvetrope-worker";

interface Bindings extends Env {
  SHOP_ORIGIN: string;
  API_ORIGIN: string;
}

export default {
  async fetch(request, env, ctx) {
    const visit = await admit(request, env, ctx);
    if (visit.answer) return visit.answer;
    const url = originFor(new URL(visit.request.url), env);
    return visit.finish(await fetch(new Request(url, visit.request)));
  },
} satisfies ExportedHandler<Bindings>;

/** By the request that was decided about, not by the one that came in: it has one reading only. */
function originFor(url: URL, env: Bindings): URL {
  const origins = { "/shop/": env.SHOP_ORIGIN, "/api/": env.API_ORIGIN };
  const found = Object.entries(origins).find(([start]) => url.pathname.startsWith(start));
  return found ? new URL(url.pathname + url.search, found[1]) : url;
}

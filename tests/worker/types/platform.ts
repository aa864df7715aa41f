// What Cloudflare gives fits what the package takes: bindings, contexts of Workers and of Pages, handlers.

import { type Context, type Env, DecisionCounter, admit, handle } from "velvetrope-worker";
import management, { type Env as ManagementEnv } from "velvetrope-worker/manage";

interface Bindings {
  IntegrationConfigKV: KVNamespace;
  BRAND_B: KVNamespace;
  DECISIONS: DurableObjectNamespace;
  STORE: DurableObjectNamespace;
  ASSETS: Fetcher;
  QUEUEIT_CUSTOMERID: string;
  VELVETROPE_ON_FAILURE: "open" | "closed";
}

export { DecisionCounter };

export default {
  async fetch(request, env, ctx) {
    const visit = await admit(request, env, ctx);
    if (visit.answer) return visit.answer;
    return visit.finish(await env.ASSETS.fetch(visit.request));
  },
} satisfies ExportedHandler<Bindings>;

export const onRequest: PagesFunction<Bindings> = async (context) => {
  const visit = await admit(context.request, context.env, context);
  return visit.answer ?? visit.finish(await context.next(visit.request));
};

export const brand = (request: Request, env: Bindings, ctx: ExecutionContext): Promise<Response> =>
  handle(request, { ...env, IntegrationConfigKV: env.BRAND_B }, ctx);

export const manage = (request: Request, env: Bindings & ManagementEnv): Promise<Response> => management.fetch(request, env);

const bound: (env: Bindings) => Env = (env) => env;
const context: (ctx: ExecutionContext) => Context = (ctx) => ctx;
void [bound, context];

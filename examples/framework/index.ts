// A framework behind the rope: whatever has a `fetch(request, env, ctx)` can stand there, here Hono. What it answers before
// the rope (`/healthz`) it answers everybody.

import { Hono } from "hono";
import { type Env, admit } from "velvetrope-worker";

const shop = new Hono<{ Bindings: Env }>();
shop.get("/", (context) => context.text("Tickets"));
shop.get("/shop/:event", (context) => context.html(`<p>Buy ${encodeURIComponent(context.req.param("event"))}`));
// The verdict tells who comes past the waiting room: nobody else can have set it.
shop.post("/shop/:event", async (context) =>
  context.json({ bought: await context.req.text(), verdict: context.req.header("x-velvetrope-verdict") }));

export default {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname === "/healthz") return new Response("well\n");
    const visit = await admit(request, env, ctx);
    if (visit.answer) return visit.answer;
    return visit.finish(await shop.fetch(visit.request, env, ctx));
  },
} satisfies ExportedHandler<Env>;

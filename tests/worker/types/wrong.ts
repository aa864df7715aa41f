// Every way to use it wrongly that the types are there to tell of. The compiler complains where a line is right after all.

import { type Admitted, type Answered, type Context, type Env, DecisionCounter, admit, handle } from "velvetrope-worker";
// @ts-expect-error is not exported: it is the core's.
import { Engine } from "velvetrope-worker";
// @ts-expect-error is not among the package's modules.
import core from "velvetrope-worker/core.js";
import management from "velvetrope-worker/manage";

declare const request: Request;
declare const env: Env;
declare const ctx: Context;
declare const visit: Admitted | Answered;

// @ts-expect-error a context is needed: the configuration is read behind the answer.
handle(request, env);
// @ts-expect-error a request, not a URL.
handle("https://example.com/", env, ctx);
// @ts-expect-error the namespace, not its id.
admit(request, { IntegrationConfigKV: "0f2ac74b498b48028cb68387c421e279" }, ctx);
// @ts-expect-error texts, as all variables.
admit(request, { VELVETROPE_REFRESH_SECONDS: 60 }, ctx);
// @ts-expect-error misspelt.
admit(request, { QUEUEIT_SECRET_KEY: "secret" }, ctx);
// @ts-expect-error has to be awaited.
admit(request, env, ctx).answer;
// @ts-expect-error has an answer already, perhaps.
visit.finish(new Response());
// @ts-expect-error has an answer already, perhaps.
fetch(visit.request);
// @ts-expect-error passes on, perhaps.
const answer: Response = visit.answer;
if (visit.answer) {
  // @ts-expect-error there is nothing to be passed on.
  fetch(visit.request);
} else {
  // @ts-expect-error the response is finished, not the request.
  visit.finish(visit.request);
  // @ts-expect-error a response, not the promise of one.
  visit.finish(fetch(visit.request));
  // @ts-expect-error what was decided stays so.
  visit.decision = "bypass";
}
// @ts-expect-error a Durable Object has a state.
new DecisionCounter();
// @ts-expect-error its store is needed.
management.fetch(request, {});

void [Engine, core, answer];

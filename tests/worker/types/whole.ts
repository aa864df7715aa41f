// Everything that the package exports, used as it is meant to be. Only compiled, under every option of strictness.

import worker, {
  type Admitted, type Answered, type ConfigurationStore, type Context, type CounterNamespace, type Decision, type Env,
  DecisionCounter, admit, handle,
} from "velvetrope-worker";
import management, { type Env as ManagementEnv, PolicyStore } from "velvetrope-worker/manage";

export { DecisionCounter, PolicyStore };

interface Bindings extends Env {
  BRANDS: ConfigurationStore;
  COUNTERS: CounterNamespace;
}

async function inHalves(request: Request, env: Bindings, ctx: Context): Promise<Response> {
  const visit: Admitted | Answered = await admit(request, env, ctx);
  const decision: Decision = visit.decision;
  if (decision === "failed-open") return new Response(null, { status: 503 });
  if (visit.answer) {
    const answer: Response = visit.answer;
    return answer;
  }
  const response = await fetch(new Request("https://origin.example/", visit.request));
  return visit.finish(response);
}

async function ofSeveral(request: Request, env: Bindings, ctx: Context): Promise<Response> {
  return handle(request, { ...env, IntegrationConfigKV: env.BRANDS, DECISIONS: env.COUNTERS, QUEUEIT_CUSTOMERID: "b" }, ctx);
}

export async function everything(request: Request, env: Bindings & ManagementEnv, ctx: Context): Promise<Response[]> {
  return [
    await inHalves(request, env, ctx),
    await ofSeveral(request, env, ctx),
    await worker.fetch(request, env, ctx),
    await management.fetch(request, env),
  ];
}

// The same for the Worker that manages, with both Durable Objects in one.

import { DecisionCounter } from "velvetrope-worker";
import management, { PolicyStore } from "velvetrope-worker/manage";

export { DecisionCounter, PolicyStore };

export default {
  fetch: (request, env) => management.fetch(request, env),
} satisfies ExportedHandler<Env>;

// The module that runs as the Worker: it carries requests into the compiled connector, and its decisions out.

import { Engine } from "./core.js";

export function handle(request) {
  return new Response(Engine.decide(request.url));
}

export default { fetch: handle };

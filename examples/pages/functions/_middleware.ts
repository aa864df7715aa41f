// A Pages project behind the rope: this runs before every function and every asset.

import { type Env, admit } from "velvetrope-worker";

export const onRequest: PagesFunction<Env> = async (context) => {
  const visit = await admit(context.request, context.env, context);
  if (visit.answer) return visit.answer;
  return visit.finish(await context.next(visit.request));
};

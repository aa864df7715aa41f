export const onRequest: PagesFunction = ({ request }) =>
  Response.json({ method: request.method, verdict: request.headers.get("x-velvetrope-verdict") });

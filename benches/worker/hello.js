// The least a Worker can do: answer, or (at `/pass`) pass the request on.

export default {
  fetch(request) {
    return request.url.includes("/pass") ? fetch(request, { redirect: "manual" }) : new Response("Hello World!");
  },
};

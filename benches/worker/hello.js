// The least a Worker can do: answer, answer with the headers of a redirect, or (at `/pass`) pass the request on.

const LOCATION = "https://bench.queue-it.net/?c=bench&e=room1&ver=velvetrope-0.0.0&cver=7&man=Event%201&cid=en-GB"
  + "&l=Lights&t=http%3A%2F%2F127.0.0.1%3A12345%2Fevents%2F1%2Ftickets&kupver=cloudflare-0.0.0";
const HEADERS = {
  location: LOCATION,
  "cache-control": "no-cache, no-store, must-revalidate, max-age=0",
  pragma: "no-cache",
  expires: "Fri, 01 Jan 1990 00:00:00 GMT",
  "x-queueit-connector": "cloudflare",
};

export default {
  fetch(request) {
    const { url } = request;
    if (url.includes("/pass")) return fetch(request, { redirect: "manual" });
    if (url.includes("/redirect")) return new Response(null, { status: 302, headers: HEADERS });
    return new Response("Hello World!");
  },
};

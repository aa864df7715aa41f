// The site behind the Workers.

export default {
  fetch: () => new Response("the site"),
};

// The sites of tests/end_to_end/rope/policy as an application on Node, reading the path as applications do. Tells its port.

const { createServer } = require("node:http");
const { posix } = require("node:path");
const { parse } = require("node:url");

// What the policy names by escapes, as it is.
const NAMED = [
  /\/(@artist(?!\/help)|~user|last night|vip;gold)/,
  /^\/(live\+2026|box\/office)(\/|$)/,
  /^\/café|\/münchen|^\/caf%c3%a9|\/m%c3%bcnchen/i,
  /\/last%20night|^\/open(\/.*)?\/~owner|^\/open\/caf(é|%C3%A9)$/,
];

const SITES = {
  "shop.example": (path) => {
    if (path === "/shop/assets" || path.startsWith("/shop/assets/")) return "assets";
    return path.toLowerCase().includes("/shop") ? "shop" : "public";
  },
  "tickets.example": (path) => (path === "/presale" || path.startsWith("/presale/") ? "presale" : "public"),
  "page.example": (path) => (path.toLowerCase().startsWith("/buy") ? "buy" : "public"),
  "named.example": (path) => (NAMED.some((named) => named.test(path)) ? "named" : "public"),
  "staff.example": () => "staff",
};

function siteOf(host) {
  const name = String(host).trim().toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
  // The first site is the one of hosts that nobody knows, as it often is.
  return Object.hasOwn(SITES, name) ? SITES[name] : SITES["shop.example"];
}

/** What a way of reading gives, or "none" where it fails. */
function attempt(read) {
  try {
    return read();
  } catch {
    return "none";
  }
}

const pathOf = (url) => url.split("?")[0];
const decodedPathOf = (url) => decodeURIComponent(new URL(url, "http://x").pathname);

function served({ url, headers }) {
  const host = headers.host ?? "";
  const site = siteOf(host);
  return {
    split: () => site(pathOf(url)),
    url: () => site(new URL(url, "http://x").pathname),
    decoded: () => site(decodedPathOf(url)),
    normalized: () => site(posix.normalize(decodeURIComponent(pathOf(url)))),
    "normalized-late": () => site(posix.normalize(decodedPathOf(url))),
    "decoded-twice": () => site(posix.normalize(decodeURIComponent(decodedPathOf(url)))),
    "decoded-in-part": () => site(posix.normalize(decodeURI(pathOf(url)))),
    parsed: () => site(parse(url).pathname ?? "/"),
    "with-host": () => {
      const whole = new URL(url, `http://${host}`);
      return siteOf(whole.host)(whole.pathname);
    },
    "concatenated": () => {
      const whole = new URL(`http://${host}${url}`);
      return siteOf(whole.host)(whole.pathname);
    },
    // Behind a proxy that tells the host, as `trust proxy` has it.
    forwarded: () => siteOf((headers["x-forwarded-host"] ?? host).split(",")[0])(new URL(url, "http://x").pathname),
    "forwarded-standard": () => {
      const forwarded = /host="?([^";,]*)/i.exec(headers.forwarded ?? "");
      return siteOf(forwarded ? forwarded[1] : host)(new URL(url, "http://x").pathname);
    },
  };
}

const server = createServer((request, response) => {
  const readings = Object.entries(served(request)).map(([idiom, read]) => `${idiom}=${attempt(read)}`);
  response.setHeader("x-served", readings.join(", "));
  response.setHeader("x-saw", request.headers["x-velvetrope-verdict"] ?? "");
  response.end();
});
server.keepAliveTimeout = 600_000;
server.maxRequestsPerSocket = 0;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

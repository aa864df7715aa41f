// The official engine in as little of a Worker as its job allows: the text of the configuration is cached for good.

import { KnownUser } from "@queue-it/connector-javascript";
import { sha256 } from "js-sha256";

const TOKEN = /[?&]queueittoken=([^&#]*)/;
const NO_CACHE = {
  "cache-control": "no-cache, no-store, must-revalidate, max-age=0",
  pragma: "no-cache",
  expires: "Fri, 01 Jan 1990 00:00:00 GMT",
  "x-queueit-connector": "cloudflare",
};

let configuration;

export default {
  async fetch(request, env) {
    configuration ??= await env.IntegrationConfigKV.get("info");
    const token = TOKEN.exec(request.url)?.[1];
    const url = token === undefined ? request.url : request.url.replace(TOKEN, "");
    const cookies = [];
    const decided = await KnownUser.validateRequestByIntegrationConfig(
      url, token === undefined ? "" : decodeURIComponent(token), configuration,
      env.QUEUEIT_CUSTOMERID, env.QUEUEIT_SECRETKEY, context(request, cookies),
    );
    if (decided.doRedirect() || (token !== undefined && decided.actionType === "Queue")) {
      const location = decided.doRedirect() ? `${decided.redirectUrl}&kupver=cloudflare-5.0.1` : url;
      return withCookies(new Response(null, { status: 302, headers: { ...NO_CACHE, location } }), cookies);
    }
    const answer = await fetch(request, { redirect: "manual" });
    const response = new Response(answer.body, answer);
    response.headers.set("x-queueit-connector", "cloudflare");
    return withCookies(response, cookies);
  },
};

function context(request, cookies) {
  const { headers } = request;
  let parsed;
  return {
    getHttpRequest: () => ({
      getUserAgent: () => headers.get("user-agent") ?? "",
      getHeader: (name) => headers.get(name) ?? "",
      getAbsoluteUri: () => request.url,
      getUserHostAddress: () => headers.get("cf-connecting-ip") ?? "",
      getCookieValue: (name) => (parsed ??= parse(headers.get("cookie") ?? "")).get(name),
      getRequestBodyAsString: () => "",
    }),
    getHttpResponse: () => ({ setCookie: (...cookie) => cookies.push(written(...cookie)) }),
    getCryptoProvider: () => ({ getSha256Hash: (secret, text) => sha256.hmac(secret, text) }),
    getEnqueueTokenProvider: () => null,
  };
}

function parse(header) {
  const pairs = header.split(";").map((pair) => pair.split("=")).filter((pair) => pair.length > 1);
  return new Map(pairs.map(([name, value]) => [name.trim(), decodeURIComponent(value.trim())]));
}

function written(name, value, domain, expiration, isHttpOnly, isSecure) {
  const expires = new Date(expiration * 1000).toUTCString();
  const flags = (isHttpOnly ? " HttpOnly;" : "") + (isSecure ? " Secure;" : "");
  const attributes = (domain ? ` domain=${domain};` : "") + flags;
  return `${name}=${encodeURIComponent(value)}; expires=${expires};${attributes} path=/`;
}

function withCookies(response, cookies) {
  for (const cookie of cookies) response.headers.append("set-cookie", cookie);
  return response;
}

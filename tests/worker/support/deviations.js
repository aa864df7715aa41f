// Where this project answers otherwise than the public Cloudflare connector (tests/vectors/deviations.toml), and what
// it answers instead, worked out from the record.

import { readFileSync } from "node:fs";
import { SESSION_NAME, hmac } from "./queueit.js";

const KUPVER = "&kupver=cloudflare-1.2.3";
const NO_CACHE = [
  ["cache-control", "no-cache, no-store, must-revalidate, max-age=0"],
  ["expires", "Fri, 01 Jan 1990 00:00:00 GMT"],
  ["pragma", "no-cache"],
];

/** Names of answers by label. */
function read() {
  const text = readFileSync(new URL("../../vectors/deviations.toml", import.meta.url), "utf8");
  const entries = text.split("[[deviation]]").slice(1);
  const value = (entry, key) => JSON.parse(new RegExp(`^${key} = (".*")$`, "m").exec(entry)[1]);
  return new Map(entries.map((entry) => [value(entry, "case"), value(entry, "answer")]));
}

const DEVIATIONS = read()
  // It has no switch for the reading of bodies: it reads them where a trigger looks at them.
  .set("edge-v3/body-off", "the body is read");

const ANSWERS = {
  "the URL without tokens means the same": (record, expect) =>
    staysOnSite(record, changeHeader(expect, "location", () => withoutTokens(record.request.url))),
  "the redirect stays on this site": staysOnSite,
  private: (_, expect) => (expect.forwarded_to_origin
    ? { ...expect, headers: [["cache-control", "private, no-cache"], ...expect.headers] }
    : expect),
  303: (_, expect) => ({ ...expect, status: expect.status === 302 ? 303 : expect.status }),
  "the token is refused": tokenIsRefused,
  "to the queue without a target": queueWithoutTarget,
  "the unreadable cookie stays": (_, expect) => ({ ...expect, headers: expect.headers.filter(([name]) => name !== "set-cookie") }),
  "cancel as in 5.x": cancelOf5,
  "debug as in 5.x": (record, expect) => debugOf5(staysOnSite(record, expect)),
  "debug as in 5.x, every cookie kept": debugOf5AndEveryCookie,
  "the push is refused": ({ expect }) => ({ ...expect, status: 400, body: "Fail!", stored: undefined }),
  "UTF-8 is kept": utf8IsKept,
  "the body is read": (record) => answer(303, ["location", waitingRoom(record, "") + target(record) + KUPVER]),
};

/** The recorded answer, or the one this project gives instead. */
export function expected(record) {
  const derive = ANSWERS[DEVIATIONS.get(record.name.replace(/-\d+$/, ""))];
  const { stored, headers, ...answer } = derive ? derive(record, structuredClone(record.expect)) : record.expect;
  return { ...answer, headers: headers.flatMap(forTheHostToo), ...(stored ? { stored } : {}) };
}

/** What is deleted for a domain is deleted for the host alone, too. The seal of a session is up to its time; see vectors.js. */
function forTheHostToo([name, value]) {
  const isDeletion = name === "set-cookie" && /01 Jan 1970.* domain=/.test(value);
  return [[name, value], ...(isDeletion ? [[name, value.replace(/ domain=.*?;/, "")]] : [])];
}

/** What redirects to the same site without the token names path and query alone. */
function staysOnSite(record, expect) {
  const { origin } = new URL(record.request.url);
  const isOwn = (location) => location.startsWith(`${origin}/`);
  return changeHeader(expect, "location", (location) => (isOwn(location) ? location.slice(origin.length) : location));
}

/** A token that cannot be decoded is as bad as any other that is not signed. */
function tokenIsRefused(record) {
  const token = record.request.url.split("queueittoken=")[1].split("&")[0];
  const more = `&queueittoken=${token}&ts=${record.now}${target(record)}`;
  return answer(302, ["location", waitingRoom(record, "error/hash/") + more + KUPVER]);
}

/** An ajax header that cannot be decoded tells no page, as in 5.x. */
function queueWithoutTarget(record) {
  return answer(200,
    ["access-control-expose-headers", "x-queueit-redirect"],
    ["x-queueit-redirect", enc(waitingRoom(record, "")) + KUPVER]);
}

/** 5.x cancels several rooms at once, with another URL. */
function cancelOf5(record, expect) {
  return changeHeader(expect, "location", (location) => {
    const [, origin, rooms, query] = /^(.*)\/cancel\/[^/]*\/(.*?)\?(.*)$/.exec(location);
    const r = query.split("&").find((parameter) => parameter.startsWith("r="));
    return `${origin}/cancel/multiple/${record.customer_id}?wrl=${rooms.split("/").join("~")}&${r}${KUPVER}`;
  });
}

/** 5.x tells more of its configuration, and has no error page for a debug token. */
function debugOf5(expect) {
  const toQueue = (location) => location.includes("/error/eventid/")
    ? location.replace("/error/eventid/", "/").split("&").filter((one) => !/^(queueittoken|ts)=/.test(one)).join("&")
    : location;
  const tellingMore = (cookie) => cookie
    .replaceAll("%26Version%3A", "%26AllowedWaitingRoomIds%3A%26Version%3A")
    .replaceAll("%26CookieDomain%3A", "%26QueuePathPrefix%3A%26CookieDomain%3A")
    .replaceAll("; expires", "%26VerifyActionEnabled%3Afalse%26QueueIdUsageLimit%3A; expires");
  return changeHeader(changeHeader(expect, "location", toQueue), "set-cookie", tellingMore);
}

/** The connector keeps only the last Set-Cookie. Every one is kept. */
function debugOf5AndEveryCookie(record, expect) {
  const told = debugOf5(staysOnSite(record, expect));
  const { EventId: room, ...of } = firstIntegration(record);
  const name = `${SESSION_NAME}${room}`;
  const cookie = (record.request.headers.cookie ?? "").split("; ").find((pair) => pair.startsWith(`${name}=`));
  if (of.ExtendCookieValidity !== true || !cookie) return told;
  const read = Object.fromEntries(decodeURIComponent(cookie.slice(name.length + 1)).split("&").map((pair) => pair.split("=")));
  if (read.FixedValidityMins) return told;
  const hip = read.Hip ?? "";
  const hash = hmac(room.toLowerCase() + (read.QueueId ?? "") + read.RedirectType + record.now + hip, record.secret);
  const value = [`EventId=${room}`, ...(read.QueueId ? [`QueueId=${read.QueueId}`] : []), `RedirectType=${read.RedirectType}`,
    `IssueTime=${record.now}`, ...(hip ? [`Hip=${hip}`] : []), `Hash=${hash}`].join("&");
  const attributes = [
    `expires=${new Date((record.now + 86_400) * 1000).toUTCString()}`,
    ...(of.CookieDomain ? [`domain=${of.CookieDomain}`] : []),
    ...(of.IsCookieHttpOnly === true ? ["HttpOnly"] : []),
    ...(of.IsCookieSecure === true ? ["Secure"] : []),
    "path=/",
  ];
  const extended = ["set-cookie", `${name}=${encodeURIComponent(value)}; ${attributes.join("; ")}`];
  const debug = told.headers.findIndex(([name]) => name === "set-cookie");
  return { ...told, headers: told.headers.toSpliced(debug, 0, extended) };
}

/** A pushed configuration is UTF-8, not Latin-1. */
function utf8IsKept(record, expect) {
  const hex = JSON.parse(record.request.body).integrationInfo;
  return { ...expect, stored: [{ key: "info", value: Buffer.from(hex, "hex").toString("utf8") }] };
}

/** All tokens go, and `?` stays where other parameters follow. */
function withoutTokens(url) {
  const [before, query = ""] = url.split("?");
  const others = query.split("&").filter((one) => one && !one.toLowerCase().startsWith("queueittoken="));
  return others.length === 0 ? before : `${before}?${others.join("&")}`;
}

const firstIntegration = (record) => JSON.parse(record.stored_config).Integrations[0];

/** A URL of the waiting room up to the layout. */
function waitingRoom(record, path) {
  const { Version } = JSON.parse(record.stored_config);
  const { QueueDomain, EventId, Name, Culture, LayoutName } = firstIntegration(record);
  const page = [["cid", Culture], ["l", LayoutName]].filter(([, value]) => value).map(([key, value]) => `&${key}=${enc(value)}`);
  const who = `c=${enc(record.customer_id)}&e=${enc(EventId)}&ver=v3-javascript-3.7.10&cver=${Version}&man=${enc(Name)}`;
  return `https://${QueueDomain}/${path}?${who}${page.join("")}`;
}

function target(record) {
  const { RedirectLogic } = firstIntegration(record);
  return RedirectLogic === "EventTargetUrl" ? "" : `&t=${enc(withoutTokens(record.request.url))}`;
}

/** Percent-encoding as the connector does it. */
function enc(text) {
  return encodeURIComponent(text).replace(/[!'()]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`).replaceAll("*", "%2a");
}

/** An answer that must not be cached. */
function answer(status, ...more) {
  const headers = [...NO_CACHE, ["x-queueit-connector", "cloudflare"], ...more].sort(([one], [other]) => (one < other ? -1 : 1));
  return { forwarded_to_origin: false, status, headers, body: "" };
}

function changeHeader(expect, name, change) {
  return { ...expect, headers: expect.headers.map(([key, value]) => [key, key === name ? change(value) : value]) };
}

// The recorded exchanges of the public Cloudflare connector, brought from their frozen clock to the present.

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SESSION_NAME, hmac, seal } from "./queueit.js";

/** Every exchange, from the bundled vectors or those in VELVETROPE_VECTORS. */
export function exchanges() {
  const bundled = fileURLToPath(new URL("../../vectors", import.meta.url));
  const folder = join(process.env.VELVETROPE_VECTORS || bundled, "queueit");
  if (!existsSync(folder)) throw new Error(`${folder}: there are no vectors`);
  const files = readdirSync(folder).filter((name) => name.endsWith(".jsonl")).sort();
  const lines = files.flatMap((name) => readFileSync(join(folder, name), "utf8").split("\n"));
  return lines.filter(Boolean).map((line) => JSON.parse(line)).filter((record) => record.kind === "edge_v3");
}

/** The request as it would be made now: what is signed is dated anew and signed again, what is forged stays forged. */
export function requestNow(record, now) {
  const { url, headers } = record.request;
  const renewed = Object.entries(headers).map(([name, value]) => [
    name,
    name === "cookie" ? cookiesNow(record, value, now) : tokensNow(record, value, now),
  ]);
  return { ...record.request, url: tokensNow(record, url, now), headers: Object.fromEntries(renewed) };
}

/**
 * The expected answer if the Worker's clock says `at`, to a request made at `now`. `connector` names the versions that
 * stand where the record has its own.
 */
export function answerAt(record, expect, now, at, connector) {
  const bring = (name, value) => {
    const text = tokensNow(record, value, now)
      .replaceAll("v3-javascript-3.7.10", connector.sdk)
      .replaceAll("cloudflare-1.2.3", connector.platform)
      .replaceAll(new RegExp(`(&ts=|%26ts%3D)${record.now}(?!\\d)`, "g"), `$1${at}`);
    return name === "set-cookie" ? setCookieAt(record, text, at) : text;
  };
  return { ...expect, headers: expect.headers.map(([name, value]) => [name, bring(name, value)]) };
}

/** The tokens that a request brings, in its URL or in a header. */
function tokensOf({ request: { url, headers } }) {
  const all = [url, ...Object.values(headers)].flatMap((text) => text.match(/(?<=^|=)(?:[a-z]+_[^~?&=#]*~)+h_[0-9a-f]{64}/g) ?? []);
  return new Set(all);
}

/** A text with its tokens renewed. Nothing in a token needs percent-encoding, so that it looks alike wherever it stands. */
function tokensNow(record, text, now) {
  return [...tokensOf(record)].reduce((text, token) => text.replaceAll(token, tokenNow(record, token, now)), text);
}

function tokenNow(record, token, now) {
  const [signed, hash] = token.split("~h_");
  const dated = signed.replace(/(^|~)ts_(\d+)/, (_, before, ts) => `${before}ts_${Number(ts) - record.now + now}`);
  return `${dated}~h_${signedAnew(record, signed, hash, dated)}`;
}

function cookiesNow(record, header, now) {
  return header.split("; ").map((pair) => {
    const [name, value] = pair.split("=");
    if (!name.startsWith(SESSION_NAME) || !value.includes("IssueTime")) return pair;
    const parts = partsOf(value);
    const dated = { ...parts, IssueTime: Number(parts.IssueTime) - record.now + now };
    return `${name}=${encoded({ ...dated, Hash: signedAnew(record, signedText(parts), parts.Hash, signedText(dated)) })}`;
  }).join("; ");
}

function setCookieAt(record, header, at) {
  const [pair, ...attributes] = header.split("; ");
  const [name, value] = pair.split("=");
  const moved = attributes.map((attribute) => {
    const time = Date.parse(/^expires=(.*)$/.exec(attribute)?.[1]);
    return Number.isNaN(time) || time === 0 ? attribute : `expires=${new Date(time + (at - record.now) * 1000).toUTCString()}`;
  });
  return [`${name}=${valueAt(record, value, at)}`, ...moved].join("; ");
}

function valueAt(record, value, at) {
  if (value.includes("ServerUtcTime")) {
    const clock = `${new Date(at * 1000).toISOString().slice(0, 19)}Z`;
    return value.replace(/ServerUtcTime%3D.*?%7C/, `ServerUtcTime%3D${encodeURIComponent(clock)}%7C`);
  }
  if (!value.includes("IssueTime")) return value;
  const parts = partsOf(value);
  const dated = { ...parts, IssueTime: Number(parts.IssueTime) - record.now + at };
  const Hash = signedAnew(record, signedText(parts), parts.Hash, signedText(dated));
  const { EventId, QueueId = "", FixedValidityMins = "", RedirectType, IssueTime, Hip = "" } = dated;
  return encoded({ ...dated, Hash, Seal: seal([EventId, QueueId, FixedValidityMins, RedirectType, IssueTime, Hip], Hash, record.secret) });
}

/** The hash of the new text, if the old one was right. */
function signedAnew(record, old, hash, text) {
  return hmac(old, record.secret) === hash ? hmac(text, record.secret) : hash;
}

const partsOf = (value) => Object.fromEntries(decodeURIComponent(value).split("&").map((pair) => pair.split("=")));

function signedText({ EventId = "", QueueId = "", FixedValidityMins = "", RedirectType = "", IssueTime, Hip = "" }) {
  return [EventId, QueueId, FixedValidityMins, RedirectType, IssueTime, Hip].join("");
}

const encoded = (parts) => encodeURIComponent(Object.entries(parts).map((pair) => pair.join("=")).join("&"));

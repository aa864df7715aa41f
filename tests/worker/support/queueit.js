// What Queue-it does, as far as tests need it: signs tokens, sessions and pushes, and publishes integrations.

import { createHmac } from "node:crypto";

export const CUSTOMER = "acme";
export const SECRET = "e9a8f1c2-not-a-real-secret";
export const SESSION_NAME = "QueueITAccepted-SDFrts345E-V3_";

export const now = () => Math.floor(Date.now() / 1000);

export const hmac = (text, secret = SECRET) => createHmac("sha256", secret).update(text, "utf8").digest("hex");

/** A token: its fields by their keys on the wire, and the hash over them. */
export function token(fields = {}, secret = SECRET) {
  const all = { e: "shop", q: "queue-id", ts: now() + 60, rt: "queue", ...fields };
  const text = Object.entries(all).filter(([, value]) => value !== undefined).map((pair) => pair.join("_")).join("~");
  return `${text}~h_${hmac(text, secret)}`;
}

/** What this connector adds to a session: an HMAC under a key of its own, over the hash and the length of each part. */
export function seal(parts, hash, secret = SECRET) {
  const key = createHmac("sha256", secret).update("velvetrope\0session seal\x001").digest();
  const texts = parts.map((part) => Buffer.from(String(part), "utf8"));
  const lengths = texts.map(({ length }) => Buffer.from([length >> 8, length & 255]));
  return createHmac("sha256", key).update(Buffer.concat([Buffer.from(hash, "hex"), ...lengths, ...texts])).digest("hex");
}

/** The value of a session cookie before percent-encoding. */
export function sessionValue(fields = {}, secret = SECRET) {
  const { event = "shop", queue = "queue-id", validity, type = "queue", issued = now() - 30, hip, isSealed = true } = fields;
  const signed = [event.toLowerCase(), queue, validity ?? "", type.toLowerCase(), issued, hip ?? ""].join("");
  const pairs = { EventId: event, QueueId: queue, FixedValidityMins: validity, RedirectType: type, IssueTime: issued, Hip: hip };
  const text = Object.entries(pairs).filter(([, value]) => value !== undefined).map((pair) => pair.join("=")).join("&");
  const hash = hmac(signed, secret);
  const parts = [event, queue, validity ?? "", type.toLowerCase(), issued, hip ?? ""];
  return `${text}&Hash=${hash}${isSealed ? `&Seal=${seal(parts, hash, secret)}` : ""}`;
}

/** A Cookie header with a session. */
export function session(fields = {}, secret = SECRET) {
  return `${SESSION_NAME}${fields.event ?? "shop"}=${encodeURIComponent(sessionValue(fields, secret))}`;
}

/** What a Set-Cookie header says: name, decoded value, attributes as written. */
export function setCookie(header) {
  const [pair, ...attributes] = header.split("; ");
  const [name, value] = pair.split("=");
  return { name, value: decodeURIComponent(value), attributes };
}

/** The parts of a session's value by name. */
export const sessionParts = (value) => Object.fromEntries(value.split("&").map((pair) => pair.split("=")));

export function part(more) {
  return { ValidatorType: "UrlValidator", UrlPart: "PagePath", Operator: "Contains", IsNegative: false, IsIgnoreCase: true, ...more };
}

/** An integration whose trigger is a text in the path, unless it is told otherwise. */
export function integration(path, more = {}) {
  return {
    Name: "Shop",
    ActionType: "Queue",
    EventId: "shop",
    CookieDomain: "",
    LayoutName: "Lights & Stars",
    Culture: "de-CH",
    ExtendCookieValidity: true,
    CookieValidityMinute: 20,
    QueueDomain: "acme.queue-it.net",
    RedirectLogic: "AllowTParameter",
    ForcedTargetUrl: "",
    Triggers: [{ LogicalOperator: "And", TriggerParts: [part({ ValueToCompare: path })] }],
    ...more,
  };
}

/** The integration JSON as Queue-it publishes it. */
export const published = (integrations, version = 3) =>
  JSON.stringify({ Description: "test", Integrations: integrations, Version: version });

/** The body of a push. */
export function push(text, secret = SECRET) {
  const hex = Buffer.from(text, "utf8").toString("hex");
  return JSON.stringify({ integrationInfo: hex, hash: hmac(hex, secret) });
}

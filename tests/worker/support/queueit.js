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

/** What this connector adds to a session: a MAC under a key of its own, over a byte of 1, the hash, the length of each part, and the parts. */
export function seal(parts, hash, secret = SECRET) {
  const key = createHmac("sha256", secret).update("velvetrope\0session seal\x001").digest();
  const texts = parts.map((part) => Buffer.from(String(part), "utf8"));
  const lengths = texts.map(({ length }) => Buffer.from([length >> 8, length & 255]));
  return blake2s(key, Buffer.concat([Buffer.from([1]), Buffer.from(hash, "hex"), ...lengths, ...texts]));
}

/** Keyed BLAKE2s with 16 bytes (RFC 7693), which Node.js does not offer with a key. */
export function blake2s(key, message) {
  const state = Uint32Array.from(IV);
  state[0] ^= 0x01010010 ^ (key.length << 8);
  const padded = Buffer.alloc(64 + Math.ceil(message.length / 64) * 64);
  key.copy(padded);
  message.copy(padded, 64);
  for (let at = 0; at < padded.length; at += 64) {
    const isLast = at + 64 === padded.length;
    mix(state, padded.subarray(at, at + 64), isLast ? 64 + message.length : at + 64, isLast);
  }
  return Buffer.from(state.buffer, 0, 16).toString("hex");
}

const IV = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
const ORDERS = ["0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
  "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0"];
const COLUMNS = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15], [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];

function mix(state, block, counted, isLast) {
  const v = Uint32Array.from([...state, ...IV]);
  v[12] ^= counted;
  if (isLast) v[14] = ~v[14];
  const turned = (word, by) => (word >>> by) | (word << (32 - by));
  for (const order of ORDERS) {
    const words = [...order].map((digit) => block.readUInt32LE(4 * parseInt(digit, 16)));
    COLUMNS.forEach(([a, b, c, d], index) => {
      for (const [word, one, other] of [[words[2 * index], 16, 12], [words[2 * index + 1], 8, 7]]) {
        v[a] += v[b] + word;
        v[d] = turned(v[d] ^ v[a], one);
        v[c] += v[d];
        v[b] = turned(v[b] ^ v[c], other);
      }
    });
  }
  state.forEach((_, index) => (state[index] ^= v[index] ^ v[index + 8]));
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

// What passes the Worker passes untouched, and as a stream.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { exchange } from "./support/http.js";
import { integration, published, session } from "./support/queueit.js";
import { HOST, Site } from "./support/site.js";

const PATIENCE = { timeout: 60_000 };
const BODY_TRIGGER = { Triggers: [{ LogicalOperator: "And", TriggerParts: [
  { ValidatorType: "RequestBodyValidator", Operator: "Contains", ValueToCompare: "needle", IsIgnoreCase: false },
] }] };

let site;
/** The same, but a trigger looks at bodies. */
let looking;
before(async () => {
  site = await Site.start();
  looking = await Site.start({
    kv: { info: published([integration("", { EventId: "body", ...BODY_TRIGGER }), integration("/shop")]) },
  });
});
after(() => Promise.all([site.stop(), looking.stop()]));

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const cookie = () => ({ cookie: session() });

/** Something that a test waits for, and lets happen. */
function gate() {
  let open;
  const opened = new Promise((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

test("redirects of the origin are the visitor's to follow", async () => {
  site.origin.on("/moved", (_, response) => {
    response.writeHead(307, { location: "https://elsewhere.example/x?y#z", "x-kept": "1" }).end("moved");
  });
  const asked = site.origin.requests.length;
  const response = await site.get("/moved");
  assert.equal(response.status, 307);
  assert.equal(response.headers.get("location"), "https://elsewhere.example/x?y#z");
  assert.equal(response.headers.get("x-kept"), "1");
  assert.equal(response.headers.get("x-queueit-connector"), "cloudflare");
  assert.equal(await response.text(), "moved");
  assert.equal(site.origin.requests.length, asked + 1);
});

test("the origin's cookies stand beside ours", async () => {
  site.origin.on("/shop/cookies", (_, response) => {
    response.writeHead(200, { "set-cookie": ["a=1; Path=/", "b=2; Path=/, /x"] }).end();
  });
  const response = await site.get("/shop/cookies", { headers: cookie() });
  const [one, two, ours, ...more] = response.headers.getSetCookie();
  assert.deepEqual([one, two, more], ["a=1; Path=/", "b=2; Path=/, /x", []]);
  assert.match(ours, /^QueueITAccepted-SDFrts345E-V3_shop=/);
});

test("what is behind a rope is private", async () => {
  for (const [said, told] of [
    [{}, "private, no-cache"],
    [{ "cache-control": "public, max-age=600" }, "private, max-age=600"],
    [{ "cache-control": ["public", "s-maxage=600"], "cdn-cache-control": "max-age=9" }, "private, no-cache"],
    [{ expires: "Fri, 01 Jan 2100 00:00:00 GMT", "surrogate-control": "max-age=9" }, "private"],
    [{ "cache-control": "no-store", "x-kept": "1" }, "private, no-store"],
  ]) {
    for (const path of ["/shop/said", "/said"]) {
      site.origin.on(path, (_, response) => response.writeHead(200, said).end());
    }
    const inside = await site.get("/shop/said", { headers: cookie() });
    assert.equal(inside.headers.get("cache-control"), told, JSON.stringify(said));
    for (const name of ["cdn-cache-control", "surrogate-control"]) assert.equal(inside.headers.get(name), null);
    assert.equal(inside.headers.get("x-kept"), said["x-kept"] ?? null);
    const outside = await site.get("/said", { headers: cookie() });
    for (const name of ["cache-control", "cdn-cache-control", "surrogate-control", "expires"]) {
      assert.equal(outside.headers.get(name), [said[name] ?? null].flat().join(", ") || null, name);
    }
  }
});

test("every status passes as it is", async () => {
  for (const status of [200, 201, 204, 206, 301, 304, 400, 401, 404, 410, 418, 429, 500, 502, 503]) {
    site.origin.on("/status", (_, response) => {
      response.writeHead(status, { "x-origin": "yes" });
      response.end([204, 304].includes(status) ? undefined : `it is ${status}`);
    });
    const response = await site.get("/status");
    assert.deepEqual([response.status, response.headers.get("x-origin")], [status, "yes"]);
    assert.equal(await response.text(), [204, 304].includes(status) ? "" : `it is ${status}`);
  }
});

test("methods pass as they are", async () => {
  for (const method of ["GET", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"]) {
    const { told } = await site.passed("/api", { method });
    assert.equal(told.method, method);
  }
  site.origin.on("/head", (request, response) => {
    response.writeHead(200, { "content-length": 12_345, "x-method": request.method }).end();
  });
  const head = await site.get("/head", { method: "HEAD" });
  assert.deepEqual([head.status, head.headers.get("x-method"), await head.text()], [200, "HEAD", ""]);
});

test("the rope holds for every method", async () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]) {
    const body = method === "POST" || method === "PUT" ? "a body that nobody reads" : undefined;
    const response = await site.get("/shop", { method, body });
    assert.equal(response.status, ["GET", "HEAD"].includes(method) ? 302 : 303, method);
  }
});

test("what the origin packed stays packed as it was", async () => {
  const packed = gzipSync("packed by the origin ".repeat(1_000));
  site.origin.on("/packed", (_, response) => {
    response.writeHead(200, { "content-encoding": "gzip", "content-type": "text/plain" }).end(packed);
  });
  const response = await site.get("/packed", { headers: { "accept-encoding": "gzip" } });
  assert.equal(await response.text(), "packed by the origin ".repeat(1_000));
});

test("answers stream", PATIENCE, async () => {
  const { open, opened } = gate();
  site.origin.on("/shop/stream", async (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("first");
    await opened;
    response.end("second");
  });
  const response = await site.get("/shop/stream", { headers: cookie() });
  assert.equal(response.headers.getSetCookie().length, 1);
  const reader = response.body.getReader();
  // The origin does not send the second part before the first has come through.
  assert.equal(await text(reader, 5), "first");
  open();
  assert.equal(await text(reader, 6), "second");
  assert.equal((await reader.read()).done, true);
});

/** The next so many bytes of a body. */
async function text(reader, length) {
  let text = "";
  while (text.length < length) {
    const { value, done } = await reader.read();
    assert.equal(done, false, `the body ended after ${JSON.stringify(text)}`);
    text += Buffer.from(value).toString("latin1");
  }
  return text;
}

test("a big answer passes whole", PATIENCE, async () => {
  const big = randomBytes(4 << 20);
  site.origin.on("/big", (_, response) => response.end(big));
  const response = await site.get("/big");
  assert.equal(sha256(Buffer.from(await response.arrayBuffer())), sha256(big));
});

test("uploads stream", PATIENCE, async () => {
  await uploadStreams(site);
});

test("uploads stream where a trigger looks at how they begin", PATIENCE, async () => {
  await uploadStreams(looking);
});

async function uploadStreams(site) {
  const first = gate();
  site.origin.on("/upload", async (request, response) => {
    const parts = [];
    for await (const chunk of request) {
      parts.push(chunk);
      first.open();
    }
    response.end(sha256(Buffer.concat(parts)));
  });
  const parts = [randomBytes(1 << 20), randomBytes(1 << 20)];
  const expected = sha256(Buffer.concat(parts));
  const body = new ReadableStream({
    async pull(controller) {
      const part = parts.shift();
      if (!part) return controller.close();
      // The second part is not sent before the first has reached the origin.
      if (parts.length === 0) await first.opened;
      controller.enqueue(part);
    },
  });
  const response = await site.get("/upload", { method: "POST", body, duplex: "half" });
  assert.equal(await response.text(), expected);
}

test("big uploads arrive whole", PATIENCE, async () => {
  const body = randomBytes(20 << 20);
  for (const at of [site, looking]) {
    const { told } = await at.passed("/form", { method: "PUT", body });
    assert.deepEqual(told.body, { length: body.length, sha256: sha256(body) });
  }
});

test("a trigger sees how a body begins, and the body arrives whole", async () => {
  const post = (body, headers = {}) => looking.get("/form", { method: "POST", body, headers });
  for (const body of ["a needle", "x".repeat(2_042) + "needle", "é".repeat(2_042) + "needle", "😀".repeat(1_021) + "needle and more"]) {
    const response = await post(body);
    assert.equal(response.status, 303, body.slice(-20));
    assert.match(response.headers.get("location"), /[?&]e=body&/);
  }
  for (const body of ["", "hay", "x".repeat(2_043) + "needle", "é".repeat(2_043) + "needle", Buffer.from([0xff, 0xfe, 0x80, 0]), Buffer.alloc(100_000, 0xe2)]) {
    const { told } = await looking.passed("/form", { method: "POST", body });
    assert.deepEqual(told.body, { length: Buffer.from(body).length, sha256: sha256(body) });
  }
  const { told } = await looking.passed("/form", { method: "POST", body: "a needle", headers: { cookie: session({ event: "body" }) } });
  assert.deepEqual(told.body, { length: 8, sha256: sha256("a needle") });
  assert.equal(told.headers["x-velvetrope-verdict"], "session;room=body");
});

test("a length that was told is still told", async () => {
  for (const at of [site, looking]) {
    const answer = await exchange(await at.address(), { method: "POST", path: "/form", body: "exactly 19 bytes..." });
    assert.equal(JSON.parse(answer.body).headers["content-length"], "19");
  }
});

test("WebSockets pass, and the rope holds for them too", PATIENCE, async () => {
  const upgrade = { upgrade: "websocket" };
  const response = await site.get("/live", { headers: upgrade });
  assert.equal(response.status, 101);
  const socket = response.webSocket;
  const messages = [];
  const { open, opened } = gate();
  socket.addEventListener("message", (event) => {
    messages.push(event.data);
    if (messages.length === 2) open();
  });
  socket.accept();
  socket.send("one");
  socket.send("two");
  await opened;
  assert.deepEqual(messages, ["one", "two"]);
  const closed = new Promise((resolve) => socket.addEventListener("close", resolve));
  socket.close(1000, "done");
  await closed;
  assert.equal(site.origin.requests.at(-1).headers["x-velvetrope-verdict"], "pass");

  const refused = await site.get("/shop/live", { headers: upgrade });
  assert.deepEqual([refused.status, refused.webSocket ?? null], [302, null]);
  const admitted = await site.get("/shop/live", { headers: { ...upgrade, ...cookie() } });
  assert.equal(admitted.status, 101);
  admitted.webSocket.accept();
  admitted.webSocket.close();
});

test("URLs arrive as they were sent", async () => {
  for (const path of ["/a%2Fb//c?x=%20&y", "/%C3%A4?%C3%A4=%FF", "/a;b=c,d?&&=&a=b=c", "/?a=+%2B", "/x?queueittokens=1"]) {
    const { told } = await site.passed(path);
    assert.equal(told.url, path);
  }
  const { told } = await site.passed("http://plain.example:8080/x");
  assert.equal(told.url, "/x");
});

test("the origin hears the host that the visitor asked for", async () => {
  await site.passed("https://tickets.example/host");
  assert.equal(site.origin.requests.at(-1).headers.host, "tickets.example");
  const response = await site.get("https://other.example/shop");
  assert.match(response.headers.get("location"), /&t=https%3A%2F%2Fother\.example%2Fshop&/);
  assert.ok(HOST.endsWith("tickets.example"));
});

test("a dead origin is the runtime's error, and the next visitor is served", async () => {
  site.origin.on("/dead", (request) => request.socket.destroy());
  const response = await site.get("/dead").catch((error) => error);
  assert.ok(response instanceof Error || response.status >= 500, `${response.status}`);
  assert.equal((await site.get("/shop")).status, 302);
  await site.passed("/about");
});

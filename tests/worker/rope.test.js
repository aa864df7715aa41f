// Every way past the rope of tests/end_to_end/rope/cases.jsonl, asked of the Worker byte by byte. What workerd itself refuses never
// comes to the Worker, and is as good as refused by it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { ROOT, Site } from "./support/site.js";

const ROPE = new URL("tests/end_to_end/rope/", ROOT);
const file = (name) => readFileSync(new URL(name, ROPE), "utf8");
const cases = file("cases.jsonl").trim().split("\n").map((line) => JSON.parse(line));

let site;
let address;
before(async () => {
  const settings = file("policy/velvetrope.toml").replace(/^integration = .*$/m, 'target = "worker"').replace(/\[proxy\][^[]*/, "");
  const policy = { "velvetrope.toml": settings, "rooms.json": file("policy/rooms.json"), "everywhere.json": file("policy/everywhere.json") };
  site = await Site.start({ kv: { info: file("policy/integration.json"), policy: JSON.stringify(policy) } });
  address = await site.address();
});
after(() => site.stop());

/** Writes a request as it is, and reads until the other side ends. */
async function ask({ method, target, version, headers }) {
  const socket = connect(Number(address.port), address.hostname);
  await once(socket, "connect");
  const lines = [...headers, ["Connection", "close"]].map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(Buffer.from(`${method} ${target} ${version}\r\n${lines.join("")}\r\n`, "latin1"));
  let text = "";
  for await (const part of socket.setEncoding("latin1")) text += part;
  const [head, body = ""] = text.split("\r\n\r\n");
  const location = /^location: (.*?)\r?$/im.exec(head)?.[1];
  const type = /^content-type: (.*?)\r?$/im.exec(head)?.[1];
  return { status: Number(text.split(" ")[1]), location, type, body };
}

/** The values of a header under all names that an origin takes for the same. */
function values({ rawHeaders }, wanted) {
  const pairs = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name, rawHeaders[at + 1]]] : []));
  return pairs.filter(([name]) => name.toLowerCase().replaceAll("_", "-") === wanted).map(([, value]) => value);
}

const isQueue = (text) => text?.includes("https://acme.queue-it.net/?c=acme&e=") ?? false;
const isRefused = ({ status }) => status >= 400 && status < 500;

/** workerd knows no absolute target and no odd authority (kj/compat/url.c++): it answers 500 before the Worker is asked. */
const isUnknown = ({ class: kind }, { status, body }) => ["two-hosts", "no-authority"].includes(kind) && status === 500 && body === "Internal Server Error";

const MUST = {
  queue: (answer, passed) => !passed && ([302, 303].includes(answer.status) ? isQueue(answer.location) : isRefused(answer)),
  421: (answer, passed) => !passed && isRefused(answer),
  400: (answer, passed) => !passed && isRefused(answer),
  pass: ({ status }, passed) => passed && status === 200,
  "pass without tunnel": ({ status }, passed) => passed && status === 200 && values(passed, "upgrade").length === 0,
  "pass; origin sees only our verdict": (_, passed) => passed && values(passed, "x-velvetrope-verdict").join() === "pass",
  "303 to the queue": ({ status, location }, passed) => !passed && status === 303 && isQueue(location),
  "an answer that a script can read": (answer, passed) => !passed && isRefused(answer) && /^application\/json/.test(answer.type) && isQueue(answer.body),
};

for (const one of cases) {
  test(`${one.id}: ${one.must}`, async () => {
    const before = site.origin.requests.length;
    const answer = await ask(one);
    const passed = site.origin.requests[before];
    assert.ok((isUnknown(one, answer) && !passed) || MUST[one.must](answer, passed), JSON.stringify({ request: one, answer, passed }));
  });
}

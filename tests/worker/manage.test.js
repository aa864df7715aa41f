// Rooms, rules and lists are managed in a Worker of its own, and decide in the one that stands before the site.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { integration, published } from "./support/queueit.js";
import { MANAGEMENT, Site, becomes, managementModules } from "./support/site.js";

const TOKEN = "a-token-for-operators";
const ZONE = "/zones/site/waiting_rooms";

/** What `velvetrope publish` puts into KV: a rule for `/shop/early`, and settings. */
const POLICY = JSON.stringify({
  "velvetrope.toml": 'customer_id = "acme"\nrules = { shop = "rules.json" }\nlists = { staff = "staff.txt" }\n',
  "rules.json": '[{"id": "early", "action": "bypass_waiting_room", "expression": "http.request.uri.path eq \\"/shop/early\\""}]',
  "staff.txt": "192.0.2.1\n",
});

/** The counter of the Worker that decides, as the one that manages is bound to it. */
const COUNTER = { DECISIONS: { className: "DecisionCounter", scriptName: "velvetrope", useSQLite: true } };

/** The Worker that manages, beside that of a site. */
function beside(site = {}, counter = COUNTER) {
  const worker = {
    name: "manage",
    modules: managementModules(),
    modulesRoot: MANAGEMENT.pathname,
    compatibilityDate: "2026-04-01",
    bindings: { VELVETROPE_ADMIN_TOKEN: TOKEN, VELVETROPE_ZONE: "site" },
    kvNamespaces: { IntegrationConfigKV: "config" },
    durableObjects: { STORE: { className: "PolicyStore", useSQLite: true }, ...counter },
  };
  const kv = { info: published([integration("/shop")]), policy: POLICY };
  return { ...site, others: [worker, ...(site.others ?? [])], kv: { ...kv, ...site.kv } };
}

class Client {
  constructor(miniflare) {
    this.miniflare = miniflare;
  }

  async ask(method, path, body, headers = {}) {
    const worker = await this.miniflare.getWorker("manage");
    const response = await worker.fetch(`https://manage.example/client/v4${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json", ...headers },
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    });
    return { status: response.status, headers: response.headers, told: await response.json() };
  }

  async done(method, path, body) {
    const { status, told } = await this.ask(method, path, body);
    assert.ok(status < 300 && told.success, `${method} ${path}: ${status} ${JSON.stringify(told)}`);
    return told.result;
  }

  async rules(name) {
    const room = (await this.done("GET", ZONE)).find((room) => room.name === name);
    return `${ZONE}/${room.id}/rules`;
  }
}

const rule = (path) => ({ action: "bypass_waiting_room", expression: `http.request.uri.path eq "${path}"` });

/** The processes of workerd that this one has started. */
function runtimes() {
  return readdirSync("/proc").filter((pid) => /^\d+$/.test(pid)).map(Number).filter((pid) => {
    try {
      const [, name, parent] = /\((.*)\) . (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"));
      return name.startsWith("workerd") && Number(parent) === process.pid;
    } catch {
      return false; // It has ended.
    }
  });
}

/** Somebody at the dashboard. */
class Browser {
  constructor(miniflare) {
    this.miniflare = miniflare;
  }

  static async loggedIn({ miniflare }) {
    const browser = new Browser(miniflare);
    browser.cookie = (await browser.login(TOKEN)).headers.getSetCookie()[0].split(";")[0];
    return browser;
  }

  async open(path, { headers = {}, ...init } = {}) {
    const worker = await this.miniflare.getWorker("manage");
    const cookie = this.cookie === undefined ? {} : { cookie: this.cookie };
    return worker.fetch(`https://manage.example/dashboard${path}`, { redirect: "manual", headers: { ...cookie, ...headers }, ...init });
  }

  login(token) {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    return this.open("/login", { method: "POST", headers, body: new URLSearchParams({ token }).toString() });
  }

  /** What the dashboard says of the rules of a room: how often each let somebody pass. */
  async hits(room) {
    const page = await this.open(`/site/rooms/${room}/rules`);
    assert.equal(page.status, 200);
    return [...(await page.text()).matchAll(/data-label="Hits">(.*?)<\/td>/g)].map(([, hits]) => hits);
  }
}

/** Whether a visitor is let past the room. */
async function passes(site, path) {
  const response = await site.get(path);
  return response.headers.get("x-origin") === "yes";
}

test("what is changed decides at the edge", async (t) => {
  const site = await Site.of(t, beside());
  const client = new Client(site.miniflare);
  const rules = await client.rules("shop");
  assert.deepEqual((await client.done("GET", rules)).map(({ id }) => id), ["early"], "what was published comes first");
  assert.equal(await passes(site, "/shop/early"), true);
  assert.equal(await passes(site, "/shop/vip"), false);

  const all = await client.done("POST", rules, { ...rule("/shop/vip"), description: "<b>VIP</b>" });
  await becomes(async () => assert.equal(await passes(site, "/shop/vip"), true));
  await client.done("PATCH", `${rules}/${all[1].id}`, { enabled: false, position: { index: 1 } });
  await becomes(async () => assert.equal(await passes(site, "/shop/vip"), false));
  assert.equal(await passes(site, "/shop/early"), true);
  await client.done("DELETE", `${rules}/early`);
  await becomes(async () => assert.equal(await passes(site, "/shop/early"), false));

  const room = { name: "gala", host: "tickets.example", path: "/gala", total_active_users: 200, new_users_per_minute: 200 };
  assert.equal(await passes(site, "/gala"), true);
  const { id } = await client.done("POST", ZONE, room);
  await becomes(async () => assert.equal(await passes(site, "/gala"), false));
  await client.done("DELETE", `${ZONE}/${id}`);
  await becomes(async () => assert.equal(await passes(site, "/gala"), true));
});

test("a Worker's own fields are known, and those of nobody are not", async (t) => {
  const site = await Site.of(t, beside());
  const client = new Client(site.miniflare);
  const rules = await client.rules("shop");
  await client.done("POST", `${rules}?dry_run=true`, { ...rule("/"), expression: 'cf.ray_id eq "1"' });
  const { status, told } = await client.ask("POST", rules, { ...rule("/"), expression: "no.such eq 1" });
  assert.equal(status, 400);
  assert.equal(told.errors[0].source.pointer, "/expression");
  assert.equal((await client.done("GET", rules)).length, 1);
});

test("lists are filled afterwards, and by many", async (t) => {
  const site = await Site.of(t, beside());
  const client = new Client(site.miniflare);
  await client.rules("shop");
  const [list] = await client.done("GET", "/accounts/site/rules/lists");
  const items = `/accounts/site/rules/lists/${list.id}/items`;
  const many = Array.from({ length: 20_000 }, (_, n) => ({ ip: `10.0.${n >> 8}.${n & 255}` }));
  const { operation_id: operation } = await client.done("POST", items, many);
  await becomes(async () => {
    const { status } = await client.done("GET", `/accounts/site/rules/lists/bulk_operations/${operation}`);
    assert.equal(status, "completed");
  });
  const filled = await client.done("GET", `/accounts/site/rules/lists/${list.id}`);
  assert.equal(filled.num_items, 20_001);
  await client.done("POST", await client.rules("shop"), { ...rule("/"), expression: "ip.src in $staff" });
  const inside = { headers: { "cf-connecting-ip": "10.0.77.7" } };
  await becomes(async () => assert.equal((await site.get("/shop", inside)).headers.get("x-origin"), "yes"));
});

test("the dashboard is there for who has the token", async (t) => {
  const site = await Site.of(t, beside());
  const stranger = new Browser(site.miniflare);
  const closed = await stranger.open("");
  assert.deepEqual([closed.status, closed.headers.get("location")], [303, "/dashboard/login"]);
  assert.equal((await stranger.login("wrong")).status, 401);
  const opened = await stranger.login(TOKEN);
  assert.equal(opened.status, 303, await opened.text());
  assert.match(opened.headers.getSetCookie()[0], /HttpOnly; SameSite=Strict; Secure$/);
  const page = await (await Browser.loggedIn(site)).open("/site/rooms");
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-security-policy"), /^default-src 'none'; script-src 'self'; style-src 'self'/);
  assert.match(await page.text(), /shop/);
});

test("the dashboard tells how often each rule let somebody pass", async (t) => {
  const [odd, room] = ['a "b",é\\', { name: "gala", host: "tickets.example", path: "/gala", velvetrope: { event_id: "Gala-2026" } }];
  const policy = JSON.stringify({
    "velvetrope.toml": 'customer_id = "acme"\nrooms = "rooms.json"\nrules = { shop = "shop.json", gala = "gala.json", "*" = "all.json" }\n',
    "rooms.json": JSON.stringify([room]),
    "shop.json": JSON.stringify([{ ...rule("/shop/early"), id: "early" }, { ...rule("/shop/odd"), id: odd }, rule("/shop/nobody")]),
    "gala.json": JSON.stringify([{ ...rule("/gala/early"), id: "early" }]),
    "all.json": JSON.stringify([rule("/shop/all")]),
  });
  const site = await Site.of(t, beside({ kv: { policy }, variables: { VELVETROPE_ADMIN_TOKEN: TOKEN, VELVETROPE_COUNT_SECONDS: "1" } }));
  for (const [path, times] of [["/shop/early", 1], ["/shop/odd", 2], ["/gala/early", 3], ["/shop/all", 4]]) {
    for (let time = 0; time < times; time += 1) assert.equal(await passes(site, path), true, path);
  }
  const browser = await Browser.loggedIn(site);
  const rooms = await new Client(site.miniflare).done("GET", ZONE);
  const hits = (name) => browser.hits(rooms.find((room) => room.name === name)?.id ?? "*");
  await becomes(async () => {
    assert.deepEqual([await hits("shop"), await hits("gala"), await hits("*")], [["1", "2", "0"], ["3"], ["4"]]);
  });
  const told = await site.get("/__velvetrope/decisions", { headers: { authorization: `Bearer ${TOKEN}` } });
  assert.deepEqual(await told.json(), { decisions: { bypass: 10 } });
});

test("without a counter that answers, the dashboard tells everything else", { timeout: 120_000 }, async (t) => {
  const counters = {
    none: undefined,
    slow: "await scheduler.wait(3_600_000)",
    broken: 'throw new Error("broken")',
    refusing: "return new Response(null, { status: 503 })",
    confused: 'return new Response("{}")',
  };
  for (const [name, body] of Object.entries(counters)) {
    const script = `export class DecisionCounter { async fetch() { ${body} } } export default {};`;
    const durableObjects = { DECISIONS: { className: "DecisionCounter", useSQLite: true } };
    const other = { name: "other", modules: true, script, compatibilityDate: "2026-04-01", durableObjects };
    const bound = { DECISIONS: { ...COUNTER.DECISIONS, scriptName: "other" } };
    const site = await Site.of(t, body === undefined ? beside({}, {}) : beside({ others: [other] }, bound));
    assert.equal(await passes(site, "/shop/early"), true, name);
    const [, room] = (await new Client(site.miniflare).rules("shop")).split("/waiting_rooms/");
    assert.deepEqual(await (await Browser.loggedIn(site)).hits(room.split("/")[0]), ["–"], name);
    if (body !== undefined) await becomes(async () => assert.match(site.logs, /what was counted cannot be read/, name));
  }
});

test("who has no token gets nothing", async (t) => {
  const site = await Site.of(t, beside());
  const client = new Client(site.miniflare);
  const rules = await client.rules("shop");
  for (const authorization of ["", "Bearer", "Bearer wrong", `Bearer ${TOKEN}x`, TOKEN]) {
    const { status } = await client.ask("POST", rules, rule("/a"), { authorization });
    assert.equal(status, 401, authorization);
  }
  assert.ok(!site.logs.includes(TOKEN));
});

test("bad bodies change nothing", async (t) => {
  const site = await Site.of(t, beside());
  const client = new Client(site.miniflare);
  const rules = await client.rules("shop");
  for (const [body, expected] of [["{", 400], ["null", 400], ["[{}]", 400], [" ".repeat(10 << 20), 413]]) {
    const { status, told } = await client.ask("POST", rules, body);
    assert.deepEqual([status, told.success], [expected, false], body.slice(0, 10));
  }
  assert.equal((await client.done("GET", rules)).length, 1);
});

test("writers who look first come one after the other", async (t) => {
  const site = await Site.of(t, beside());
  const client = new Client(site.miniflare);
  const rules = await client.rules("shop");
  const before = await client.ask("GET", rules);
  await Promise.all(Array.from({ length: 50 }, async (_, number) => {
    for (;;) {
      const { told, headers } = await client.ask("GET", rules);
      const wanted = [...told.result, rule(`/shop/${number}`)];
      const { status } = await client.ask("PUT", rules, wanted, { "if-match": headers.get("etag") });
      if (status === 200) return;
      assert.equal(status, 412);
    }
  }));
  const { told, headers } = await client.ask("GET", rules);
  assert.equal(new Set(told.result.map(({ expression }) => expression)).size, 51);
  const version = (headers) => Number(headers.get("etag").replaceAll('"', ""));
  assert.equal(version(headers) - version(before.headers), 50);
});

test("a runtime that is killed has lost nothing that it acknowledged", { timeout: 300_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "velvetrope-manage-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const persisted = { shared: { durableObjectsPersist: join(folder, "do"), kvPersist: join(folder, "kv") } };
  let acknowledged = new Set();
  for (const until of [100, 250, 400]) {
    const site = await Site.start(beside(persisted));
    try {
      const client = new Client(site.miniflare);
      const rules = await client.rules("shop");
      const present = new Set((await client.done("GET", rules)).map(({ expression }) => expression));
      assert.ok([...acknowledged].every((expression) => present.has(expression)), "something acknowledged is gone");
      acknowledged = present;
      let next = acknowledged.size;
      let isKilled = false;
      const writers = Array.from({ length: 8 }, async () => {
        while (!isKilled) {
          const wanted = rule(`/shop/${until}/${next++}`);
          try {
            await client.done("POST", rules, wanted);
            acknowledged.add(wanted.expression);
          } catch (error) {
            if (!isKilled) throw error;
          }
          if (acknowledged.size >= until && !isKilled) {
            isKilled = true;
            runtimes().forEach((pid) => process.kill(pid, "SIGKILL"));
          }
        }
      });
      await Promise.all(writers);
    } finally {
      await site.stop();
    }
  }
  const site = await Site.of(t, beside(persisted));
  const client = new Client(site.miniflare);
  const all = new Set((await client.done("GET", await client.rules("shop"))).map(({ expression }) => expression));
  assert.ok([...acknowledged].every((expression) => all.has(expression)));
  await becomes(async () => assert.equal(await passes(site, "/shop/100/50"), true));
});

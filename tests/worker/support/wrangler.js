// wrangler as a user runs it, with the files of `deploy/cloudflare` in a folder of its own.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT } from "./site.js";

const FOLDER = fileURLToPath(new URL("deploy/cloudflare/", ROOT));
const WRANGLER = join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "bin/wrangler.js");

/** A folder with the Worker's configuration as it is, but that the bundle is built already. */
export class Project {
  constructor(test) {
    this.folder = mkdtempSync(join(tmpdir(), "velvetrope-wrangler-"));
    test.after(() => rmSync(this.folder, { recursive: true, force: true }));
    const settings = readFileSync(join(FOLDER, "wrangler.toml"), "utf8");
    const [, main] = /^main\s*=\s*"(.*?)"/m.exec(settings);
    this.write("wrangler.toml", settings
      .replace(/^main\s*=.*$/m, `main = ${JSON.stringify(join(FOLDER, main))}`)
      .replace(/^\[build\][^[]*/m, ""));
  }

  write(name, text) {
    writeFileSync(join(this.folder, name), text);
  }

  /** In which wrangler finds nobody's account, and tells nobody of its use. */
  get environment() {
    return {
      ...process.env, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", HOME: this.folder, NO_COLOR: "1",
    };
  }

  /** Runs wrangler to its end; what it says. */
  async run(...args) {
    const { status, said } = await this.#start(args).ended;
    if (status !== 0) throw new Error(`wrangler ${args.join(" ")}: ${said}`);
    return said;
  }

  /** Runs `wrangler dev` until the test ends; its address, and what it says. */
  async dev(test, ...args) {
    const port = await freePort();
    const running = this.#start(["dev", "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0", ...args]);
    test.after(async () => {
      // With all that it has started.
      process.kill(-running.child.pid, "SIGKILL");
      await running.ended;
    });
    for (const end = Date.now() + 60_000; !running.said().includes("Ready on"); ) {
      if (Date.now() > end || running.child.exitCode !== null) throw new Error(`wrangler dev does not start: ${running.said()}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return { address: `http://127.0.0.1:${port}`, said: running.said };
  }

  #start(args) {
    const child = spawn(process.execPath, [WRANGLER, ...args], {
      cwd: this.folder, env: this.environment, stdio: ["ignore", "pipe", "pipe"], detached: true,
    });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => { text += chunk; });
    const said = () => text;
    const ended = once(child, "close").then(([status]) => ({ status, said: text }));
    return { child, ended, said };
  }
}

/** A port that nobody listens at. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

// wrangler as a user runs it, with the files of `deploy/cloudflare` in a folder of its own, or in a project of their own.

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

/** A folder with a Worker's configuration as it is, but that the bundle is built already; or with nothing, for `null`. */
export class Project {
  constructor(test, source = FOLDER) {
    this.folder = mkdtempSync(join(tmpdir(), "velvetrope-wrangler-"));
    test.after(async () => {
      await Promise.all(this.#serving.map(stop));
      rmSync(this.folder, { recursive: true, force: true });
    });
    if (source === null) return;
    const settings = readFileSync(join(source, "wrangler.toml"), "utf8");
    const [, main] = /^main\s*=\s*"(.*?)"/m.exec(settings);
    this.write("wrangler.toml", settings
      .replace(/^main\s*=.*$/m, `main = ${JSON.stringify(join(source, main))}`)
      .replace(/^\[build\][^[]*/m, ""));
  }

  write(name, text) {
    writeFileSync(join(this.folder, name), text);
  }

  /** In which wrangler finds nobody's account, and tells nobody of its use. */
  get environment() {
    return {
      ...process.env, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", HOME: this.folder, NO_COLOR: "1",
      ...this.more,
    };
  }

  /** More of the environment. */
  more = {};
  #serving = [];

  /** Runs wrangler to its end; what it says. */
  async run(...args) {
    const { status, said } = await this.#start(args).ended;
    if (status !== 0) throw new Error(`wrangler ${args.join(" ")}: ${said}`);
    return said;
  }

  /** Runs `wrangler dev` until the test ends; its address, and what it says. */
  dev(...args) {
    return this.serve("dev", ...args);
  }

  /** The same for another command that serves, as `pages dev`. */
  async serve(...args) {
    const port = await freePort();
    const running = this.#start([...args, "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0"]);
    this.#serving.push(running);
    for (const end = Date.now() + 180_000; !running.said().includes("Ready on"); ) {
      if (Date.now() > end || running.child.exitCode !== null) throw new Error(`wrangler ${args.join(" ")} does not start: ${running.said()}`);
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
    // Nor shall anything outlive a test that is cut off.
    const cutOff = () => end(child);
    process.once("exit", cutOff);
    return { child, ended: ended.finally(() => process.off("exit", cutOff)), said };
  }
}

/** Ends a command, with all that it has started. */
async function stop({ child, ended }) {
  end(child);
  await ended;
}

/** Where wrangler has ended by itself, what it started may go on. */
function end(child) {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
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

// deploy/cloudflare/build: what it does again, and with which tools. Tools that say what they were called with stand in for the
// real ones here; what those make, every other test runs.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ROOT } from "./support/site.js";

const HERE = fileURLToPath(ROOT);
const LOCK = readFileSync(join(HERE, "Cargo.lock"), "utf8");
const locked = (crate) => new RegExp(`^name = "${crate}"\nversion = "(.*)"`, "m").exec(LOCK)[1];

/** A clone with what the script looks at, and tools on PATH that note each call. */
class Clone {
  constructor(t, tools = {}) {
    this.home = mkdtempSync(join(tmpdir(), "velvetrope build ")); // a folder may have spaces
    t.after(() => rmSync(this.home, { recursive: true }));
    this.root = join(this.home, "clone");
    for (const path of ["Cargo.toml", "Cargo.lock", "grammar", "crates/worker", "deploy/cloudflare", "src/lib.rs", "LICENSE-MIT", "LICENSE-APACHE"]) {
      cpSync(join(HERE, path), join(this.root, path), { recursive: true, filter: (path) => !/node_modules|\.wrangler/.test(path) });
    }
    const makes = (...files) => files.map((file) => `mkdir -p "$(dirname "${file}")"; echo made >"${file}"`).join("; ");
    const all = {
      rustc: 'case $* in *sysroot*) echo /sysroot ;; *) echo "rustc 1.95.0" ;; esac',
      cargo: `mkdir -p "$HOME/.cargo/registry/src/some.registry-1"; case $1 in install) ${makes("$7/bin/$5")}; chmod +x "$7/bin/$5" ;; esac`,
      "worker-build": `[ "$1" != --version ] || { echo ${locked("worker")}; exit; }; ${makes("$4/index.js", "$4/index_bg.wasm", "$4/worker/shim.mjs")}`,
      "wasm-bindgen": `[ "$1" != --version ] || { echo wasm-bindgen ${locked("wasm-bindgen")}; exit; }; ${makes("$7/$9.js", "$7/${9}_bg.wasm")}`,
      "wasm-opt": 'cp "$1" "$3"',
      esbuild: "exit 0",
      ...tools,
    };
    mkdirSync(join(this.home, "bin"));
    for (const [name, body] of Object.entries(all)) {
      const note = `case $* in --version | -vV | "--print sysroot") ;; *) echo "${name} $*|$CARGO_ENCODED_RUSTFLAGS|$WASM_BINDGEN_BIN" >>"$HOME/called" ;; esac`;
      writeFileSync(join(this.home, "bin", name), `#!/bin/sh\n${note}\n${body}\n`);
      chmodSync(join(this.home, "bin", name), 0o755);
    }
  }

  /** Builds, and gives the tools that were called, each with what it was told. */
  build(...args) {
    rmSync(join(this.home, "called"), { force: true });
    const bin = join(this.home, "bin");
    const env = {
      PATH: `${bin}:${dirname(process.execPath)}:/usr/bin:/bin`, HOME: this.home,
      ESBUILD_BIN: join(bin, "esbuild"), WASM_OPT_BIN: join(bin, "wasm-opt"),
    };
    const { status, stdout, stderr } = spawnSync("sh", [join(this.root, "deploy/cloudflare/build"), ...args], { env, encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
    const called = join(this.home, "called");
    return existsSync(called) ? readFileSync(called, "utf8").trim().split("\n") : [];
  }

  change(path, text) {
    writeFileSync(join(this.root, path), text);
  }
}

const names = (calls) => calls.map((call) => call.split(" ")[0]);
const ALL = ["cargo", "worker-build", "wasm-opt", "cargo", "wasm-bindgen", "wasm-opt"];

test("nothing is done where nothing changed", (t) => {
  const clone = new Clone(t);
  assert.deepEqual(names(clone.build()), ALL);
  assert.deepEqual(clone.build(), []);
  // Clones and caches set times anew.
  for (const path of ["src/lib.rs", "build/index_bg.wasm", "build/index.js"]) utimesSync(join(clone.root, path), 1, 1);
  const { ino, mtimeMs } = statSync(join(clone.root, "build/index.js"));
  assert.deepEqual(clone.build(), []);
  const after = statSync(join(clone.root, "build/index.js"));
  assert.deepEqual([after.ino, after.mtimeMs], [ino, mtimeMs], "who watches it does not start anew");
});

test("modules are made again where what they are made of changed, or they did", (t) => {
  const clone = new Clone(t);
  clone.build();
  const lock = readFileSync(join(clone.root, "Cargo.lock"), "utf8");
  const changes = {
    "a source": () => clone.change("src/lib.rs", "// another"),
    "a source that is new": () => clone.change("grammar/new.pest", ""),
    "a dependency": () => clone.change("Cargo.lock", `${lock}\n`),
    "how it is built": () => clone.change("deploy/cloudflare/flags", readFileSync(join(clone.root, "deploy/cloudflare/flags"), "utf8") + "\n"),
    "a module that is gone": () => rmSync(join(clone.root, "build/compiler_bg.wasm")),
    "a module that is another": () => clone.change("build/index_bg.wasm", "other"),
    "the compiler": () => writeFileSync(join(clone.home, "bin/rustc"), '#!/bin/sh\nexec echo "rustc 1.96.0"\n'),
  };
  for (const [what, change] of Object.entries(changes)) {
    change();
    assert.deepEqual(names(clone.build()), ALL, what);
    assert.deepEqual(clone.build(), [], what);
  }
});

test("a build that was cut off is no build", (t) => {
  const clone = new Clone(t, { "wasm-opt": 'case $2$3 in *compiler*) [ ! -e "$HOME/cut" ] || exit 1 ;; esac; cp "$1" "$3"' });
  clone.build();
  clone.change("src/lib.rs", "// another");
  writeFileSync(join(clone.home, "cut"), "");
  assert.throws(() => clone.build());
  rmSync(join(clone.home, "cut"));
  assert.deepEqual(names(clone.build()), ALL);
});

test("scripts are copied without any tool", (t) => {
  const clone = new Clone(t);
  clone.build();
  clone.change("crates/worker/src/shim.js", "// another\n");
  assert.deepEqual(clone.build(), []);
  assert.equal(readFileSync(join(clone.root, "build/index.js"), "utf8"), "// another\n");
  assert.ok(!existsSync(join(clone.root, "build/manage.js")));
});

test("the wasm-bindgen that is there is used, and worker-build told of it", (t) => {
  const clone = new Clone(t);
  const calls = clone.build();
  const told = calls.find((call) => call.startsWith("worker-build")).split("|");
  assert.equal(told[2], join(clone.home, "bin/wasm-bindgen"));
  assert.ok(!calls.some((call) => call.startsWith("cargo install")), "nothing is installed");
});

test("another wasm-bindgen stays, and the right one is installed beside it", (t) => {
  const clone = new Clone(t, { "wasm-bindgen": "echo wasm-bindgen 0.1.0" });
  const version = locked("wasm-bindgen");
  // What is installed makes nothing here; that it is installed where it belongs is all that is looked at.
  assert.throws(() => clone.build());
  const called = readFileSync(join(clone.home, "called"), "utf8");
  assert.match(called, new RegExp(`^cargo install .*--root .*/\\.cache/velvetrope/wasm-bindgen-${version} wasm-bindgen-cli@${version}`, "m"));
  assert.equal(readFileSync(join(clone.home, "bin/wasm-bindgen"), "utf8").includes("0.1.0"), true);
});

test("no path of this machine goes into a module", (t) => {
  const clone = new Clone(t);
  const flags = clone.build().find((call) => call.startsWith("worker-build")).split("|")[1].split("\x1f");
  const remapped = new Map(flags.map((flag) => flag.replace("--remap-path-prefix=", "").split("=")));
  for (const path of [clone.home, clone.root, join(clone.home, ".cargo/registry/src/some.registry-1"), "/sysroot"]) {
    assert.ok(remapped.has(path), `${path}: ${flags}`);
  }
  // The last that fits is taken: what is within another comes after it.
  const order = [...remapped.keys()];
  assert.ok(order.indexOf(clone.home) < order.indexOf(clone.root));
});

test("all that is compiled in is looked at", () => {
  const folder = join(HERE, "target/wasm32-unknown-unknown/worker/deps");
  const looked = /find ([^]*?)-type f/.exec(readFileSync(join(HERE, "deploy/cloudflare/build"), "utf8"))[1];
  const places = looked.replaceAll("\\\n", " ").trim().split(/\s+/).map((place) => place.replace(/\*$/, ""));
  const ours = readdirSync(folder).filter((name) => /^(lib)?velvetrope[a-z_]*(-[0-9a-f]+)?\.d$/.test(name));
  const files = ours.flatMap((name) => readFileSync(join(folder, name), "utf8").split("\n"))
    .filter((line) => line.endsWith(":")).map((line) => relative(HERE, resolve(HERE, line.slice(0, -1).replaceAll("\\ ", " "))));
  assert.ok(new Set(files).size > 50, `${files}`);
  const missed = files.filter((file) => !file.startsWith("..") && !places.some((place) => file.startsWith(place)));
  assert.deepEqual([...new Set(missed)], []);
});

test("tools are the same for who builds and who tests", () => {
  const [built, tested] = ["deploy/cloudflare", "tests/worker"].map((folder) => JSON.parse(readFileSync(join(HERE, folder, "package-lock.json"), "utf8")).packages);
  for (const name of ["binaryen", "esbuild", "wrangler", "workerd"]) {
    assert.equal(built[`node_modules/${name}`].version, tested[`node_modules/${name}`].version, name);
  }
});

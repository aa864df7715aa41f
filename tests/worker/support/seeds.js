// What fuzzing starts from, and what it found: bytes for every parser of outside bytes (as fuzz/src/bin/seeds.rs).

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { ROOT } from "./site.js";

/** Seeds by fuzz target. */
export function seeds() {
  const rules = cases("rules");
  const queueit = cases("queueit");
  const texts = (values) => [...new Set(values.filter((value) => typeof value === "string"))].map((text) => Buffer.from(text));
  const recorded = {
    expression: texts(rules.map((record) => record.expr)),
    token: texts(queueit.map((record) => record.token)),
    cookie: texts(queueit.flatMap(({ request }) => [request?.headers?.Cookie, request?.headers?.cookie])),
    integration: texts(queueit.map((record) => record.integration_raw ?? (record.integration && JSON.stringify(record.integration)))),
    push: texts(queueit.map((record) => record.request?.body)),
    saved: [readFileSync(new URL("tests/data/saved.vrp", ROOT))],
  };
  return Object.fromEntries(Object.entries(recorded).map(([target, seeds]) => [target, [...seeds, ...files(target), ...HOSTILE]]));
}

/** As in tests/end_to_end/outside_bytes.rs. */
const HOSTILE = [
  Buffer.alloc(0),
  Buffer.alloc(1_000),
  Buffer.alloc(6_000, 0xff),
  Buffer.from("%"),
  Buffer.from("a=%"),
  Buffer.from("%E0%A4%A"),
  Buffer.from("~".repeat(6_000)),
  Buffer.from("a_b~".repeat(1_500)),
  Buffer.from("a=b; ".repeat(1_200)),
  Buffer.from("[".repeat(3_000) + "]".repeat(3_000)),
  Buffer.from("\u0000\u2028\ud83d\ude00%zz&&==;;"),
];

function cases(folder) {
  const vectors = new URL(`tests/vectors/${folder}/`, ROOT);
  const names = readdirSync(vectors).filter((name) => name.endsWith(".jsonl"));
  const lines = names.flatMap((name) => readFileSync(new URL(name, vectors), "utf8").split("\n"));
  return lines.filter(Boolean).map((line) => JSON.parse(line));
}

/** What fuzzing has kept on this machine, and what it found. */
function files(target) {
  const folders = ["corpus", "regressions"].map((kind) => new URL(`fuzz/${kind}/${target}/`, ROOT));
  return folders.filter((folder) => existsSync(folder)).flatMap((folder) =>
    readdirSync(folder).map((name) => readFileSync(new URL(name, folder))));
}

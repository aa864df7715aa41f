// Writes schema.json: what the provider `cloudflare/cloudflare` says of the resources in deploy/cloudflare/terraform. The
// provider itself comes from no registry of packages; its schema does, in bindings that were generated from it:
//
//     cd $(mktemp -d) && npm install --ignore-scripts @cdktf/provider-cloudflare@13.9.1
//     node …/tests/worker/terraform/renew.js node_modules/@cdktf/provider-cloudflare

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const RESOURCES = ["worker", "worker-version", "workers-deployment", "workers-kv-namespace", "workers-route"];

const [, , bindings] = process.argv;
const resources = {};
let version;
for (const resource of RESOURCES) {
  const source = sourceOf(join(bindings, "lib", resource, "index.js"));
  const [, name, body] = /^export class (\w+) extends cdktf\.TerraformResource \{([^]*?)^\}/m.exec(source);
  [, version] = /providerVersion: '(.*?)'/.exec(body);
  const [, type] = /tfResourceType = "(.*?)"/.exec(body);
  resources[type] = attributes(source, body);
  console.log(`${type} (${name}): ${Object.keys(resources[type]).length} attributes`);
}
const file = new URL("schema.json", import.meta.url);
writeFileSync(file, `${JSON.stringify({ provider: "cloudflare/cloudflare", version, resources }, null, 1)}\n`);

/** The TypeScript that a module was compiled from; its comments say what is required. */
function sourceOf(path) {
  const [, map] = /sourceMappingURL=data:application\/json;base64,(.*)/.exec(readFileSync(path, "utf8"));
  return JSON.parse(Buffer.from(map, "base64").toString("utf8")).sourcesContent[0];
}

/** Attributes by name, each with its type as Terraform writes it, or with the attributes within and how they nest. */
function attributes(source, body) {
  const told = /^  \/\/ (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n([^]*?)^  \}/gm;
  const all = [...body.matchAll(told)].map(([, name, computed, optional, required, code]) => [
    name,
    { ...shape(source, code), computed: computed === "true", optional: optional === "true", required: required === "true" },
  ]);
  return Object.fromEntries(all);
}

function shape(source, code) {
  const nested = /new (\w+?)(OutputReference|List)\(this, "\w+"(?:, (true|false))?\)/.exec(code);
  if (nested) {
    const [, name, kind, isSet] = nested;
    const body = new RegExp(`^export class ${name}OutputReference extends [^{]*\\{([^]*?)^\\}`, "m").exec(source)[1];
    const nesting = kind === "OutputReference" ? "SINGLE" : isSet === "true" ? "SET" : "LIST";
    return { nesting, attributes: attributes(source, body) };
  }
  const [, kind] = /this\.get(\w+)Attribute\(|interpolationForAttribute/.exec(code);
  const simple = { String: "string", Number: "number", Boolean: "bool", AnyMap: "dynamic", StringMap: ["map", "string"] }[kind];
  const type = simple ?? [code.includes("tolist(") ? "set" : "list", kind.startsWith("Number") ? "number" : "string"];
  return { type };
}

// A provider that knows the schema of `cloudflare/cloudflare` and nothing else: enough for `terraform validate` to check every
// attribute and its type, with the real Terraform. What the real provider checks beyond its schema is not checked.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Server, ServerCredentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

export const SCHEMA = JSON.parse(readFileSync(new URL("schema.json", import.meta.url), "utf8"));

export class Provider {
  #server = new Server();
  #port;

  static async start() {
    const provider = new Provider();
    const options = { keepCase: true, longs: Number, enums: String };
    const definition = loadSync(fileURLToPath(new URL("provider.proto", import.meta.url)), options);
    const answers = (answer) => (_, callback) => callback(null, answer);
    provider.#server.addService(loadPackageDefinition(definition).tfplugin6.Provider.service, {
      GetProviderSchema: answers(schema()),
      ValidateProviderConfig: answers({}),
      ValidateResourceConfig: answers({}),
      StopProvider: answers({}),
    });
    provider.#port = await new Promise((resolve, reject) =>
      provider.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port))));
    return provider;
  }

  /** What Terraform takes for a provider that runs already, in its environment. */
  get environment() {
    const address = { Network: "tcp", String: `127.0.0.1:${this.#port}` };
    const running = { Protocol: "grpc", ProtocolVersion: 6, Pid: process.pid, Test: true, Addr: address };
    return { TF_REATTACH_PROVIDERS: JSON.stringify({ "registry.terraform.io/cloudflare/cloudflare": running }) };
  }

  stop() {
    this.#server.forceShutdown();
  }
}

function schema() {
  const resources = Object.entries(SCHEMA.resources).map(([name, attributes]) => [name, block(attributes)]);
  return { provider: block({}), resource_schemas: Object.fromEntries(resources) };
}

const block = (attributes) => ({ version: 0, block: { version: 0, attributes: listed(attributes) } });

function listed(attributes) {
  return Object.entries(attributes).map(([name, { type, nesting, attributes: within, required, optional, computed }]) => ({
    name,
    // What is required can be nothing else.
    ...(required ? { required } : { optional, computed }),
    ...(nesting ? { nested_type: { nesting, attributes: listed(within) } } : { type: Buffer.from(JSON.stringify(type)) }),
  }));
}

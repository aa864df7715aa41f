// Plain HTTP, for requests that `fetch` would not send as they are.

import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect } from "node:net";

/** One exchange; `agent` keeps connections where there are many. Header values are bytes as Latin-1. */
export async function exchange(address, { method = "GET", path, headers = {}, body, agent } = {}) {
  const { hostname, port } = address;
  const asked = request({ hostname, port, method, path, headers: { host: "tickets.example", ...headers }, agent, maxHeaderSize: 1 << 20 });
  asked.end(body);
  const [response] = await once(asked, "response");
  const parts = [];
  for await (const part of response) parts.push(part);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(parts).toString() };
}

/** Keeps so many connections. */
export const keepingAlive = (maxSockets) => new Agent({ keepAlive: true, maxSockets });

/** Sends bytes as they are, and gives the status and the head of what comes back. */
export async function raw(address, bytes) {
  const socket = connect(Number(address.port), address.hostname);
  await once(socket, "connect");
  socket.write(bytes);
  let text = "";
  for await (const part of socket.setEncoding("latin1")) {
    text += part;
    // Leaving the loop ends the connection.
    if (text.includes("\r\n\r\n")) break;
  }
  return { status: Number(text.split(" ")[1]), head: text.split("\r\n\r\n")[0] };
}

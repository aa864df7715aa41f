// The site behind the Worker: a real HTTP server that tells what it was asked.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

/** Answers with what it was asked, but for paths that a test answers itself. */
export class Origin {
  /** Every request, in the order they came: method, url, headers, rawHeaders. */
  requests = [];
  #answers = new Map();
  #server = createServer({ maxHeaderSize: 1 << 20 }, (request, response) => this.#answer(request, response));
  #sockets = new WebSocketServer({ noServer: true });

  static async start() {
    const origin = new Origin();
    origin.#server.listen(0, "127.0.0.1");
    await once(origin.#server, "listening");
    origin.#server.on("upgrade", (request, socket, head) => origin.#upgrade(request, socket, head));
    return origin;
  }

  get address() {
    return `127.0.0.1:${this.#server.address().port}`;
  }

  /** Answers requests for a path (without query) so. */
  on(path, answer) {
    this.#answers.set(path, answer);
  }

  async stop() {
    this.#sockets.close();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #answer(request, response) {
    const { method, url, headers, rawHeaders } = request;
    this.requests.push({ method, url, headers, rawHeaders });
    const answer = this.#answers.get(url.split("?")[0]);
    if (answer) {
      return answer(request, response);
    }
    const hash = createHash("sha256");
    let length = 0;
    for await (const chunk of request) {
      hash.update(chunk);
      length += chunk.length;
    }
    const told = { method, url, headers, body: { length, sha256: hash.digest("hex") } };
    response.writeHead(200, { "content-type": "application/json", "x-origin": "yes" });
    response.end(JSON.stringify(told));
  }

  /** A WebSocket that sends everything back. */
  #upgrade(request, socket, head) {
    const { method, url, headers, rawHeaders } = request;
    this.requests.push({ method, url, headers, rawHeaders });
    this.#sockets.handleUpgrade(request, socket, head, (echo) => {
      echo.on("message", (data, isBinary) => echo.send(data, { binary: isBinary }));
    });
  }
}

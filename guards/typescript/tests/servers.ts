// Servers of each kind with the same routes: /short answers, /long goes on for ever.
import express from "express";
import fastify from "fastify";
import { createServer, type RequestListener } from "node:http";
import { connect, createServer as createHttp2, type Http2ServerRequest } from "node:http2";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import type { Presented } from "../guard.ts";
import { protect, protectFastify, type HttpOptions } from "../http.ts";
import type { LiveGuard } from "../live.ts";

type Request = { headers: Record<string, any> };
/** For a test: the bearer's token is the identifier itself. */
export const presents = async (request: Request): Promise<Presented | null> => {
  const [, name] = /^Bearer (.+)$/.exec(request.headers.authorization ?? "") ?? [];
  return name ? { identifiers: [name] } : null;
};

export type Serving = { url: string; close(): void };
type Make = (guard: LiveGuard, options?: HttpOptions<any>) => Promise<Serving>;

async function listening(server: any, close = () => server.close()): Promise<Serving> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}
const answer = (path: string | undefined, response: any): void => {
  response.writeHead(200, { "content-type": "text/plain" });
  if (path === "/long") response.write("begun\n");
  else response.end("done\n");
};

export const SERVERS: Record<string, Make> = {
  async express(guard, options) {
    const app = express();
    app.use(protect(guard, presents, options));
    app.get(["/short", "/long"], (request, response) => answer(request.path, response));
    const server = createServer(app);
    return listening(server, () => { server.close(); server.closeAllConnections(); });
  },
  async fastify(guard, options) {
    const app = fastify();
    app.addHook("onRequest", protectFastify(guard, presents, options));
    app.get("/short", async () => "done\n");
    app.get("/long", async (_, reply) => {
      const body = new Readable({ read() {} });
      body.push("begun\n");
      return reply.type("text/plain").send(body);
    });
    const url = await app.listen({ port: 0, host: "127.0.0.1" });
    return { url, close: () => { void app.close(); app.server.closeAllConnections(); } };
  },
  async http(guard, options) {
    const middleware = protect(guard, presents, options);
    const listener: RequestListener = (request, response) =>
      void middleware(request, response, () => answer(request.url, response));
    const server = createServer(listener);
    return listening(server, () => { server.close(); server.closeAllConnections(); });
  },
};

/** A server of HTTP/2, and a client of it. */
export async function http2(guard: LiveGuard) {
  const middleware = protect<Http2ServerRequest>(guard, presents);
  const server = createHttp2((request, response) =>
    void middleware(request, response, () => answer(request.url, response)));
  const { url } = await listening(server);
  const client = connect(url);
  return { client, close: () => { client.destroy(); server.close(); } };
}

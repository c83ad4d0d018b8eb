// Middleware: the same for each kind of server, with the servers that npm has.
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { test, type TestContext } from "node:test";
import { signalOf, DeniedError, protect } from "../http.ts";
import { LEASE, NAME, node, revoke, Scripted } from "./scripted.ts";
import { http2, presents, SERVERS } from "./servers.ts";

const headers = { authorization: `Bearer ${NAME}` };

async function served(t: TestContext, kind: string, options = {}) {
  const guard = Scripted.make(node(NAME));
  const server = await SERVERS[kind](guard, options);
  t.after(() => { guard.close(); server.close(); });
  return { guard, ask: (path: string, sent: object = headers) =>
    fetch(server.url + path, { headers: sent as any }) };
}
/** Read a stream to its end; null: it was cut. */
async function rest(reader: any): Promise<string | null> {
  try {
    for (let all = ""; ;) {
      const { done, value } = await reader.read();
      if (done) return all;
      all += Buffer.from(value).toString();
    }
  } catch {
    return null;
  }
}

for (const kind of Object.keys(SERVERS)) {
  test(`${kind}: a request is allowed or denied`, async (t) => {
    const { guard, ask } = await served(t, kind);
    assert.equal(await (await ask("/short")).text(), "done\n");

    const unknown = await ask("/short", {});
    assert.equal(unknown.status, 401);
    assert.equal(unknown.headers.get("www-authenticate"), "Bearer");
    assert.equal((await unknown.json() as any).reason, "no_credential");

    guard.append(revoke(NAME));
    guard.prove();
    const denied = await ask("/short");
    assert.equal(denied.status, 401);
    assert.equal(denied.headers.get("www-authenticate"), 'Bearer error="invalid_token"');
    assert.match(denied.headers.get("content-type")!, /^application\/problem\+json/);
    assert.equal(denied.headers.get("cache-control"), "no-store");
    assert.deepEqual(await denied.json(), {
      type: "about:blank", title: "Unauthorized", status: 401, reason: "revoked" });
  });

  test(`${kind}: without a lease the answer is 403`, async (t) => {
    const { guard, ask } = await served(t, kind);
    guard.times.clock += LEASE;
    const denied = await ask("/short");

    assert.deepEqual([denied.status, (await denied.json() as any).reason], [403, "no_lease"]);
    assert.equal(denied.headers.get("www-authenticate"), null);
  });

  test(`${kind}: a running response is cut`, async (t) => {
    const { guard, ask } = await served(t, kind);
    const reader = (await ask("/long")).body!.getReader();
    assert.equal(Buffer.from((await reader.read()).value!).toString(), "begun\n");
    guard.append(revoke(NAME));

    assert.equal(await rest(reader), null);
  });

  test(`${kind}: responses that ended are watched no longer`, async (t) => {
    const { guard, ask } = await served(t, kind);
    for (let i = 0; i < 3; i++) await (await ask("/short")).text();
    const sessions = (guard as any).sessions;
    while (sessions.count > 0) await new Promise(setImmediate);
  });

  test(`${kind}: a response that is only checked goes on`, async (t) => {
    const { guard, ask } = await served(t, kind, { checkOnly: true });
    await ask("/long");

    assert.equal((guard as any).sessions.count, 0);
  });

}

for (const kind of ["express", "fastify"])
  test(`${kind}: a function that fails lets nobody in`, async (t) => {
    t.mock.method(console, "error", () => {}); // Express prints it
    const scope = () => { throw new Error("no such route"); };
    const { ask } = await served(t, kind, { scope });

    assert.equal((await ask("/short")).status, 500);
  });

test("a client that left while its credential was verified is not watched", async (t) => {
  const guard = Scripted.make(node(NAME));
  t.after(() => guard.close());
  const response: any = new EventEmitter();
  const middleware = protect(guard, async (request: any) => {
    response.destroyed = true;
    response.emit("close");
    return presents(request);
  });
  await middleware({ headers } as any, response, () => {});

  assert.equal((guard as any).sessions.count, 0);
});

test("HTTP/2: a stream is cancelled, and others of the connection go on", async (t) => {
  const OTHER = "vault.accessor:other";
  const guard = Scripted.make(node(NAME), node(OTHER));
  const { client, close } = await http2(guard);
  t.after(() => { guard.close(); close(); });
  const ask = (name: string) =>
    client.request({ ":path": "/long", authorization: `Bearer ${name}` });
  const [one, other] = [ask(NAME), ask(OTHER)];
  await Promise.all([once(one, "data"), once(other, "data")]);
  guard.append(revoke(NAME));
  await once(one, "close");

  assert.equal(one.rstCode, 8); // CANCEL
  assert.equal(other.closed, false);
});

test("a handler sees the signal of its request, with the verdict", async (t) => {
  const guard = Scripted.make(node(NAME));
  t.after(() => guard.close());
  const { createServer } = await import("node:http");
  const middleware = protect(guard, presents);
  const seen = new Promise<any>((done) => {
    const server = createServer((request, response) => void middleware(request, response, () => {
      signalOf(request)!.addEventListener("abort", () => done(signalOf(request)!.reason));
      guard.append(revoke(NAME));
    })).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as any;
      fetch(`http://127.0.0.1:${port}/`, { headers }).catch(() => server.close());
    });
  });

  const reason = await seen;
  assert.ok(reason instanceof DeniedError);
  assert.equal(reason.verdict.reason, "revoked");
});

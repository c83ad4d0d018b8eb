// How a feed comes back: pauses, and attempts that are never answered.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { dialling, LateError, reach, type Dial } from "../reach.ts";
import { Reconnect } from "../reconnect.ts";

class Line {
  closed = false;
  close(): void { this.closed = true; }
}
const never = new AbortController().signal;

/** A server behind an address that answers nobody until `open` is called. */
function hanging() {
  const waiting = new Set<AbortSignal>(), lines: Line[] = [];
  let attempts = 0, open = false;
  const dial: Dial<Line> = (signal) => new Promise((take, fail) => {
    attempts++;
    if (open) {
      lines.push(new Line());
      return take(lines.at(-1)!);
    }
    waiting.add(signal);
    signal.addEventListener("abort", () => {
      waiting.delete(signal);
      fail(signal.reason);
    });
  });
  return { dial, waiting, lines, open: () => (open = true), attempts: () => attempts };
}
const settle = async () => { for (let i = 0; i < 50; i++) await Promise.resolve(); };

test("no pause is longer than 1.4 s, however long the outage", () => {
  const attempts = new Reconnect();
  const pauses = Array.from({ length: 2000 }, () => attempts.pause(1));

  assert.equal(pauses[0], 50);
  assert.equal(Math.max(...pauses), 1400);
});

test("a server that worked and died is asked each half second for a while", () => {
  const attempts = new Reconnect();
  attempts.proved();
  attempts.ended(1006);
  const pauses = Array.from({ length: 50 }, () => attempts.pause(1));

  assert.equal(Math.max(...pauses.slice(0, 40)), 500);
  assert.equal(pauses[41], 1400);
});

test("an attempt that is never answered is followed by others, each second", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const server = hanging();
  const reached = reach(server.dial, never);
  await settle();
  assert.equal(server.attempts(), 1);
  t.mock.timers.tick(500);
  await settle();
  assert.equal(server.attempts(), 3); // a patient one, and a quick one
  t.mock.timers.tick(1000);
  await settle();
  assert.equal(server.attempts(), 4);

  server.open(); // a new host has the address: only a new attempt gets to it
  t.mock.timers.tick(1000);
  const line = await reached;

  assert.equal(line.closed, false);
  assert.equal(server.waiting.size, 0); // no attempt is left behind
});

test("of two that are answered at the same moment one is used, and one is closed", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const answers: ((line: Line) => void)[] = [], lines = [new Line(), new Line()];
  const dial: Dial<Line> = (signal) => new Promise((take, fail) => {
    if (answers.push(take) === 1) signal.addEventListener("abort", () => fail(signal.reason));
  });
  const reached = reach(dial, never);
  await settle();
  t.mock.timers.tick(500);
  await settle();
  answers.slice(1).forEach((take, i) => take(lines[i]));
  const used = await reached;
  await settle();

  assert.deepEqual(lines.map((line) => line.closed), lines.map((line) => line !== used));
});

test("a server that refuses ends it at once", async () => {
  await assert.rejects(reach(async () => { throw new Error("refused"); }, never), /refused/);
});

test("nobody answers for ten seconds", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const server = hanging();
  const reached = assert.rejects(reach(server.dial, never), LateError);
  for (let i = 0; i < 25; i++) {
    await settle();
    t.mock.timers.tick(500);
  }
  await reached;

  assert.equal(server.waiting.size, 0);
});

test("what is not needed any more is given up", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const server = hanging(), over = new AbortController();
  const reached = assert.rejects(reach(server.dial, over.signal), /needless/);
  await settle();
  t.mock.timers.tick(500);
  await settle();
  over.abort(new Error("needless"));
  await reached;

  assert.equal(server.waiting.size, 0);
});

test("an attempt that is given up leaves no connection behind", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const over = new AbortController();
  const { port } = server.address() as AddressInfo;
  const reached = dialling(`http://127.0.0.1:${port}`, "credential")(over.signal);
  const [socket] = await once(server, "connection");
  socket.resume();
  over.abort(new Error("needless"));

  await assert.rejects(reached, /needless/);
  await once(socket, "close");
  server.close();
});

// The guard under test: one request of the conformance kit a line, one reply a line.
import { createInterface } from "node:readline";
import { Guard } from "./guard.ts";
import { parse } from "./wire.ts";

let clock = 0n, wall = 0n, guard: Guard, connection: bigint | null = null;

function answer(request: any): object {
  [clock, wall] = [request.clock, request.wall];
  if (request.do === "reset") {
    guard = new Guard(request.settings.lease_ms * 1_000_000n, () => clock, () => wall);
    connection = null;
    return { guard: "guard-ts" };
  }
  if (request.do === "connect") {
    if (connection !== null) return { hello: null }; // one connection is enough
    connection = request.connection;
    return { hello: guard.hello() };
  }
  if (request.do === "disconnect") connection = null;
  if (request.do === "ping") return { ping: guard.ping() };
  if (request.do === "check") return guard.check(request.presented, request.scope, request.at_least);
  if (request.do === "receive") {
    try {
      guard.receive(request.frame ?? Buffer.from(request.bytes, "base64"));
    } catch {
      connection = null;
    }
    return { closed: connection === null };
  }
  return {};
}

for await (const line of createInterface({ input: process.stdin }))
  console.log(JSON.stringify(answer(parse(line))));

// The feed: keep a guard's table equal to the log of a Rescind server. Whatever goes wrong
// ends a connection, and another one begins. Nothing here decides what is allowed: without
// pongs the lease runs out by itself.
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Guard } from "./guard.ts";
import { LiveGuard } from "./live.ts";
import { dialling, reach, type Dial } from "./reach.ts";
import { PER_LEASE, Receipts } from "./receipts.ts";
import { Reconnect } from "./reconnect.ts";

const TICK = 10_000_000n; // the resolution of /proc/uptime, ns
const SILENCE = 5000; // ms; a connection without a frame for so long is dead
const LOOKS = 2; // in the time between two pings
const MISSED = 2; // pings in a row that bring nothing

// Linux counts sleep there, which process.hrtime does not: a machine that wakes up has no
// lease. Elsewhere take a clock that goes on in sleep, and that nobody can set.
const uptime = () => {
  const [seconds] = readFileSync("/proc/uptime", "utf8").split(" ");
  return BigInt(Math.round(Number(seconds) * 100)) * TICK;
};
const wall = () => BigInt(Date.now()) * 1_000_000n;

type End = { code: number; why: string; found?: WebSocket };

export type FeedOptions = {
  name?: string; // as the credential allows it
  lease?: number; // ms
  liveSessions?: boolean; // false: it watches none, and closure need not wait for their end
  receipts?: boolean; // false: closure knows nothing of it
};

/** Give a guard that feeds itself until it is closed. */
export function guardOf(url: string, credential: string, options: FeedOptions = {}): LiveGuard {
  const { name = "guard-ts", lease = 1000, liveSessions = true } = options;
  // A lease shorter by a tick, since a clock reading may be so much too low.
  const guard = new LiveGuard(BigInt(lease) * 1_000_000n - TICK, uptime, wall, name);
  const receipts = options.receipts === false ? null : new Receipts(name, { lease, liveSessions });
  if (!liveSessions) guard.watchNone();
  void feed(guard, dialling(url, credential), lease, receipts);
  return guard;
}

async function feed(
  guard: LiveGuard, dial: Dial<WebSocket>, lease: number, receipts: Receipts | null,
): Promise<void> {
  const attempts = new Reconnect(), { closed } = guard;
  let said = "", found: WebSocket | undefined;
  const say = (why: string) => {
    if (why !== said) console.error(`feed: ${why}`);
    said = guard.trouble = why;
  };
  while (!closed.aborted) {
    try {
      const socket = found ?? await reach(dial, closed);
      const talk = new Conversation(guard, socket, dial, lease, attempts, receipts);
      const leave = () => talk.leave();
      closed.addEventListener("abort", leave);
      if (closed.aborted) leave();
      const end = await talk.end;
      closed.removeEventListener("abort", leave);
      attempts.ended(end.code);
      found = end.found;
      say(end.why);
    } catch (error) {
      found = undefined;
      say(String(error));
    }
    if (!found && !closed.aborted)
      await pause(attempts.pause(Math.random()), undefined, { signal: closed }).catch(() => {});
  }
  found?.close();
}

/** One connection, until it ends. */
class Conversation {
  readonly end: Promise<End>;
  private finish!: (end: End) => void;
  private over = new AbortController();
  private spoke = false; // a frame came
  private looking = false; private quiet = 0; // looks since the last frame
  private next = LOOKS * MISSED + 1; // so many, and another connection is made
  private guard: Guard; private socket: WebSocket; private dial: Dial<WebSocket>;
  private interval: number; private attempts: Reconnect;
  private receipts: Receipts | null;
  private reported: string | null = null; private rests = 0; // looks to report until the next

  constructor(
    guard: Guard, socket: WebSocket, dial: Dial<WebSocket>, lease: number, attempts: Reconnect,
    receipts: Receipts | null,
  ) {
    [this.guard, this.socket, this.dial] = [guard, socket, dial];
    [this.interval, this.attempts, this.receipts] = [lease / 4, attempts, receipts];
    const { interval } = this;
    this.end = new Promise((resolve) => (this.finish = resolve));
    socket.onmessage = ({ data }) => this.take(data);
    socket.onclose = ({ code }) => this.part({ code, why: `closed with ${code}` });
    // The receipt is taken before anything else, so before the first pong.
    this.send({ ...guard.hello(), ...(receipts && { receipt: receipts.registered() }) });
    this.send(guard.ping());
    const pings = setInterval(() => this.send(guard.ping()), interval);
    const looks = setInterval(() => this.look(), interval / LOOKS);
    const reports = setInterval(() => this.report(), lease / PER_LEASE);
    this.over.signal.addEventListener("abort", () => [pings, looks, reports].forEach(clearInterval));
    if (socket.readyState !== WebSocket.OPEN) this.part({ code: 1006, why: "closed" });
  }
  part(end: End): void {
    this.socket.onmessage = this.socket.onclose = null; // what is under way comes too late
    this.over.abort(new Error("this connection ended"));
    this.socket.close();
    this.finish(end);
  }
  /** End it, since the guard ends, and say so. */
  leave(): void {
    if (this.receipts) this.send({ type: "goodbye", receipt: this.receipts.goodbye() });
    this.part({ code: 1000, why: "the guard was closed" });
  }
  /** Say what is applied where that moved, and at least twice in a lease. */
  private report(): void {
    const applied = this.guard.place();
    if (!this.receipts || applied === null) return;
    const [genesis, position] = applied, said = `${genesis}:${position}`;
    if (said === this.reported && this.rests-- > 0) return;
    [this.reported, this.rests] = [said, PER_LEASE / 2 - 1];
    this.send({ type: "receipt", receipt: this.receipts.applied(genesis, position) });
  }
  private send(message: object): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
  private take(data: string | ArrayBuffer): void {
    [this.spoke, this.quiet, this.next] = [true, 0, LOOKS * MISSED + 1];
    try {
      this.guard.receive(typeof data === "string" ? data : new Uint8Array(data));
      if (this.guard.leased()) this.attempts.proved();
    } catch (error) {
      this.part({ code: 1002, why: String(error) });
    }
  }
  // Looks are counted in place of time: a loop that was held has frames that it did not
  // read. No other connection is made before the first frame, since a server may take a
  // while for a table.
  private look(): void {
    if (++this.quiet * this.interval > SILENCE * LOOKS) this.part({ code: 1006, why: "silent" });
    else if (this.spoke && !this.looking && this.quiet >= this.next) void this.lookElsewhere();
  }
  private async lookElsewhere(): Promise<void> {
    const { signal } = this.over;
    this.looking = true;
    try { // after a random pause: where a server hangs, all its guards find it silent at once
      await pause(Math.random() * this.interval, undefined, { signal });
      const found = await reach(this.dial, signal);
      if (this.quiet === 0 || signal.aborted) found.close();
      else this.part({ code: 1006, why: "silent, and another connection is answered", found });
    } catch {
      this.next = this.quiet + LOOKS * MISSED; // as many again before the next attempt
    }
    this.looking = false;
  }
}

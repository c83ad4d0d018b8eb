// A guard of level `core`, without any package: a table that the feed keeps equal to the
// log, and the lease that proves it.
import { ComingTable, VERSIONS } from "./columns.ts";
import { least, Table, touched } from "./table.ts";
import { identifier, list, must, natural, parse, read, text } from "./wire.ts";

export type Presented = { identifiers: any[]; issued_at?: bigint | null; chain?: any[] };

export type Verdict = { allowed: boolean; reason: string };

const MILLISECOND = 1_000_000n;
export const NEVER = -(1n << 63n);
// Denials without a cause: of a log that is gone these say nothing.
const DOUBTS = ["expired", "unknown_credential", "beyond_horizon", "lineage_too_large"];
const doubtful = (reason: string | null) => reason === null || DOUBTS.includes(reason);

export class Guard {
  private plain = false; // a table was refused, and would come again: ask for facts
  private name: string; private lease: bigint; private clock: () => bigint; private wall: () => bigint;
  private seq = 0n; private began: bigint;
  private coming: { table: ComingTable; offset: bigint } | null = null;
  private table!: Table; private genesis!: string | null; private position!: bigint | null;
  private last: { table: Table; genesis: string; position: bigint } | null = null; // that was whole
  private cut = false; // its log lost its end
  private kept: Table[] = []; // of logs that are gone: the next one may lack what they denied
  private sent!: Map<bigint, bigint>; private proofs!: { end: bigint; until: bigint }[];

  /** `lease` in ns; `clock`: ns, set by nobody, counts sleep; `wall`: ns since 1970, for expiry. */
  constructor(lease: bigint, clock: () => bigint, wall: () => bigint, name = "guard-ts") {
    [this.lease, this.clock, this.wall, this.name] = [lease, clock, wall, name];
    this.began = wall() - clock();
    this.forget();
  }
  protected forget(): void {
    if (this.position != null)
      this.last = { table: this.table, genesis: this.genesis!, position: this.position };
    [this.table, this.genesis, this.position, this.coming] = [new Table({}), null, null, null];
    [this.sent, this.proofs] = [new Map(), []];
  }

  /** The time for expiry: whoever sets the wall clock back revives nothing. */
  time(): bigint {
    const [wall, carried] = [this.wall(), this.began + this.clock()];
    return wall > carried ? wall : carried;
  }

  /** Give the first message of a connection; half a snapshot is none. */
  hello() {
    if (this.position === null) this.forget();
    const position = this.position === null ? null : Number(this.position);
    const reads = this.plain ? {} : { tables: VERSIONS.map(Number) };
    return { type: "hello", guard: this.name, genesis: this.genesis, position, ...reads };
  }
  /** Give a ping; send it at once, and one every quarter of a lease. */
  ping() {
    this.sent.set(++this.seq, this.clock());
    return { type: "ping", seq: Number(this.seq) };
  }
  /** Take a frame. It throws when the connection has to end; the next one starts anew. */
  receive(frame: string | Uint8Array): void {
    try {
      if (typeof frame !== "string") return this.part(frame);
      const message = parse(frame);
      must(message, typeof message === "object" && !Array.isArray(message), "not an object");
      if (message.type === "snapshot") this.snapshot(message);
      else if (message.type === "delta") this.delta(message);
      else if (message.type === "table") this.begin(message);
      else if (message.type === "pong") this.pong(message);
    } catch (error) {
      this.forget();
      throw error;
    }
  }
  private snapshot({ genesis, facts, more, offset, vocabulary }: any): void {
    if (this.position !== null) this.forget(); // the server cannot go on from our position
    if (this.genesis === null)
      [this.genesis, this.table] = [text(genesis), new Table(vocabulary ?? {})];
    must(genesis, genesis === this.genesis && typeof more === "boolean", "not of this snapshot");
    this.table.apply(list(facts).map(read));
    if (!more) this.complete(natural(offset));
    this.plain &&= more;
  }
  private begin(message: any): void {
    if (this.genesis !== null) this.forget();
    this.plain = true; // unless it can be read
    [this.genesis, this.table] = [text(message.genesis), new Table(message.vocabulary ?? {})];
    this.coming = { table: new ComingTable(message), offset: natural(message.offset) };
    this.plain = false;
  }
  private part(bytes: Uint8Array): void {
    must(bytes, this.coming !== null, "no table is on its way");
    const { table, offset } = this.coming!;
    this.plain = true;
    if (table.take(bytes)) {
      this.table.adopt(table.facts());
      this.coming = null;
      this.complete(offset);
    }
    this.plain = false;
  }
  private complete(position: bigint): void {
    const { last } = this;
    if (last && (this.cut || last.genesis !== this.genesis || position < last.position))
      this.kept.push(last.table);
    [this.position, this.last, this.cut] = [position, null, false];
    this.applied(null);
  }
  private delta({ from, to, facts }: any): void {
    must(from, natural(from) === this.position && natural(to) >= from, "a gap");
    const fresh = list(facts).map(read);
    this.table.apply(fresh);
    this.position = to;
    this.applied(touched(fresh));
  }
  private pong({ seq, genesis, end, remaining_ms }: any): void {
    const remaining = natural(remaining_ms) * MILLISECOND, now = this.clock();
    if (this.genesis === null && text(genesis)) return; // before the first chunk it proves nothing
    must(genesis, genesis === this.genesis, "another log");
    this.cut ||= natural(end) < (this.position ?? 0n);
    must(end, this.position === null || !this.cut, "the log lost its tail");
    const sent = this.sent.get(natural(seq)) ?? -this.lease; // never sent: proves nothing
    const proof = { end, until: sent + least(remaining, this.lease) };
    this.proofs = [...this.proofs.filter((p) => p.until > now), proof];
    for (const [old, at] of this.sent)
      if (old === seq || at + this.lease <= now) this.sent.delete(old);
  }

  /** The time (ns, of the clock) until which the lease holds; it may be over. */
  deadline(): bigint {
    const proven = this.proofs.filter((p) => p.end <= (this.position ?? -1n));
    return proven.reduce((latest, p) => (p.until > latest ? p.until : latest), NEVER);
  }
  leased(): boolean {
    return this.clock() < this.deadline();
  }

  /** Judge by the table alone, whatever the lease; `seen` gets what the answer depends on. */
  examine(presented: Presented, scope: string | null, seen?: Set<string>): string | null {
    try {
      const { identifiers, chain: acting = [] } = presented;
      must(identifiers, identifiers.length <= 64 && acting.length <= 32, "too large");
      const [names, chain] = [identifiers, acting].map((all) => all.map(identifier));
      const issued = presented.issued_at ?? null;
      const reason = this.table.judge(names, chain, issued, this.time(), scope, seen);
      if (!doubtful(reason)) return reason;
      // Before anything expired: that has no cause, and may hide one that has.
      const earlier = this.kept.map((old) => old.judge(names, chain, issued, 0n, scope));
      return earlier.find((of) => !doubtful(of)) ?? reason;
    } catch {
      return "unreadable"; // what cannot be read is denied
    }
  }
  /** The time (ns since 1970) at which the first of these expires after `now`. */
  nextExpiry(names: Iterable<string>, now: bigint): bigint | null {
    return this.table.nextExpiry(names, now);
  }
  /** Whether the table is one of the log, and not a part of one. */
  whole(): boolean {
    return this.position !== null;
  }
  /** The log, and the position up to which the table has it; null: it is not whole. */
  place(): [string, bigint] | null {
    return this.position === null ? null : [this.genesis!, this.position];
  }
  /** The clock of the lease, ns. */
  now(): bigint {
    return this.clock();
  }
  /** Called when facts with these names were applied; null: with any names. */
  protected applied(_names: Set<string> | null): void {}

  /** Judge what was presented and verified; `atLeast` is a token of `POST /v1/revocations`. */
  check(presented: Presented, scope: string | null = null, atLeast: string | null = null): Verdict {
    let reason = this.examine(presented, scope);
    const [, genesis, offset] = /^(.+):0:([0-9]+)$/s.exec(atLeast ?? "") ?? [];
    if (atLeast !== null && (genesis !== this.genesis || BigInt(offset) > (this.position ?? -1n)))
      reason ??= "not_yet_applied";
    const now = this.clock(); // last: the process may have been stopped meanwhile
    if (now >= this.deadline()) reason ??= "no_lease";
    return { allowed: reason === null, reason: reason ?? "lives" };
  }
}

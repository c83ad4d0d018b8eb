// A guard whose log, clocks and lease a test moves.
import { LiveGuard } from "../live.ts";

export const LEASE = 1_000_000_000n; // ns
export const NAME = "vault.accessor:one", PARENT = "vault.accessor:parent";
const SAID = { authority: "vault", version: 1, received_at: 1 };

export const node = (name: string) => ({ fact: "node", node: name, ...SAID });
export const edge = (child: string, parent: string) => ({ fact: "edge", child, parent, ...SAID });
export const revoke = (target: string) => ({
  fact: "cause", target, effect: "revoke", at: 1, ...SAID });
export const expires = (name: string, at: number) => ({
  fact: "renewal", node: name, expires_at: at, ...SAID });

export class Scripted extends LiveGuard {
  static make(...facts: object[]): Scripted {
    const time = { clock: 1n, wall: 1n };
    const guard = new Scripted(LEASE, () => time.clock, () => time.wall);
    guard.times = time;
    guard.start(...facts);
    guard.prove();
    return guard;
  }
  times!: { clock: bigint; wall: bigint };
  private offset = 1;

  start(...facts: object[]): void {
    this.tell({ type: "snapshot", genesis: "g", offset: this.offset, facts, more: false });
  }
  append(...facts: object[]): void {
    this.tell({ type: "delta", from: this.offset, to: ++this.offset, facts });
  }
  /** Get another lease. */
  prove(): void {
    const { seq } = this.ping();
    this.tell({ type: "pong", seq, genesis: "g", end: this.offset, remaining_ms: 60_000 });
  }
  private tell(message: object): void {
    this.receive(JSON.stringify(message));
  }
}

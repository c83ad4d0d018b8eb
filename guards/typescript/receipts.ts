// What a guard reports, so that closure can say of each revocation whether it is enforced.
import { randomUUID } from "node:crypto";

export const PER_LEASE = 10; // receipts of one lease at most, however fast facts come

export type Terms = { lease: number /* ms */; liveSessions: boolean };

/** The receipts of one process, each with a larger number than the one before. */
export class Receipts {
  readonly guard: string;
  private instance = randomUUID(); private sequence = 0; private terms: object;

  constructor(guard: string, { lease, liveSessions }: Terms) {
    this.guard = guard;
    this.terms = {
      status: "registered", lease_ms: Math.ceil(lease), mode: "fail_closed", routes: [],
      live_sessions: liveSessions,
    };
  }
  /** Under which terms it serves; the server takes this before it answers any ping. */
  registered() {
    return this.receipt(this.terms);
  }
  /** Everything of a log below a position is applied, in the table that answers checks. */
  applied(genesis: string, applied: bigint) {
    const sent_at = Math.round(Date.now() * 1e6);
    return this.receipt({ status: "applied", genesis, applied: Number(applied), sent_at });
  }
  /** It allows nothing any more. */
  goodbye() {
    return this.receipt({ status: "goodbye" });
  }
  private receipt(said: object) {
    return { ...said, guard: this.guard, instance: this.instance, sequence: ++this.sequence };
  }
}

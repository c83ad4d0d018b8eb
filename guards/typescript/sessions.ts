// Running sessions, and their end when a credential dies. No timer runs here, and no IO.
import { NEVER, type Guard, type Presented, type Verdict } from "./guard.ts";

export type End = (verdict: Verdict) => void;
type Session = {
  presented: Presented; scope: string | null; end: End;
  suspect: boolean; depends: Set<string>; until: bigint | null;
};

/** What is watched. A fact costs one look-up for each of its names. */
export class Sessions {
  private all = new Set<Session>();
  private byName = new Map<string, Set<Session>>();
  private deadline = NEVER; // the latest lease that held
  private guard: Guard; private lease: bigint;

  constructor(guard: Guard, lease: bigint) {
    [this.guard, this.lease] = [guard, lease];
  }
  get count(): number {
    return this.all.size;
  }

  /** Watch a session; give what forgets it. */
  watch(presented: Presented, scope: string | null, end: End): () => void {
    this.mindTheLease(); // the new session has its lease, not that of the others
    const session = {
      presented, scope, end, suspect: true, depends: new Set<string>(), until: null };
    this.all.add(session);
    return () => void this.strike(session);
  }
  /** Note the names of facts that were applied; null: any session may depend on them. */
  applied(names: Iterable<string> | null): void {
    if (names === null) for (const session of this.all) session.suspect = true;
    else
      for (const name of names)
        for (const session of this.byName.get(name) ?? []) session.suspect = true;
  }
  /** End what may run no longer. */
  look(): void {
    this.mindTheLease();
    if (!this.guard.whole()) return; // half a table says nothing yet
    const now = this.guard.time();
    for (const session of this.all)
      if (session.suspect || (session.until !== null && session.until <= now))
        this.examine(session, now);
  }
  /** End all that is watched. */
  endAll(): void {
    for (const session of this.all) this.over(session, "no_lease");
  }

  // By what held before: a process that was stopped for longer may hold a lease again, and
  // has served without one.
  private mindTheLease(): void {
    if (this.guard.now() >= this.deadline + this.lease) this.endAll();
    const deadline = this.guard.deadline();
    if (deadline > this.deadline) this.deadline = deadline;
  }
  private examine(session: Session, now: bigint): void {
    const seen = new Set<string>();
    const reason = this.guard.examine(session.presented, session.scope, seen);
    if (reason !== null) return this.over(session, reason);
    this.forget(session);
    [session.suspect, session.depends] = [false, seen];
    session.until = this.guard.nextExpiry(seen, now);
    for (const name of seen) {
      const those = this.byName.get(name) ?? new Set();
      this.byName.set(name, those.add(session));
    }
  }
  private forget(session: Session): void {
    for (const name of session.depends) {
      const those = this.byName.get(name);
      those?.delete(session);
      if (those?.size === 0) this.byName.delete(name);
    }
  }
  private strike(session: Session): boolean {
    this.forget(session);
    return this.all.delete(session);
  }
  private over(session: Session, reason: string): void {
    if (!this.strike(session)) return;
    try {
      session.end({ allowed: false, reason });
    } catch (error) { // one faulty function must not keep other sessions alive
      console.error("a function of onDeny failed:", error);
    }
  }
}

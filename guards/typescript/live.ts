// A guard that ends running sessions too.
import { Guard, type Presented } from "./guard.ts";
import { Sessions, type End } from "./sessions.ts";

const LOOKS = 16; // in a lease

export class LiveGuard extends Guard {
  /** Aborted by `close`. */
  readonly closed: AbortSignal;
  /** Why the guard is not fed, as its feed said last. */
  trouble = "no server has answered yet";
  private waiting = new Set<() => void>();
  private closing = new AbortController(); private sessions: Sessions;
  private watches = true;
  private looks: NodeJS.Timeout | null = null; private pause: number;

  /** See `Guard`. */
  constructor(lease: bigint, clock: () => bigint, wall: () => bigint, name?: string) {
    super(lease, clock, wall, name);
    [this.sessions, this.closed] = [new Sessions(this, lease), this.closing.signal];
    this.pause = Number(lease / 1_000_000n) / LOOKS;
  }

  /**
   * Have a running session ended when its credential dies.
   *
   * `end` is called once, at the latest one lease after `check` would deny; without a lease,
   * one lease after the last one ended. Call it after the `check` that allowed the session,
   * with the same scope. The function that is given back must be called when the session is
   * over.
   */
  onDeny(presented: Presented, end: End, scope: string | null = null): () => void {
    if (!this.watches) throw new Error("make the guard without liveSessions: false");
    const over = this.sessions.watch(presented, scope, end);
    if (this.closed.aborted) this.sessions.endAll();
    else this.looks ??= setInterval(() => this.look(), this.pause);
    return over;
  }
  /** Watch no sessions: closure was told so. */
  watchNone(): void {
    this.watches = false;
  }
  /** Wait for the first lease; it throws after `length` ms, with what keeps the guard from it. */
  async ready(length = 10_000): Promise<void> {
    if (this.leased()) return;
    await new Promise<void>((done, fail) => {
      const late = setTimeout(() => {
        this.waiting.delete(over);
        fail(new Error(`no lease after ${length} ms: ${this.trouble}`));
      }, length);
      const over = () => (clearTimeout(late), done());
      this.waiting.add(over);
    });
  }
  /** Stop: from now on everything is denied, and every session ends. */
  close(): void {
    this.closing.abort(new Error("the guard was closed"));
    this.forget();
    this.sessions.endAll();
    this.look();
  }
  override receive(frame: string | Uint8Array): void {
    if (this.closed.aborted) return;
    super.receive(frame);
    if (this.waiting.size === 0 || !this.leased()) return;
    for (const over of this.waiting) over();
    this.waiting.clear();
  }

  protected override applied(names: Set<string> | null): void {
    this.sessions?.applied(names); // not before it is made
  }
  private look(): void {
    this.sessions.look();
    if (this.sessions.count > 0 || this.looks === null) return;
    clearInterval(this.looks);
    this.looks = null;
  }
}

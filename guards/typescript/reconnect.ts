// When a guard connects again. Pauses are random and their limit doubles, so that a
// thousand guards do not come back at the same moment.

const FIRST = 50; // ms; doubles up to the longest
const LONGEST = 1400;
const RESTART = 500; // instead, where the server is back soon
const RESTARTS = 40; // about ten seconds of them
const GOING_AWAY = 1001, BROKEN = 1006; // RFC 6455 section 7.4.1

/** What a feed knows of its attempts. */
export class Reconnect {
  private failures = 0; // attempts and connections since the last that proved something
  private restarting = 0; // pauses left that are short
  private sound = false; // the connection that stands proved something

  /** Note that a connection ended, with the code of its end. */
  ended(code: number): void {
    if (code === GOING_AWAY || (this.sound && code === BROKEN)) this.restarting = RESTARTS;
    this.sound = false;
  }
  /** Note that a connection proved something. */
  proved(): void {
    [this.failures, this.restarting, this.sound] = [0, 0, true];
  }
  /** Milliseconds before the next attempt, which is counted; `random` is in [0, 1). */
  pause(random: number): number {
    const longest = this.restarting > 0 ? RESTART : LONGEST;
    this.restarting = Math.max(0, this.restarting - 1);
    return random * Math.min(longest, FIRST * 2 ** Math.min(this.failures++, 16));
  }
}

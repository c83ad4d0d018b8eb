// A guard of the benchmark load; load_guard.py says what it is asked and what it answers.
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { guardOf } from "../guards/typescript/feed.ts";

const DEADLINE = 300_000; // ms
const SLICE = 16; // families between two looks at the clock
const LOOK = 50; // ms
const LOAD = 5; // checks of what lives in a row, then a pause
const PAUSE = 10; // ms
const LAPSED = new Set(["no_lease", "not_caught_up"]);

type Question = {
  number: number; range: [number, number]; due?: number; until?: number; settled?: boolean;
};

// The clock that the processes of a host share, in seconds.
const monotonic = () => Number(process.hrtime.bigint()) / 1e9;
const tell = (said: object) => process.stdout.write(`${JSON.stringify(said)}\n`);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const order = JSON.parse((await lines.next()).value!);
const guard = guardOf(order.url, order.credential, { name: order.name });
const check = (name: string) => guard.check({ identifiers: [name] });
process.on("SIGTERM", () => {
  guard.close();
  setTimeout(() => process.exit(0), 100); // for the goodbye
});

await guard.ready(DEADLINE);
tell({ ready: true });
void work();
for (let line = await lines.next(); !line.done; line = await lines.next())
  void inTime(JSON.parse(line.value));

async function inTime(question: Question): Promise<void> {
  await pause(Math.max(0, ((question.due ?? 0) - monotonic()) * 1000));
  if (question.settled) await guard.ready(DEADLINE);
  for (;;) {
    const [revoked, lapsed] = await sweep(question);
    if (monotonic() >= (question.until ?? 0))
      return void tell({ number: question.number, over: true, revoked, lapsed });
    await pause(LOOK);
  }
}

/** Check the families once, and tell what is allowed. */
async function sweep({ number, range: [start, end] }: Question): Promise<[number, number]> {
  let revoked = 0, lapsed = 0;
  for (let first = start; first < end; first += SLICE) {
    const at = monotonic(), allowed: string[] = [];
    for (let family = first; family < Math.min(first + SLICE, end); family++)
      for (const name of [`bench.key:p${family}`, `bench.key:c${family}`]) {
        const verdict = check(name);
        if (verdict.allowed) allowed.push(name);
        else if (verdict.reason === "revoked") revoked++;
        else if (LAPSED.has(verdict.reason)) lapsed++;
      }
    if (allowed.length > 0) tell({ number, at, allowed });
    await pause(0);
  }
  return [revoked, lapsed];
}

/** Check what lives, and count where there was no lease. */
async function work(): Promise<void> {
  for (let checks = 0, lapsed = 0, told = monotonic(); ; await pause(PAUSE)) {
    for (let count = 0; count < LOAD; count++)
      if (!check(`bench.key:l${++checks % order.lives}`).allowed) lapsed++;
    if (monotonic() - told > 1) {
      told = monotonic();
      tell({ living: checks, lapsed });
    }
  }
}

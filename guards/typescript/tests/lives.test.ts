// Random lives: what is watched lives on exactly as long as a judgement would allow it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Sessions } from "../sessions.ts";
import { LEASE, Scripted } from "./scripted.ts";

const LIVES = 150, STEPS = 40;
const NAMES = Array.from({ length: 8 }, (_, n) => `${n < 5 ? "vault.accessor" : "person.id"}:${n}`);

/** A generator of numbers in [0, 1) that gives the same ones again (mulberry32). */
const numbers = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

for (const part of [0, 1, 2])
  test(`sessions and judgements agree, ${part}`, () => {
    let ended = 0, spared = 0;
    for (let life = 0; life < LIVES; life++) {
      const random = numbers(part * LIVES + life);
      const one = <T>(of: T[]): T => of[Math.floor(random() * of.length)];
      const some = () => NAMES.filter(() => random() < 0.3);
      const fact = (time: number) => {
        const said = { authority: one(["vault", "idp"]), version: time, received_at: time };
        const relation = one(["requires", "ends_with_parent", "created_by"]);
        return one<object>([
          { fact: "node", node: one(NAMES), issued_at: time, ...said },
          { fact: "node", node: one(NAMES), ...said },
          { fact: "edge", child: one(NAMES), parent: one(NAMES), relation, ...said },
          { fact: "alias", first: one(NAMES), second: one(NAMES), ...said },
          { fact: "owner_set", node: one(NAMES), owners: some(), ...said },
          { fact: "renewal", node: one(NAMES), expires_at: time + 5, ...said },
          { fact: "holds", node: one(NAMES), attribute: one(NAMES), ...said },
          { fact: "cause", target: one(NAMES), effect: one(["suspend", "not_before"]), at: time, ...said },
          { fact: "lift", target: one(NAMES), ...said },
          ...(random() < 0.05 ? [
            { fact: "horizon", ...said },
            { fact: "distrust", suspect: "idp", suspect_key: "", received_from: 1,
              received_to: time, ...said }] : []),
        ]);
      };
      const guard = Scripted.make(...NAMES.map((node) => ({
        fact: "node", node, issued_at: 1, authority: "vault", version: 1, received_at: 1 })));
      const sessions = new Sessions(guard, LEASE);
      (guard as any).applied = (names: Set<string> | null) => sessions.applied(names);
      const living = new Set<{ identifiers: string[] }>();
      for (let step = 2; step < STEPS; step++) {
        guard.times.wall = BigInt(step);
        if (random() < 0.7) guard.append(fact(step));
        const presented = { identifiers: [one(NAMES)] };
        living.add(presented);
        sessions.watch(presented, null, () => (living.delete(presented), ended++));
        const allowed = [...living].filter((each) => guard.examine(each, null) === null);
        sessions.look();
        spared += allowed.length;

        assert.deepEqual([...living], allowed, `life ${life}, step ${step}`);
      }
    }
    assert.ok(ended > LIVES && spared > LIVES, `${ended} ended, ${spared} spared`);
  });

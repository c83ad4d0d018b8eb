// Sessions end when their credential dies, and not before.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Sessions } from "../sessions.ts";
import { edge, expires, LEASE, NAME, node, PARENT, revoke, Scripted } from "./scripted.ts";

const OTHER = "vault.accessor:other";

function watched(...facts: object[]) {
  const guard = Scripted.make(node(NAME), node(PARENT), edge(NAME, PARENT), ...facts);
  const sessions = new Sessions(guard, LEASE), reasons: string[] = [];
  (guard as any).applied = (names: Set<string> | null) => sessions.applied(names);
  const over = sessions.watch({ identifiers: [NAME] }, null, ({ reason }) => reasons.push(reason));
  sessions.look();
  return { guard, sessions, reasons, over };
}

test("the end of a parent ends it, once", () => {
  const { guard, sessions, reasons } = watched();
  guard.append(revoke(OTHER));
  sessions.look();
  assert.deepEqual(reasons, []);
  guard.append(revoke(PARENT));
  sessions.look();
  sessions.look();

  assert.deepEqual(reasons, ["revoked"]);
  assert.equal(sessions.count, 0);
});

test("a parent that it gets later ends it too", () => {
  const { guard, sessions, reasons } = watched(node(OTHER));
  guard.append(edge(PARENT, OTHER));
  sessions.look();
  guard.append(revoke(OTHER));
  sessions.look();

  assert.deepEqual(reasons, ["revoked"]);
});

test("facts on other names cost no judgement", () => {
  const { guard, sessions } = watched();
  let judged = 0;
  const examine = guard.examine.bind(guard);
  guard.examine = (...all) => (judged++, examine(...all));
  guard.append(node(OTHER), revoke(OTHER));
  sessions.look();
  assert.equal(judged, 0);
  guard.append(expires(PARENT, 10 ** 9));
  sessions.look();

  assert.equal(judged, 1);
});

test("its expiry ends it, without any news", () => {
  const { guard, sessions, reasons } = watched(expires(NAME, 100));
  guard.times.wall = 99n;
  sessions.look();
  assert.deepEqual(reasons, []);
  guard.times.wall = 100n;
  sessions.look();

  assert.deepEqual(reasons, ["expired"]);
});

test("a death that another table tells of ends it", () => {
  const { guard, sessions, reasons } = watched();
  guard.start(node(NAME), revoke(NAME));
  sessions.look();

  assert.deepEqual(reasons, ["revoked"]);
});

test("without a lease it ends one lease after the last one", () => {
  const { guard, sessions, reasons } = watched();
  guard.times.clock = 2n * LEASE;
  sessions.look();
  assert.deepEqual(reasons, []);
  guard.times.clock = 2n * LEASE + 1n;
  sessions.look();

  assert.deepEqual(reasons, ["no_lease"]);
});

test("a process that was stopped for long has served without a lease", () => {
  const { guard, sessions, reasons } = watched();
  guard.times.clock = 5n * LEASE;
  guard.prove(); // before the first look
  sessions.look();

  assert.deepEqual(reasons, ["no_lease"]);
});

test("one that is over is not ended, and leaves nothing behind", () => {
  const { guard, sessions, reasons, over } = watched();
  over();
  guard.append(revoke(NAME));
  sessions.look();

  assert.deepEqual(reasons, []);
  assert.deepEqual([...(sessions as any).byName], []);
});

test("a function that fails keeps no other session alive", (t) => {
  const { guard, sessions, reasons } = watched();
  const said = t.mock.method(console, "error", () => {});
  for (let i = 0; i < 2; i++)
    sessions.watch({ identifiers: [NAME] }, null, () => { throw new Error("faulty"); });
  sessions.look();
  guard.append(revoke(NAME));
  sessions.look();

  assert.deepEqual([reasons, said.mock.callCount()], [["revoked"], 2]);
});

test("it is ready with its first lease, and says why it is not", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const guard = Scripted.make(node(NAME));
  await guard.ready();
  guard.times.clock += LEASE;
  const [late, again] = [assert.rejects(guard.ready(5), /refused/), guard.ready(1000)];
  guard.trouble = "refused";
  t.mock.timers.tick(5);
  await late;
  guard.prove();
  await again;
});

test("a guard that is closed ends its sessions, and denies", () => {
  const guard = Scripted.make(node(NAME)), reasons: string[] = [];
  const presented = { identifiers: [NAME] };
  const watch = () => guard.onDeny(presented, ({ reason }) => reasons.push(reason));
  watch();
  guard.close();
  watch();

  assert.deepEqual(reasons, ["no_lease", "no_lease"]);
  assert.equal(guard.check(presented).allowed, false);
});

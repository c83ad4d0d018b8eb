"""A lease over a relay is no longer than one from the log itself, whatever is delayed.

One clock of this machine judges. A guard that holds a lease has applied every fact that
was accepted a lease ago or earlier: the shorter one of its own and of the relay's. And
what was accepted before closure could know the guard it has applied in any case.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from attrs import Factory, define, field

from enforcement.standing import Freshness
from tests.unit.test_kafka_relay import GENESIS, MS, Relayed, raw

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.property

WORLDS, STEPS = 30, 400
RELAY_LEASE = 1000 * MS


@define
class World:
    """A log, a relay that is late with everything, and a guard that is, too.

    Attributes:
        appended: when each offset was, and whether it holds a fact.
        since: when the guard was registered, as the relay knows it.
        due: what happens later, and when.
        checked: how often the guard held a lease while a fact was missing.
    """

    random: Random
    lease: int
    relayed: Relayed = field(factory=Relayed)
    appended: list[tuple[int, bool]] = Factory(list)
    since: int | None = None
    due: list[tuple[int, Callable[[], None]]] = Factory(list)
    guard: Freshness = field(init=False)
    held: int = 0
    checked: int = 0

    def __attrs_post_init__(self) -> None:
        """Connect the guard to an empty log."""
        self.guard = Freshness(self.lease, lambda: self.relayed.now)
        replica = self.guard.begin()
        start = {"genesis": GENESIS, "facts": [], "offset": 0, "more": False}
        for _ in replica.snapshot(start):
            pass
        self.guard.offer(replica)

    def later(self, act: Callable[[], None], most: int) -> None:
        """Let something happen after a random time."""
        self.due.append((self.relayed.now + self.random.randrange(most * MS), act))

    def step(self) -> None:
        """Let a moment pass, and everybody do something or nothing."""
        self.relayed.now += self.random.randrange(1, 60) * MS
        now = self.relayed.now
        for each in sorted((d for d in self.due if d[0] <= now), key=lambda d: d[0]):
            self.due.remove(each)
            each[1]()
        acts = [self.append, self.append, self.read, self.read, self.ask, self.ping,
                self.feed, self.feed, self.register]  # fmt: skip
        self.random.choice(acts)()
        self.judge()

    def append(self) -> None:
        """Accept a fact, or a heartbeat."""
        self.appended.append((self.relayed.now, self.random.random() < 0.4))

    def read(self) -> None:
        """Have the relay read on, not always to the end."""
        log = self.relayed.log
        start = log.replica.next
        end = self.random.randint(start, len(self.appended))
        if self.random.random() < 0.7:
            end = len(self.appended)
        facts = [raw(at) for at in range(start, end) if self.appended[at][1]]
        self.relayed.read(end, *facts)
        beats = [at for at in range(start, end) if not self.appended[at][1]]
        for at in beats:
            log.standing.lease.beat(at)
        log.standing.refresh()

    def ask(self) -> None:
        """Have the relay ask for the end; the answer is of a moment in between."""
        sent, log = self.relayed.now, self.relayed.log

        def answered() -> None:
            end = len(self.appended)

            def arrived() -> None:
                log.standing.lease.ended(sent, end)
                log.standing.refresh()

            self.later(arrived, 150)

        self.later(answered, 150)

    def register(self) -> None:
        """Acknowledge the registration, late at times."""
        if self.since is None and self.random.random() < 0.2:
            self.since = self.relayed.now

    def ping(self) -> None:
        """Have the guard ping; the relay answers what it can, and that takes time."""
        seq = self.guard.ping()

        def answered() -> None:
            log = self.relayed.log
            end = log.end_from(self.guard.replica.position or 0)
            remaining = log.remaining(self.since, self.lease)

            def arrived() -> None:
                replica = self.guard.replica
                # Frames and pongs keep their order on a connection.
                if replica.position is not None and end >= replica.position:
                    self.guard.pong(replica, seq, GENESIS, end, remaining)

            self.later(arrived, 150)

        self.later(answered, 150)

    def feed(self) -> None:
        """Send the guard what the relay has."""
        replica, log = self.guard.replica, self.relayed.log
        while replica.position is not None and replica.position < log.end:
            frame = log.frame(replica.position)
            assert frame is not None
            message: dict[str, Any] = orjson.loads(frame.text)
            for _ in replica.delta(message):
                pass
            if self.random.random() < 0.2:
                break
        self.guard.refresh()

    def judge(self) -> None:
        """Hold what the guard may rely on against the log."""
        if not self.guard.holds():
            return
        position, now = self.guard.replica.position or 0, self.relayed.now
        self.held += 1
        missing = [at for at, fact in self.appended[position:] if fact]
        self.checked += bool(missing)
        for accepted in missing:
            assert now - accepted < min(self.lease, RELAY_LEASE)
            assert self.since is not None
            assert accepted >= self.since


@pytest.mark.parametrize("lease", [700, 1000, 5000])
def test_no_fact_of_a_lease_ago_is_missing(lease: int) -> None:
    """In many worlds, of which some hold a lease over a fact that is on its way."""
    worlds = [World(Random(f"{lease}/{n}"), lease * MS) for n in range(WORLDS)]
    for world in worlds:
        for _ in range(STEPS):
            world.step()

    assert sum(each.held for each in worlds) > 100
    assert sum(each.checked for each in worlds) > 50

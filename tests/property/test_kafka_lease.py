"""The lease on Kafka, against a log with leaders that are cut off and late answers.

Checked after every step: while the lease holds, everything that any leader accepted
more than a lease ago is applied. What the guard sees may be as late as it likes.
"""

from __future__ import annotations

from typing import Final

import pytest
from attrs import Factory, define
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enforcement.kafka.replica import Beat, LogReplica
from enforcement.kafka.standing import LogStanding, Question

pytestmark = pytest.mark.property

LEASE: Final = 100
STEPS: Final = ("fact", "beat", "ask", "answer", "apply", "all", "cut", "wait")


@define
class World:
    """A partition, its guard, and all that is on the way between them.

    Attributes:
        records: at what the guard takes for the leader: accept time, heartbeat or not.
        cut_at: from then on, another leader accepts.
        missed: when that one accepted something for the first time.
        asked: questions whose answer is on the way, and the end that it tells.
    """

    now: int = 1_000
    records: list[tuple[int, bool]] = Factory(list)
    cut_at: int | None = None
    missed: int | None = None
    asked: list[tuple[Question, int]] = Factory(list)
    applied: int = 0
    replica: LogReplica = Factory(lambda: LogReplica("acme"))
    standing: LogStanding = Factory(
        lambda self: LogStanding(LEASE, LogReplica("acme"), lambda: self.now),
        takes_self=True,
    )

    def begin(self) -> None:
        """Bring the guard to where it follows the log."""
        self.replica.begin("g1", 0, 0)
        self.standing.identify("g1")
        self.standing.offer(self.replica)

    def step(self, kind: str, number: int) -> None:
        """Do one thing."""
        if kind in ("fact", "beat"):
            self.accept(beat=kind == "beat")
        elif kind == "ask":
            # The end is measured now; the answer may take its time.
            self.asked.append((self.standing.ask(), len(self.records)))
        elif kind == "answer" and self.asked:
            question, end = self.asked.pop(number % len(self.asked))
            self.standing.ended(question, end)
        elif kind == "apply":
            self.apply(1 + number % 3)
        elif kind == "all":
            self.apply(len(self.records))
        elif kind == "cut" and self.cut_at is None:
            self.cut_at = self.now
        elif kind == "wait":
            self.now += number

    def accept(self, *, beat: bool) -> None:
        """Accept a record, at the new leader where the old one was cut off."""
        if self.cut_at is None:
            self.records.append((self.now, beat))
        elif self.missed is None and not beat:
            self.missed = self.now

    def apply(self, count: int) -> None:
        """Have the next records arrive."""
        upto = min(self.applied + count, len(self.records))
        for _ in self.replica.take((), upto):
            pass
        for offset in range(self.applied, upto):
            if self.records[offset][1]:
                self.standing.beat(Beat("g1", offset))
        self.applied = upto
        assert self.standing.sound
        if self.standing.genesis is None:
            self.standing.identify("g1")
        self.standing.refresh()

    def check(self) -> None:
        """Complain of an answer that may be too old."""
        if not self.standing.holds():
            return
        due = self.now - LEASE
        behind = [at for at, beat in self.records[self.applied :] if not beat]
        assert all(at > due for at in behind), "a fact that it should know is missing"
        if self.missed is not None:
            assert self.missed > due, "it trusts a leader that was cut off"


steps = st.lists(
    st.tuples(st.sampled_from(STEPS), st.integers(0, 90)), min_size=4, max_size=60
)


Done = list[tuple[str, int]]
LONG: Done = [("wait", 90), ("wait", 60)]  # more than a lease
# A heartbeat waits on its way while another leader takes over.
CUT_OFF: Done = [
    ("beat", 0), ("cut", 0), ("fact", 0), *LONG, ("ask", 0), ("answer", 0), ("all", 0)
]  # fmt: skip
# An answer waits on its way while a fact does, too.
LATE: Done = [("ask", 0), ("beat", 0), ("fact", 0), ("apply", 0), *LONG, ("answer", 0)]
# All that the old leader has is applied, and it goes on answering.
ALONE: Done = [*CUT_OFF[:-1], ("all", 0), *LONG, ("ask", 0), ("answer", 0)]


@example(CUT_OFF)
@example(LATE)
@example(ALONE)
@settings(max_examples=500, derandomize=True)
@given(steps)
def test_while_it_holds_nothing_older_than_a_lease_is_missing(
    done: Done,
) -> None:
    """Whatever is late, lost or cut off."""
    world = World()
    world.begin()
    for kind, number in done:
        world.step(kind, number)
        world.check()


@settings(max_examples=50, derandomize=True)
@given(st.lists(st.integers(0, 20), min_size=12, max_size=12))
def test_a_log_that_is_well_keeps_the_lease(delays: list[int]) -> None:
    """Questions and heartbeats each quarter of a lease are enough, give or take."""
    world = World()
    world.begin()
    for number, delay in enumerate(delays):
        world.step("ask", 0)
        world.now += 2
        world.step("answer", 0)
        world.now += delay // 2
        world.step("beat", 0)
        world.step("all", 0)
        world.now += 23 - delay // 2
        if number > 0:
            assert world.standing.holds()

"""What each engine must do with causes and receipts: the same cases for both.

A module of an engine's tier subclasses the cases and gives them ``followed``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from streams.stages.closure.closure import GuardMode, ProofState
from streams.stages.sentinel.evidence import PointEvidence
from streams.stages.sentinel.points import NOBODY

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from streams.stages.closure.results import Result

SECOND = 10**9
LEASE = SECOND
DEADLINE = 30.0
LATE = 40  # seconds
LEASES_OF_SILENCE = 11
GENESIS = "g" * 32
MODES = {
    "open": GuardMode.FAIL_OPEN,
    "shut": GuardMode.FAIL_CLOSED,
    "watch": GuardMode.OBSERVE,
}


def target(name: str) -> str:
    """Write the identifier that a name stands for in these cases."""
    return f"agent.id:{name}"


class Transitions:
    """Findings on targets, as they opened and ended."""

    def __init__(self) -> None:
        """Start with none."""
        self.told: list[tuple[str, bool]] = []

    def take(self, presented: Identifier, *, is_open: bool) -> None:
        """Take what is said of a finding; that it goes on is no news."""
        before = [known for name, known in self.told if name == presented.value]
        if is_open != (before[-1] if before else False):
            self.told.append((presented.value, is_open))


class Followed(Protocol):
    """Guards and causes of one realm on an engine, at times that a test sets."""

    async def says(
        self, guard: str, status: str, applied: int = 0, genesis: str = GENESIS
    ) -> None:
        """Have a guard of `MODES` report; of its causes the first has offset 0."""
        ...

    async def removes(self, guard: str) -> None:
        """Let a guard go as an operator does."""
        ...

    async def revoke(self, name: str) -> str:
        """Accept a cause on a target; give its id."""
        ...

    async def wait(self, seconds: int) -> None:
        """Let time pass, and see what became of the causes."""
        ...

    async def state(self, identity: str) -> tuple[ProofState, tuple[str, ...]] | None:
        """Give the state of a cause, and the laggards."""
        ...

    async def listed(
        self, before: int | None, limit: int, *, is_open: bool
    ) -> list[Result]:
        """List causes, the newest first."""
        ...

    def arrivals(self, offset: int) -> list[str]:
        """Name the guards that showed that they applied a cause, sorted."""
        ...

    async def restart(self, *, saved: bool) -> None:
        """Die, right after all was saved or right before, and start again."""
        ...

    async def told(self) -> list[tuple[str, bool]]:
        """Give what was told of targets that were late, in its order."""
        ...

    def evidence(self, guard: str, as_of: int, seconds: int) -> PointEvidence:
        """Say what receipts tell of a guard's point at a time after the start."""
        ...


PENDING, PARTIAL = ProofState.PENDING, ProofState.PARTIAL
CLOSED = (ProofState.CLOSED, ())
saved_or_not = pytest.mark.parametrize("saved", [True, False])


class ClosureCases:
    """Contract of the engines about causes that are followed until they are closed."""

    async def test_a_cause_is_closed_by_a_larger_offset_alone(
        self, followed: Followed
    ) -> None:
        """A receipt says what the next fact will be; and of another log, nothing."""
        await followed.says("open", "registered")
        first, second = await followed.revoke("a"), await followed.revoke("b")
        await followed.says("open", "applied", 2, genesis="another")
        assert (PENDING, ("open",)) == await followed.state(first)
        await followed.says("open", "applied", 1)
        assert CLOSED == await followed.state(first)
        assert (PENDING, ("open",)) == await followed.state(second)

    async def test_of_a_cause_that_nobody_enforces_nothing_is_known(
        self, followed: Followed
    ) -> None:
        """Nor later: who registers then, or only observes, is no member of it."""
        await followed.says("watch", "registered")
        identity = await followed.revoke("a")
        assert (ProofState.UNKNOWN, ()) == await followed.state(identity)
        await followed.says("open", "registered")
        assert (ProofState.UNKNOWN, ()) == await followed.state(identity)
        assert await followed.state("nobody's") is None

    async def test_causes_are_listed_from_the_newest_back(
        self, followed: Followed
    ) -> None:
        """Whatever became of them; those that are open also by themselves."""
        await followed.says("open", "registered")
        await followed.says("shut", "registered")
        names = [await followed.revoke(name) for name in "abc"]
        await followed.says("open", "applied", 2)
        await followed.says("shut", "applied", 1)
        assert (PENDING, ("shut",)) == await followed.state(names[1])

        rows = await followed.listed(None, 9, is_open=False)
        assert names[::-1] == [each.cause.id for each in rows]
        states = [each.outcome.state for each in rows]
        assert [PENDING, PENDING, ProofState.CLOSED] == states
        rows = await followed.listed(None, 1, is_open=False)
        last = rows[-1].cause.offset
        rest = await followed.listed(last, 9, is_open=False)
        assert names[::-1] == [each.cause.id for each in [*rows, *rest]]
        rows = await followed.listed(None, 9, is_open=True)
        assert names[:0:-1] == [each.cause.id for each in rows]
        assert names[1] == (await followed.listed(last, 1, is_open=True))[0].cause.id
        assert [["open", "shut"], ["open"], []] == [*map(followed.arrivals, range(3))]

    async def test_what_is_open_is_listed_after_a_restart(
        self, followed: Followed
    ) -> None:
        """With what was settled a short while before."""
        await followed.says("open", "registered")
        first, second = await followed.revoke("a"), await followed.revoke("b")
        await followed.says("open", "applied", 1)
        assert CLOSED == await followed.state(first)
        await followed.restart(saved=True)

        rows = await followed.listed(None, 9, is_open=True)
        assert [second] == [each.cause.id for each in rows]
        rows = await followed.listed(None, 9, is_open=False)
        assert [second, first] == [each.cause.id for each in rows]
        assert CLOSED == await followed.state(first)

    async def test_who_registers_after_a_cause_is_not_waited_for(
        self, followed: Followed
    ) -> None:
        """It serves from an end above the cause."""
        await followed.says("open", "registered")
        identity = await followed.revoke("a")
        await followed.says("shut", "registered")
        assert (PENDING, ("open",)) == await followed.state(identity)
        await followed.says("open", "applied", 1)
        assert CLOSED == await followed.state(identity)

    async def test_the_lease_of_a_silent_guard_closes_if_it_fails_closed(
        self, followed: Followed
    ) -> None:
        """And never if it fails open."""
        await followed.says("shut", "registered")
        await followed.says("open", "registered")
        await followed.says("open", "applied", 0)
        first = await followed.revoke("a")
        await followed.wait(1)
        assert (PENDING, ("open", "shut")) == await followed.state(first)
        await followed.wait(1)
        assert (PENDING, ("open",)) == await followed.state(first)
        await followed.wait(LATE)
        assert (PARTIAL, ("open",)) == await followed.state(first)

    @saved_or_not
    async def test_a_restart_loses_no_laggard(
        self, followed: Followed, *, saved: bool
    ) -> None:
        """What was accepted is followed on, whatever was saved of it by then."""
        await followed.says("open", "registered")
        identity = await followed.revoke("a")
        for _ in range(2):
            await followed.restart(saved=saved)
            assert (PENDING, ("open",)) == await followed.state(identity)
        await followed.says("open", "applied", 1)
        assert CLOSED == await followed.state(identity)
        await followed.restart(saved=saved)
        await followed.says("open", "applied", 1)
        assert CLOSED == await followed.state(identity)

    @saved_or_not
    async def test_a_late_target_is_told_once_until_its_last_cause_is_closed(
        self, followed: Followed, *, saved: bool
    ) -> None:
        """Over restarts too: nothing is lost, and nothing doubled."""
        await followed.says("open", "registered")
        await followed.says("open", "applied", 0)
        causes = [await followed.revoke("a") for _ in range(2)]
        await followed.wait(LATE)
        await followed.restart(saved=saved)
        await followed.wait(LATE)
        for each in causes:
            assert (PARTIAL, ("open",)) == await followed.state(each)
        assert [("a", True)] == await followed.told()
        await followed.says("open", "applied", 1)
        assert CLOSED == await followed.state(causes[0])
        assert [("a", True)] == await followed.told()
        await followed.restart(saved=saved)
        await followed.says("open", "applied", 2)
        assert CLOSED == await followed.state(causes[1])
        assert [("a", True), ("a", False)] == await followed.told()
        await followed.restart(saved=saved)
        await followed.wait(LATE)
        assert [("a", True), ("a", False)] == await followed.told()

    @pytest.mark.parametrize("leaves", ["goodbye", "removed"])
    async def test_who_left_is_waited_for_no_more(
        self, followed: Followed, leaves: str
    ) -> None:
        """Nor after a restart; an operator's word is kept at once."""
        await followed.says("open", "registered")
        await followed.says("shut", "registered")
        identity = await followed.revoke("a")
        assert (PENDING, ("open", "shut")) == await followed.state(identity)
        if leaves == "removed":
            await followed.removes("open")
        else:
            await followed.says("open", "goodbye")
        assert (PENDING, ("shut",)) == await followed.state(identity)
        await followed.restart(saved=leaves == "goodbye")
        assert (PENDING, ("shut",)) == await followed.state(identity)

    async def test_receipts_are_evidence_at_their_points_over_a_restart(
        self, followed: Followed
    ) -> None:
        """Of who serves and since when it knew, who observes, and who fell silent."""
        await followed.says("shut", "registered")
        await followed.says("watch", "registered")
        await followed.revoke("a")
        await followed.wait(5)
        await followed.says("shut", "applied", 1)
        knew = followed.evidence("shut", 1, 6)
        assert knew.reports
        assert knew.knew_at is not None
        for _ in range(2):
            assert knew == followed.evidence("shut", 1, 6)
            assert PointEvidence(reports=True) == followed.evidence("shut", 2, 6)
            assert PointEvidence(observes=True) == followed.evidence("watch", 1, 6)
            assert NOBODY == followed.evidence("open", 1, 6)
            await followed.restart(saved=True)
        await followed.wait(LEASES_OF_SILENCE)
        assert NOBODY == followed.evidence("shut", 1, 5 + 2 * LEASES_OF_SILENCE)

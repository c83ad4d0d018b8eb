"""The causes of a realm, followed until they are closed, on both engines.

An engine reads causes (`RealmCauses.follow`), then learns where the receipts end and
says so (`Closure.ask`), applies receipts to the stage, and steps as they come in and as
time passes (`judge`). How outcomes and signals become durable is the engine's: rows and
a position in one transaction, or records that are acknowledged before a position is
committed, from which the next owner reads again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from heapq import nlargest
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from streams.observability import tracing
from streams.observability.metrics import PROPAGATION
from streams.services.traced_stages import trace_closure
from streams.stages.closure import results as signals
from streams.stages.closure.closure import Closure, ProofState
from streams.stages.closure.results import Result, Revocation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator

    from prometheus_client import Histogram

    from streams.model.findings import FindingKind

TICK: Final = 0.05  # seconds between two looks at the clock while a cause waits
IDLE: Final = 1.0
# Receipts of many guards come together; one step takes them all.
PAUSE: Final = 0.002
PAUSE_PER_GUARD: Final = 20e-6


@define(eq=False)
class ClosureTally:
    """What is counted over all realms of a process.

    Attributes:
        states: how many causes reached a state, of those that came in meanwhile.
        refused: receipts that were not counted, by reason.
        propagation: seconds from acceptance until every guard had applied it, or could
            allow nothing without it.
        findings: how many were opened, by kind.
    """

    states: Counter[ProofState] = field(factory=Counter)
    refused: Counter[str] = field(factory=Counter)
    propagation: Histogram = field(factory=PROPAGATION.histogram)
    findings: Counter[FindingKind] = field(factory=Counter)


@define(eq=False)
class RealmCauses:
    """The open causes of one realm, and what became of those before.

    Attributes:
        closure: the stage, with the guards.
        deadline: seconds after which a cause that is not closed is a finding.
        placed: gives the name of a guard with the points where it stands.
        tally: where it is counted.
        open: by their offsets, in their order.
        results: of settled and of late causes, by offset, until they are forgotten.
        offsets: id of a cause to the offset of its first copy that is not forgotten.
        targets: of open causes.
    """

    closure: Closure
    deadline: float
    placed: Callable[[str], str]
    tally: ClosureTally
    open: dict[int, Revocation] = field(factory=dict)
    results: dict[int, Result] = field(factory=dict)
    offsets: dict[str, int] = field(factory=dict)
    targets: signals.Open = field(factory=signals.Open)

    def follow(
        self, causes: Iterable[Revocation], now: int, *, late: bool = False
    ) -> None:
        """Follow causes; then the end of the receipts must be asked for.

        Args:
            causes: in the order of their offsets, larger than all before.
            now: when they were read, by a clock that nobody sets (ns).
            late: their deadline passed before a restart.
        """
        for each in causes:
            self.open[each.offset] = each
            self.targets.add(each.target, late=late)
            self.offsets.setdefault(each.id, each.offset)
            self.closure.read([each.offset], now, late=late)

    def step(
        self, now: int, wall: int, new: int = 0
    ) -> Iterator[tuple[Result, dict[str, Any] | None]]:
        """See what became of the causes.

        Args:
            now: ns of a clock that nobody sets.
            wall: the time (ns).
            new: causes of a lower offset were counted by an earlier owner.

        Yields:
            Each change, and the signal that it makes.
        """
        for outcome in self.closure.step(now):
            cause = self.open[outcome.offset]
            result = Result(cause, outcome, wall)
            self.results[outcome.offset] = result
            if cause.offset >= new:
                self._count(result)
            if outcome.state is ProofState.PARTIAL:
                self.targets.late(cause.target)
                yield result, signals.signal(result, self.deadline, self.placed)
                continue
            del self.open[outcome.offset]
            is_over = self.targets.settle(cause.target)
            yield result, signals.over(cause.target, wall) if is_over else None

    def result(self, identity: str, now: int, wall: int) -> Result | None:
        """Say what is known of a cause; None where it is not known here any more."""
        offset = self.offsets.get(identity)
        if offset is None:
            return None
        return self._known(offset, now, wall)

    def latest(
        self, before: int | None, limit: int, now: int, wall: int, *, is_open: bool
    ) -> list[Result]:
        """List what is known of causes here, the newest first.

        Args:
            before: offset that all of them lie below; None: any.
            limit: most causes.
            now: ns of a clock that nobody sets.
            wall: the time (ns).
            is_open: only what is not settled.
        """
        end = inf if before is None else before
        offsets = set(islice((o for o in reversed(self.open) if o < end), limit))
        if not is_open:
            offsets.update(nlargest(limit, (o for o in self.results if o < end)))
        found = (self._known(each, now, wall) for each in nlargest(limit, offsets))
        return [each for each in found if each is not None]

    def known(self, now: int, wall: int) -> Iterator[Result]:
        """Yield what is known of causes here, the oldest first; it may be paused."""
        for offset in sorted({*self.open, *self.results}):
            found = self._known(offset, now, wall)
            if found is not None:
                yield found

    def forget(self, result: Result) -> None:
        """Let a result go that is kept elsewhere or was kept for long enough."""
        offset, identity = result.cause.offset, result.cause.id
        if self.results.get(offset) is not result:
            return  # there is news of it
        del self.results[offset]
        if offset not in self.open and self.offsets.get(identity) == offset:
            del self.offsets[identity]

    def _known(self, offset: int, now: int, wall: int) -> Result | None:
        outcome = self.closure.look(offset, now)
        if outcome is None:
            return self.results.get(offset)
        return Result(self.open[offset], outcome, wall)

    def _count(self, result: Result) -> None:
        cause, outcome = result.cause, result.outcome
        self.tally.states[outcome.state] += 1
        trace_closure(result)
        enforced = outcome.applied or outcome.fenced
        if outcome.state is ProofState.CLOSED and enforced:
            seconds = signals.seconds_between(cause.accepted_at, result.settled_at)
            self.tally.propagation.observe(seconds, tracing.exemplar_of(cause.id))


async def judge(
    news: asyncio.Event, step: Callable[[], Awaitable[Collection[Closure]]]
) -> None:
    """Step as receipts come and as time passes, until cancelled.

    Args:
        news: set when a step may find something.
        step: sees what became of the causes; gives the stages that it stepped.
    """
    while True:
        news.clear()
        closures = await step()
        guards = sum(len(each.guards) for each in closures)
        await asyncio.sleep(PAUSE + PAUSE_PER_GUARD * guards)
        waiting = any(each.waiting for each in closures)
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK if waiting else IDLE):
                await news.wait()

"""The blast limit: what ends too much at once is paged, or held.

A batch is judged as a whole, once, at ingress, with the table as it is then: its
causes, and whatever else puts something under what has ended. In doubt (the table is
not read yet, or is behind) a revocation is enforced and paged: anything uncertain may
revoke.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import attrs
from attrs import define, field

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Holds,
    LabelSet,
    Node,
    OwnerSet,
    Renewal,
)
from enforcement.turns import undisturbed
from streams.services.approval_queue import FullError
from streams.services.intake import NotWrittenError
from streams.stages.ingest import blast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from agents_registry.facts import Fact
    from agents_registry.registry import Registry
    from streams.services.approval_queue import ApprovalQueue
    from streams.services.intake import PreparedBatch
    from streams.stages.ingest.acts import OperatorAct
    from streams.stages.ingest.approvals import Pending
    from streams.stages.ingest.ingress import Origin

_ENDING: Final = (Alias, Cause, Edge, Holds, LabelSet, Node, OwnerSet, Renewal)
TABLE_SECONDS: Final = 1.0  # that a revocation may wait for the table, at most
HELD: Final = "held, not enforced: it reaches more than {} identifiers"
PAGED: Final = "enforced: it reaches more than {} identifiers"
UNCOUNTED: Final = (
    "enforced: whether it reaches more than {} identifiers could not be counted"
)


class ReachTables(Protocol):
    """Gives the table that reach is counted in."""

    async def current(self) -> Registry | None:
        """Table with all that was acked so far; None: it is not there yet."""


@define
class LimitResult:
    """What a limit let through, and what it did not.

    Attributes:
        facts: positions of those that may be written.
        held: what waits now.
        signals: for findings.
    """

    facts: list[int] = field(factory=list)
    held: list[Pending] = field(factory=list)
    signals: list[dict[str, Any]] = field(factory=list)


class Limit(NamedTuple):
    """How many identifiers a cause may reach, and whether it waits beyond that."""

    most: int
    hold: bool


class OverLimit(NamedTuple):
    """A batch that reaches more than it may.

    Attributes:
        positions: of the facts that are over the limit.
        most: how many identifiers it may reach.
        hold: it waits for a second person.
        counted: there was a table to count in.
    """

    positions: set[int]
    most: int
    hold: bool
    counted: bool

    def told(self, *, hold: bool) -> str:
        """Say what becomes of it, for a finding."""
        if not self.counted:
            return UNCOUNTED.format(self.most)
        return (HELD if hold else PAGED).format(self.most)


@define(eq=False)
class BlastLimit:
    """Holds the causes of one realm against the limits of their authorities.

    Attributes:
        limits: by authority.
        tables: the table of the realm.
        desk: keeps what is held.
    """

    _limits: Mapping[str, Limit]
    _tables: ReachTables
    _desk: ApprovalQueue

    async def sift(self, facts: Sequence[Fact], origin: Origin) -> LimitResult:
        """Part the facts that may be written from those that wait, which are kept.

        Args:
            facts: of one batch.
            origin: of it.

        Raises:
            NotWrittenError: something could not be kept: nothing may be written.
        """
        everything = LimitResult(list(range(len(facts))))
        found = await self.judge(facts, origin)
        if found is None:
            return everything
        over, limit, hold, _ = found
        ending = [
            fact
            for n, fact in enumerate(facts)
            if n in over and isinstance(fact, _ENDING)
        ]
        text = found.told(hold=hold)
        sifted = LimitResult(
            [n for n in everything.facts if not hold or n not in over],
            [blast.held(one, limit) for one in ending if hold],
            [blast.notice(one, text) for one in ending],
        )
        await self._keep(sifted.held, origin)
        return sifted

    async def judge(
        self, facts: Sequence[Fact], origin: Origin, beside: int = 0
    ) -> OverLimit | None:
        """Count what facts reach; None: not more than they may.

        Args:
            facts: of one batch.
            origin: of it.
            beside: how many of the names that an order gives count, too.
        """
        rule = self._limits.get(origin.authority)
        if rule is None or not any(isinstance(one, _ENDING) for one in facts):
            return None
        most, hold = rule
        table = await self._table()
        if table is None:
            found = {n for n, fact in enumerate(facts) if isinstance(fact, Cause)}
            return OverLimit(found, most, hold=False, counted=False) if found else None
        found = await _over(table, facts, most - beside, origin.received_at)
        if beside > most:
            found = set(range(len(facts)))
        return OverLimit(found, most, hold=hold, counted=True) if found else None

    async def paged(
        self, facts: Sequence[Fact], origin: Origin
    ) -> list[dict[str, Any]]:
        """Return the findings on facts that are written whatever they end.

        For declarations of a restorer, which take a second person where so set.
        """
        rule = self._limits.get(origin.authority)
        if rule is None:
            return []
        over = await _over(await self._table(), facts, rule.most, origin.received_at)
        text = PAGED.format(rule.most)
        return [blast.notice(facts[position], text) for position in sorted(over)]

    async def _keep(self, held: Iterable[Pending], origin: Origin) -> None:
        for each in held:
            try:
                await self._desk.keep(each, origin.ingress_key)
            except FullError as error:
                raise NotWrittenError(str(error)) from error

    async def _table(self) -> Registry | None:
        try:
            async with asyncio.timeout(TABLE_SECONDS):
                return await self._tables.current()
        except TimeoutError:
            return None


async def _over(
    table: Registry | None, facts: Sequence[Fact], limit: int, now: int
) -> set[int]:
    """Positions of facts over the limit; a fact that cannot be counted is over it."""
    if table is None:
        return {n for n, fact in enumerate(facts) if isinstance(fact, Cause)}
    return await undisturbed(
        table, lambda: blast.BatchReach(table, facts, limit, now).steps()
    )


async def held_to(
    limit: BlastLimit | None, act: OperatorAct, origin: Origin, beside: int = 0
) -> tuple[OperatorAct, list[dict[str, Any]]]:
    """Have an act wait for a second person where it reaches too much.

    Gives the act, and signals for the finding on it.

    Args:
        limit: None: there is none.
        act: that nothing is written of yet.
        origin: of it.
        beside: how many of the names that it gives count, too.
    """
    over = None if limit is None else await limit.judge(act.facts, origin, beside)
    if over is None:
        return act, []
    signal = blast.notice(act.facts[min(over.positions)], over.told(hold=over.hold))
    reached = f"reaches more than {over.most} identifiers" if over.hold else ""
    return attrs.evolve(act, over=reached), [signal]


async def sifted(
    limit: BlastLimit | None, prepared: PreparedBatch, origin: Origin
) -> PreparedBatch:
    """Take out of a batch what is held, and note what is paged.

    Raises:
        NotWrittenError: something could not be kept.
    """
    if limit is None:
        return prepared
    found = await limit.sift([each.fact for each in prepared.encoded], origin)
    prepared.admission.signals += found.signals
    if not found.held:
        return prepared
    encoded = [prepared.encoded[position] for position in found.facts]
    return attrs.evolve(prepared, encoded=encoded, held=len(found.held))

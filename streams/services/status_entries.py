"""Who has which index of a status list, and how each one is, whatever the engine.

An index is given once, durably, at random. What is at an index is never stored: it is
judged from the table whenever a list is asked for, so that a revoked ancestor is in
the list with nothing to keep in step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from attrs import frozen

from enforcement.turns import undisturbed
from streams.stages.status.status_list import (
    Status,
    StatusEntry,
    StatusList,
    judging_at,
    judging_now,
    policy_for,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

_RANKED = (Status.VALID, Status.SUSPENDED, Status.INVALID)  # the worst one last


class StatusPlace(NamedTuple):
    """Where a credential's status stands."""

    list: str
    idx: int


@frozen
class Known:
    """A list that exists.

    Attributes:
        number: where it is kept; name: for everybody else.
        bits: of one status.
        size: how many indices.
        created_at: ns.
    """

    number: int
    name: str
    bits: int
    size: int
    created_at: int


class StatusEntries(Protocol):
    """The lists of a realm."""

    async def give(self, entry: StatusEntry, bits: int, size: int) -> StatusPlace:
        """Assign an index to an entry; the same is never assigned again.

        Args:
            entry: the credential.
            bits: of a status, where a new list is begun.
            size: how many indices a new list has.

        Raises:
            NotWrittenError: it is not durable; an index may be lost by it.
        """
        ...

    async def lists(self) -> Sequence[Known]:
        """Return every list, the oldest first.

        Raises:
            BehindError: not all is read that any process began.
        """
        ...

    async def find(self, name: str) -> Known | None:
        """Return a list by its name, if there is one.

        Raises:
            BehindError: not all is read that any process began.
        """
        ...

    async def catch_up(self) -> str:
        """Wait until table and entries hold all that was accepted by now.

        Returns:
            The consistency token that the table stands at, or is beyond.

        Raises:
            BehindError: that cannot be known now.
        """
        ...

    async def statuses(self, known: Known, at: int | None) -> StatusList:
        """Judge every entry of a list; others get their turn while it is judged.

        Args:
            known: the list.
            at: as of a past time (ns); None: as of now.
        """
        ...


async def judged(
    known: Known,
    entries: AsyncIterator[tuple[int, StatusEntry]],
    table: Callable[[], Registry],
    now: int,
    at: int | None,
) -> StatusList:
    """Judge the entries of a list.

    Args:
        known: the list.
        entries: index and entry; of several at one index the worst counts.
        table: gives the table of now.
        now: the clock (ns).
        at: as of a past time (ns); None: as of now.
    """
    found = StatusList(known.bits, known.size)
    policy = policy_for(table())
    worst: dict[int, Status] = {}
    async for index, entry in entries:
        registry = table()

        def walk(
            registry: Registry = registry, entry: StatusEntry = entry
        ) -> Steps[Status]:
            if at is None:
                return judging_now(registry, entry, now, policy)
            return judging_at(registry, entry, at)

        status = await undisturbed(registry, walk)
        if status is not Status.VALID:
            worst[index] = max(status, worst.get(index, status), key=_RANKED.index)
            # One bit cannot tell what may be lifted from what is for good.
            found[index] = Status.INVALID if known.bits == 1 else worst[index]
    return found

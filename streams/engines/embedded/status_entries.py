"""Status lists of the embedded server: who has which index, and how each one is.

An index is given once, durably, at random. What is at an index is never stored: it is
judged from the table whenever a list is asked for, so that a revoked ancestor is in
the list with nothing to keep in step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
from attrs import frozen

from enforcement.turns import undisturbed
from streams.engines.embedded.transaction import NewList
from streams.stages.status.status_list import (
    Status,
    StatusEntry,
    StatusList,
    judging_at,
    judging_now,
    policy_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.steps import Steps
    from agents_registry.verdict import Policy
    from streams.engines.embedded.analysis import Analysis
    from streams.engines.embedded.stages import Stages
    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction

PAGE: Final = 500  # entries read at once
MOST_LISTS: Final = 100_000
_KNOWN: Final = "number, name, bits, size, created_at"  # fields of `Known`


class StatusPlace(NamedTuple):
    """Where a credential's status stands."""

    list: str
    idx: int


@frozen
class Known:
    """A list that exists.

    Attributes:
        number: in the file; name: for everybody else.
        bits: of one status.
        size: how many indices.
        created_at: ns.
    """

    number: int
    name: str
    bits: int
    size: int
    created_at: int


class StatusEntries:
    """The lists of one store."""

    def __init__(
        self,
        store: Store,
        stages: Stages,
        clock: Callable[[], int],
        fresh_id: Callable[[], str],
        draw: Callable[[int], int],
        analysis: Analysis,
    ) -> None:
        """Keep lists in a store.

        Args:
            store: where entries lie.
            stages: whose table judges them.
            clock: gives the time (ns).
            fresh_id: gives unique names.
            draw: gives an unpredictable number below another one.
            analysis: the event loop of the stages.
        """
        self._analysis = analysis
        self._store = store
        self._stages = stages
        self._clock = clock
        self._fresh_id = fresh_id
        self._draw = draw

    async def give(self, entry: StatusEntry, bits: int, size: int) -> StatusPlace:
        """Assign an index to an entry; the same is never assigned again.

        Args:
            entry: the credential.
            bits: of a status, where a new list is begun.
            size: how many indices a new list has.

        Raises:
            StoreBusyError: too much waits to be written.
            sqlite3.Error: the file could not be written.
        """
        body = orjson.dumps(entry.to_plain())
        new = NewList(
            name=self._fresh_id(),
            genesis=self._store.genesis,
            bits=bits,
            size=size,
            at=self._clock(),
            draw=self._draw,
        )

        def job(tx: Transaction) -> StatusPlace:
            return StatusPlace(*tx.add_status_entry(body, new))

        return await self._store.write(job, urgent=True)

    async def lists(self) -> list[Known]:
        """Every list, the oldest first."""
        query = f"SELECT {_KNOWN} FROM status_lists ORDER BY number LIMIT ?"  # noqa: S608
        rows = await self._store.read(query, MOST_LISTS)
        return [Known(*row) for row in rows]

    async def find(self, name: str) -> Known | None:
        """List by its name, if there is one."""
        query = f"SELECT {_KNOWN} FROM status_lists WHERE name = ? LIMIT 1"  # noqa: S608
        rows = await self._store.read(query, name)
        return Known(*rows[0]) if rows else None

    async def catch_up(self) -> None:
        """Wait until the table holds all that was accepted by now."""
        await self._stages.loaded.wait()
        await self._stages.wait_applied(self._store.end)

    async def statuses(self, known: Known, at: int | None) -> StatusList:
        """Judge every entry of a list; others get their turn while it is judged.

        In the event loop of the stages: a fact that is half applied could hide a cause.

        Args:
            known: the list.
            at: as of a past time (ns); None: as of now.
        """
        return await self._analysis.run(self._judged, known, at)

    async def _judged(self, known: Known, at: int | None) -> StatusList:
        judged = StatusList(known.bits, known.size)
        policy = policy_for(self._stages.registry)
        query = (
            "SELECT idx, body FROM status_entries WHERE list = ? AND idx > ?"
            " ORDER BY idx LIMIT ?"
        )
        last = -1
        while rows := await self._store.read(query, known.number, last, PAGE):
            for index, body in rows:
                entry = StatusEntry.from_plain(orjson.loads(body))
                status = await self._status(entry, at, policy)
                if status is Status.VALID:
                    continue
                # One bit cannot tell what may be lifted from what is for good.
                judged[index] = Status.INVALID if known.bits == 1 else status
            last = rows[-1][0]
        return judged

    async def _status(
        self, entry: StatusEntry, at: int | None, policy: Policy
    ) -> Status:
        registry, now = self._stages.registry, self._clock()

        def walk() -> Steps[Status]:
            if at is None:
                return judging_now(registry, entry, now, policy)
            return judging_at(registry, entry, at)

        return await undisturbed(registry, walk)

"""Status lists of the embedded server: who has which index, and how each one is.

An index is given once, durably, at random. What is at an index is never stored: it is
judged from the table whenever a list is asked for, so that a revoked ancestor is in
the list with nothing to keep in step.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
from attrs import frozen

from streams.engine.transaction import NewList
from streams.stages.status_list import (
    Entry,
    Status,
    StatusList,
    policy_for,
    status_at,
    status_now,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.engine.stages import Stages
    from streams.engine.store import Store
    from streams.engine.transaction import Transaction

PAGE: Final = 5000  # entries read at once
MOST_LISTS: Final = 100_000
TRIES: Final = 5
_KNOWN: Final = "number, name, bits, size, created_at"  # fields of `Known`


class BehindError(Exception):
    """The table does not hold yet what was accepted; a list would say too much."""


class Place(NamedTuple):
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
    ) -> None:
        """Keep lists in a store.

        Args:
            store: where entries lie.
            stages: whose table judges them.
            clock: gives the time (ns).
            fresh_id: gives unique names.
            draw: gives an unpredictable number below another one.
        """
        self._store = store
        self._stages = stages
        self._clock = clock
        self._fresh_id = fresh_id
        self._draw = draw

    async def give(self, entry: Entry, bits: int, size: int) -> Place:
        """Give an entry an index; the same is never given again.

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

        def job(tx: Transaction) -> Place:
            return Place(*tx.add_status_entry(body, new))

        return await self._store.write(job, urgent=True)

    async def lists(self) -> list[Known]:
        """Give every list, the oldest first."""
        query = f"SELECT {_KNOWN} FROM status_lists ORDER BY number LIMIT ?"  # noqa: S608
        rows = await self._store.read(query, MOST_LISTS)
        return [Known(*row) for row in rows]

    async def find(self, name: str) -> Known | None:
        """Give a list by its name, if there is one."""
        query = f"SELECT {_KNOWN} FROM status_lists WHERE name = ? LIMIT 1"  # noqa: S608
        rows = await self._store.read(query, name)
        return Known(*rows[0]) if rows else None

    async def statuses(
        self, known: Known, at: int | None, patience: float
    ) -> StatusList:
        """Judge every entry of a list.

        Args:
            known: the list.
            at: as of a past time (ns); None: now, with all that was accepted.
            patience: seconds to wait for the table to hold that.

        Raises:
            BehindError: it did not.
        """
        try:
            async with asyncio.timeout(patience):
                await self._stages.loaded.wait()
                await self._stages.wait_applied(self._store.end)
        except TimeoutError as error:
            raise BehindError from error
        for _ in range(TRIES):
            try:
                return await asyncio.to_thread(self._judge, known, at)
            except (RuntimeError, IndexError):
                continue  # facts that are applied meanwhile can disturb a walk
        raise BehindError

    def _judge(self, known: Known, at: int | None) -> StatusList:
        registry, now = self._stages.registry, self._clock()
        policy = policy_for(registry)
        judged = StatusList(known.bits, known.size)
        for index, entry in self._entries(known.number):
            if at is None:
                status = status_now(registry, entry, now, policy)
            else:
                status = status_at(registry, entry, at)
            if status is not Status.VALID:
                # One bit cannot tell what may be lifted from what is for good.
                judged[index] = Status.INVALID if known.bits == 1 else status
        return judged

    def _entries(self, number: int) -> Iterator[tuple[int, Entry]]:
        query = (
            "SELECT idx, body FROM status_entries WHERE list = ? AND idx > ?"
            " ORDER BY idx LIMIT ?"
        )
        last = -1
        while rows := self._store.read_now(query, number, last, PAGE):
            for index, body in rows:
                yield index, Entry.from_plain(orjson.loads(body))
            last = rows[-1][0]

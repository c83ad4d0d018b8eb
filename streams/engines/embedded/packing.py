"""Packs facts into blocks while the server works, one block in each transaction.

A block is made in a thread, of what a read found, and unpacked again to see that it
says the same. The writer only compares the rows with it and puts it in their place. It
may be killed at any point: a fact is a row or in a block, never both, never neither.
Small blocks are merged later, see `merging`.
Rows of an earlier version are packed like those of this one.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from streams.engines.embedded.fact_block import (
    LARGE,
    MOST_BYTES,
    MOST_TAILS,
    PLACES,
    STORED_BYTES,
    TAIL_BYTES,
    FactBlock,
    PlacedFact,
    is_packable,
    pack,
    tail_of,
    unpack,
)
from streams.engines.embedded.fact_rows import END
from streams.engines.embedded.merging import Merging
from streams.engines.embedded.packed_facts import PreparedBlock
from streams.engines.embedded.packed_prints import prints_of
from streams.engines.embedded.readable_spans import ReadableSpans
from streams.engines.embedded.short_rows import stored_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.engines.embedded.fact_rows import Read
    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction

KEEP: Final = 1_000  # facts that stay rows: they are read most
LEAST_FACTS: Final = 16  # of a block, where the file is slow
SPAN: Final = 1_000  # offsets that one read looks through
HELD_SECONDS: Final = 0.01  # of the writer: the next block is half as large
REST_SECONDS: Final = 0.02
LOOK_SECONDS: Final = 1.0
_FIRST: Final = (
    "SELECT offset FROM recent_facts WHERE offset >= ? AND offset < ?"
    " ORDER BY offset LIMIT 1"
)
_NEXT: Final = (
    "SELECT offset, key, value FROM recent_facts"
    " WHERE offset >= ? AND offset < ? AND length(value) <= ? ORDER BY offset LIMIT ?"
)
# Blocks that have a place for an offset, or begin not long after it.
_NEAR: Final = (
    f"SELECT start, {END} FROM fact_blocks"  # noqa: S608 - constant
    f" WHERE start > ? AND start < ? AND {END} > ? ORDER BY start LIMIT 1"
)

log = structlog.get_logger()


class Packable(NamedTuple):
    """What a look found.

    Attributes:
        after: the next look begins there.
        made: a block, where there are facts for a full one.
        more: whether another look may find some.
    """

    after: int
    made: PreparedBlock | None
    more: bool


class Packing:
    """Packs the facts of a store."""

    def __init__(
        self, store: Store, realm: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with small blocks: nobody knows yet how quick the file is.

        Args:
            store: whose facts these are.
            realm: of the log.
            clock: gives seconds.
        """
        self._store = store
        self._realm = realm
        self._clock = clock
        self._spans = ReadableSpans(store)
        self._most = LEAST_FACTS
        self._merging = Merging(store, realm)

    async def run(self) -> None:
        """Pack whatever comes, for ever."""
        while True:
            await self.catch_up()
            await self._merging.catch_up(self._spans.after)
            await asyncio.sleep(LOOK_SECONDS)

    async def catch_up(self) -> None:
        """Pack all that fills blocks, and give the work a rest after each."""
        upto, more = self._store.end - KEEP, True
        while more and self._spans.after < upto:
            look = partial(next_block, realm=self._realm, most=self._most)
            made, more = await self._spans.look(look, upto)
            if made is not None:
                await self._put(made)
                await asyncio.sleep(REST_SECONDS)

    async def _put(self, made: PreparedBlock) -> None:
        """Write a block; how long that held the writer says how large the next is."""

        def job(tx: Transaction) -> tuple[bool, float]:
            begun = self._clock()
            return tx.log.put_block(made), self._clock() - begun

        done, held = await self._spans.write(job, (False, 0.0))
        if not done:
            # Nothing is lost: rows are as good, and larger.
            log.warning("facts_not_packed", start=made.start, end=made.end)
        slow = held > HELD_SECONDS
        most = self._most // 2 if slow else self._most * 2
        self._most = min(max(most, LEAST_FACTS), PLACES)


def next_block(read: Read, *, realm: str, span: tuple[int, int], most: int) -> Packable:
    """Make the next block of rows between two offsets.

    A block is made where all its places lie before the end, or where it is full sooner.
    It is not made where it would say anything else than the rows.

    Args:
        read: runs a query.
        realm: of the log.
        span: the offsets.
        most: facts in a block.
    """
    upto = span[1]
    ((start,),) = read(_FIRST, span) or ((upto,),)
    if start == upto:
        return Packable(upto, None, more=False)
    end = min(upto, start + SPAN)
    near = read(_NEAR, (start - PLACES, end, start))
    if near and near[0][0] <= start:
        return Packable(near[0][1], None, more=True)  # it stayed a row for a reason
    end = near[0][0] if near else end
    rows = read(_NEXT, (start, end, LARGE, PLACES))
    end = rows[-1][0] + 1 if len(rows) == PLACES else end
    found = _packable(rows, realm)
    if not found:
        return Packable(end, None, more=end < upto)
    if found[0][0] > start:
        return Packable(found[0][0], None, more=True)
    facts = _fitting(found, most)
    if len(facts) == len(found) and not near and start + PLACES > upto:
        return Packable(start, None, more=False)  # others will fill it
    block = pack(facts, max(facts) + 1)
    made = PreparedBlock(start, block, facts, prints_of(read, start, facts))
    same = unpack(FactBlock.of(*block)) == facts and block.size <= STORED_BYTES
    return Packable(made.end, made if same else None, more=True)


def _packable(
    rows: Sequence[tuple[int, bytes | str, bytes]], realm: str
) -> list[tuple[int, PlacedFact]]:
    found = []
    for offset, stored, value in rows:
        key = stored_key(realm, stored)
        if is_packable(key, value):
            found.append((offset, PlacedFact(key, value)))
    return found


def _fitting(
    found: Sequence[tuple[int, PlacedFact]], most: int
) -> dict[int, PlacedFact]:
    """Take as many of some facts as go into one block, by their places."""
    facts: dict[int, PlacedFact] = {}
    tails: set[bytes] = set()
    start, size, told = found[0][0], 0, 0
    end = start + PLACES
    for offset, fact in found[:most]:
        tail = tail_of(fact.key)
        if tail not in tails:  # most have that of the fact before
            tails.add(tail)
            told += len(tail)
        size += len(fact.value)
        full = size > MOST_BYTES or told > TAIL_BYTES or len(tails) > MOST_TAILS
        if full or offset >= end:
            break
        facts[offset - start] = fact
    return facts

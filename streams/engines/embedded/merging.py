"""Small blocks that lie side by side become one.

A slow file, each start, and facts that are pruned leave small blocks, and each block
has a cost of its own in the file and in each read. A run of neighbours that fits into
one block is made one, as soon as another block follows that does not fit: so of three
that follow each other there is one that stays for its size. Keys, values and offsets
are what they were, and so are prints and the audit chain.
"""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from streams.engines.embedded.block_proof import proven_facts
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
from streams.engines.embedded.fact_rows import COLUMNS, END
from streams.engines.embedded.packed_facts import MergedBlock
from streams.engines.embedded.readable_spans import ReadableSpans, is_damage
from streams.engines.embedded.short_rows import stored_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.engines.embedded.fact_rows import Read
    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction

SEEN: Final = 300  # blocks that one look goes through
REST_SECONDS: Final = 0.02
_BLOCKS: Final = (
    f"SELECT start, {END} FROM fact_blocks WHERE start >= ? AND start < ?"  # noqa: S608 - constant
    " ORDER BY start LIMIT ?"
)
_BLOCK: Final = f"SELECT {COLUMNS} FROM fact_blocks WHERE start = ?"  # noqa: S608 - constant
_ROWS: Final = (
    "SELECT offset, key, value FROM recent_facts"
    " WHERE offset >= ? AND offset < ? AND length(value) <= ?"
)

log = structlog.get_logger()


class Mergeable(NamedTuple):
    """What a look found.

    Attributes:
        after: the next look begins there.
        made: a block that is to take the place of others, where there is one.
        more: whether another look may find some.
    """

    after: int
    made: MergedBlock | None
    more: bool


class Merging:
    """Merges the blocks of a store."""

    def __init__(self, store: Store, realm: str) -> None:
        """Begin with the first block.

        Args:
            store: whose facts these are.
            realm: of the log.
        """
        self._realm = realm
        self._spans = ReadableSpans(store)

    async def catch_up(self, upto: int) -> None:
        """Merge what there is, and give the work a rest after each.

        Args:
            upto: blocks from this offset on are left for later.
        """
        more = True
        look = partial(next_merge, realm=self._realm)
        while more:
            made, more = await self._spans.look(look, upto)
            if made is not None:
                job = partial(_put, made)
                if not await self._spans.write(job, otherwise=False):
                    # Nothing is lost: small blocks are as good, and larger.
                    log.warning("blocks_not_merged", start=made.start)
            await asyncio.sleep(REST_SECONDS if more else 0)


def _put(made: MergedBlock, tx: Transaction) -> bool:
    return tx.log.put_merged(made)


def next_merge(read: Read, *, realm: str, span: tuple[int, int]) -> Mergeable:
    """Make one block of the next neighbours that fit into one, behind an offset.

    Args:
        read: runs a query.
        realm: of the log.
        span: offsets where blocks begin.
    """
    blocks: list[tuple[int, int]] = [*read(_BLOCKS, (*span, SEEN))]
    for first in range(len(blocks)):
        run = _run(blocks[first:])
        if first + len(run) == len(blocks) < SEEN:
            return Mergeable(run[0][0], None, more=False)  # others may join it
        if len(run) > 1:
            return _merged(read, realm, run)
    return Mergeable(
        blocks[-1][0] if blocks else span[0], None, more=len(blocks) == SEEN
    )


def _run(blocks: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Take as many neighbours as have places in one block."""
    start = blocks[0][0]
    most = next(
        (n for n, (_, end) in enumerate(blocks) if n and end - start > PLACES),
        len(blocks),
    )
    return blocks[:most]


def _merged(read: Read, realm: str, run: Sequence[tuple[int, int]]) -> Mergeable:
    start = run[0][0]
    taken, facts = _fitting(read, _without_rows(read, realm, run))
    if not taken[1:]:
        return Mergeable(start + 1, None, more=True)
    end = taken[-1][0] + taken[-1][1].places
    block = pack(facts, end - start)
    same = unpack(FactBlock.of(*block)) == facts and block.size <= STORED_BYTES
    made = MergedBlock(start, block, taken)
    return Mergeable(start + 1, made if same else None, more=True)


def _fitting(
    read: Read, run: Sequence[tuple[int, int]]
) -> tuple[list[tuple[int, FactBlock]], dict[int, PlacedFact]]:
    """Take as many blocks as fit into one, and their facts by their places in it."""
    start = run[0][0]
    taken: list[tuple[int, FactBlock]] = []
    facts: dict[int, PlacedFact] = {}
    for at, _ in run:
        try:
            rows = read(_BLOCK, (at,))
            if not rows:
                break  # all of its facts were pruned since
            block = FactBlock.of(*rows[0])
            found = proven_facts(block)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            break  # it stays as it is, for who looks after it
        more = facts | {at - start + place: fact for place, fact in found.items()}
        if not _fit(more):
            break
        facts = more
        taken.append((at, block))
    return taken, facts


def _fit(facts: Mapping[int, PlacedFact]) -> bool:
    tails = {tail_of(each.key) for each in facts.values()}
    return (
        sum(len(each.value) for each in facts.values()) <= MOST_BYTES
        and len(tails) <= MOST_TAILS
        and sum(map(len, tails)) <= TAIL_BYTES
    )


def _without_rows(
    read: Read, realm: str, run: Sequence[tuple[int, int]]
) -> Sequence[tuple[int, int]]:
    """Leave out blocks behind a row that is still to be packed: it has no place."""
    start, ends = run[0][0], [end for _, end in run]
    for offset, stored, value in read(_ROWS, (start, ends[-1], LARGE)):
        key = stored_key(realm, stored)
        within = any(at <= offset < end for at, end in run)
        if not within and is_packable(key, value):
            return [each for each in run if each[1] <= offset]
    return run

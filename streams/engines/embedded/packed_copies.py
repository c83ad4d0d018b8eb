"""Facts in blocks by their keys: whether what comes is a copy of what the log holds.

A print only says where to look: the key itself is compared, in a block that can be
unpacked, and with what the fact says. A source that sends old facts again has many
blocks unpacked. The writer does so for a moment only, for all jobs of a transaction
together; the rest is looked up in a thread, and the job runs anew.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
import structlog

from streams.engines.embedded.block_proof import proven_fact
from streams.engines.embedded.fact_block import BlockError, FactBlock, unpack
from streams.engines.embedded.fact_rows import COLUMNS, END
from streams.engines.embedded.packed_prints import (
    KEYED,
    OFFSET,
    PROBES,
    keyed,
    print_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from streams.engines.embedded.fact_block import PlacedFact
    from streams.engines.embedded.fact_rows import Read
    from streams.engines.embedded.store import Store

LOOK_SECONDS: Final = 0.005  # of the writer, in one transaction
AT_ONCE: Final = 16  # copies that are looked for in one turn of a thread
_TAKEN: Final = (
    "SELECT print FROM fact_prints WHERE print IN (SELECT value FROM json_each(?))"
)
# With its end: one that others were merged into begins where it did.
_SPAN_AT: Final = (
    f"SELECT start, {END} FROM fact_blocks"  # noqa: S608 - constant
    " WHERE start <= ? ORDER BY start DESC LIMIT 1"
)
_BLOCK_AT: Final = (
    f"SELECT start, {COLUMNS} FROM fact_blocks"  # noqa: S608 - constant
    " WHERE start <= ? ORDER BY start DESC LIMIT 1"
)

log = structlog.get_logger()


class CopiesAsideError(Exception):
    """A job has to look into more blocks than a writer has time for.

    Attributes:
        keys: of the facts that may be copies.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        super().__init__(f"{len(keys)} facts may be copies")
        self.keys = keys


class KnownCopies(NamedTuple):
    """What a thread found in blocks.

    Attributes:
        held: keys of copies.
        others: keys that are not there, or only in blocks that cannot be read.
    """

    held: frozenset[bytes] = frozenset()
    others: frozenset[bytes] = frozenset()


NOTHING: Final = KnownCopies()


class LookTime:
    """What is left of the time that one transaction may take to look for copies."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start with all of it.

        Args:
            clock: gives seconds.
        """
        self._clock = clock
        self._left = LOOK_SECONDS
        self._since = 0.0

    def begin(self) -> None:
        """Take the time from now on."""
        self._since = self._clock()

    def is_over(self) -> bool:
        """Whether nothing is left."""
        now = self._clock()
        self._left -= now - self._since
        self._since = now
        return self._left <= 0


class PackedCopies:
    """Looks for copies in the blocks of a file."""

    def __init__(self, read: Read) -> None:
        """Read a file; each block is unpacked once."""
        self._read = read
        self._facts: dict[tuple[int, int], Mapping[int, PlacedFact]] = {}
        self._warned = False

    def held(
        self,
        keys: Iterable[bytes | str],
        known: KnownCopies = NOTHING,
        limit: LookTime | None = None,
    ) -> set[bytes]:
        """Return those of some keys whose facts are in blocks.

        A block that cannot be read holds none: to write a fact twice changes nothing,
        and to drop it for a block that nobody can read would lose it.

        Args:
            keys: of the facts.
            known: what was looked up before.
            limit: when to stop; without one, never.

        Raises:
            CopiesAsideError: the time is over.
        """
        ((told, any_there),) = self._read(KEYED, ())
        if not any_there:
            return set()
        secret, bare = keyed(told), [k for k in keys if isinstance(k, bytes)]
        prints = {k: print_of(k, secret) for k in bare if k not in known.others}
        wanted = orjson.dumps([*prints.values()])
        taken = {each for (each,) in self._read(_TAKEN, (wanted,))}
        asked = [k for k in prints if prints[k] in taken and k not in known.held]
        found = {k for k in prints if prints[k] in taken and k in known.held}
        if known != NOTHING:
            limit = None  # little can be left of it, and it ends here
        if limit is not None:
            limit.begin()
        for key in asked:
            if limit is not None and limit.is_over():
                raise CopiesAsideError(asked)
            if self._holds(key, prints[key]):
                found.add(key)
        return found

    def _holds(self, key: bytes, wanted: int) -> bool:
        for each in range(wanted, wanted + PROBES):
            rows = self._read(OFFSET, (each,))
            if not rows:
                return False
            try:
                if self._is_at(rows[0][0], key):
                    return True
            except BlockError as error:
                self._warn(rows[0][0], error)
        return False

    def _warn(self, offset: int, error: BlockError) -> None:
        """Say it once: others of its facts may be asked for too."""
        if not self._warned:
            log.warning("block_not_read", offset=offset, error=str(error))
        self._warned = True

    def _is_at(self, offset: int, key: bytes) -> bool:
        """Whether the fact of a key is at an offset."""
        spans = self._read(_SPAN_AT, (offset,))
        if not spans:
            return False
        span: tuple[int, int] = spans[0]
        if span not in self._facts:
            found = block_at(self._read, offset)
            if found is None:
                return False
            start, block = found
            span = start, start + block.places
            self._facts[span] = unpack(block)
        fact = self._facts[span].get(offset - span[0])
        if fact is None or fact.key != key:
            return False
        proven_fact(*fact)
        return True


def block_at(read: Read, offset: int) -> tuple[int, FactBlock] | None:
    """Block that has a place for an offset, and where it begins.

    Raises:
        BlockError: it cannot be read.
    """
    rows = read(_BLOCK_AT, (offset,))
    if not rows:
        return None
    start, block = rows[0][0], FactBlock.of(*rows[0][1:])
    return (start, block) if offset < start + block.places else None


async def look_aside(store: Store, keys: Sequence[bytes]) -> KnownCopies:
    """Look for copies in a thread, some in each turn.

    Args:
        store: whose facts they are.
        keys: of what may be copies.
    """
    held: set[bytes] = set()
    for at in range(0, len(keys), AT_ONCE):
        held |= await store.study(partial(_held, keys=keys[at : at + AT_ONCE]))
    return KnownCopies(frozenset(held), frozenset(keys) - held)


def _held(read: Read, *, keys: Collection[bytes]) -> set[bytes]:
    return PackedCopies(read).held(keys)

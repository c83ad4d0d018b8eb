"""The table for guards that start: one made for all that come at the same time.

Thousands of facts take a guard longer to merge than the table that they make takes to
be sent. It goes out in the form of `agents_registry.table_form`, in binary frames.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import orjson
from attrs import define, field, frozen

from agents_registry.table_form import Section, pack, version_of
from enforcement.turns import resting_tables
from streams.process.aside import Aside, here

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from agents_registry.registry import Registry
    from streams.services.feed_ports import FedLog, TableSource

FROM_FACTS: Final = 5000  # a shorter log is sent as facts, which any guard can read
KEPT_SECONDS: Final = 10.0
CATCH_UP_SECONDS: Final = 2.0
LOADING_SECONDS: Final = 60.0  # a start from facts takes a guard longer than the load
PART: Final = 256 << 10  # bytes of a frame: pongs go out in between


@frozen
class Packed:
    """A table as bytes.

    Attributes:
        offset: everything below it is in the table.
        registry: that it was made of.
        version: of the form.
    """

    offset: int
    registry: Registry
    version: int
    sections: tuple[Section, ...]
    pieces: tuple[bytes, ...]

    def parts(self) -> Iterator[bytes]:
        """Yield the frames' bytes."""
        for piece in self.pieces:
            for start in range(0, len(piece), PART):
                yield piece[start : start + PART]


@define(eq=False)
class SharedTables:
    """Makes the table as bytes where that is worth it, and keeps it for a moment.

    ``aside`` gets to the table, and ``resting`` has it stand still. A log that is
    shorter than ``from_facts`` needs no table. ``loading`` ends with the load of the
    table at a start; without it, guards that come before get the facts.
    """

    _source: TableSource
    _log: FedLog
    _aside: Aside = here
    _resting: Callable[[], AbstractAsyncContextManager[None]] = resting_tables
    _from_facts: int | None = None
    _loading: Callable[[], Awaitable[None]] | None = None
    _kept: Packed | None = field(default=None, init=False)
    _making: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def current(self) -> Packed | None:
        """Table, None where facts serve as well or there is no table yet.

        It may be some seconds old; but what takes facts back has a new table built, and
        then an old one is never given: a guard that met such a fact would come again
        and again.
        """
        source = self._source
        least = FROM_FACTS if self._from_facts is None else self._from_facts
        if self._log.end < least:
            return None
        if self._loading is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOADING_SECONDS):
                    await self._loading()
        if not source.loaded.is_set():
            return None
        async with self._making:
            with suppress(TimeoutError):
                # Not for ever: what is applied later comes as deltas.
                async with asyncio.timeout(CATCH_UP_SECONDS):
                    await source.wait_applied(self._log.end)
                    while source.registry.needs_rebuild:
                        await source.wait_applied(self._log.end)
            if source.registry.needs_rebuild:
                return None
            if self._kept is None or self._kept.registry is not source.registry:
                self._kept = await self._aside(self._make)
                asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget)
            kept = self._kept
            # The log behind a relay may have become another one meanwhile.
            fits = kept is not None and kept.registry is source.registry
            return kept if fits and source.loaded.is_set() else None

    async def _make(self) -> Packed | None:
        """Pack the table; None where something is being taken back just now."""
        async with self._resting():
            offset, registry = self._source.applied, self._source.registry
            if registry.needs_rebuild:
                return None
            plain = await asyncio.to_thread(registry.dump)
        sections, pieces = await asyncio.to_thread(pack, plain, orjson.dumps)
        version = version_of(plain)
        return Packed(offset, registry, version, tuple(sections), tuple(pieces))

    def _forget(self) -> None:
        self._kept = None

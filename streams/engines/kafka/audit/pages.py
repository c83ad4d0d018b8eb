"""Exports of audit chains, page by page: each goes on where its last page ended.

A chain is only read forward, and held against ``facts`` on the way. So the reader of a
page waits for the next one for a while; who comes later reads from the beginning again,
for some seconds at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from aiokafka.errors import KafkaError
from attrs import define, field

from schemas.errors import SchemaError
from streams.engines.kafka.audit.export import exported, last_head
from streams.ports.findings_log import BehindError, SkippingError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from streams.settings.kafka import KafkaSettings
    from streams.stages.audit.chain import Line

MOST: Final = 4  # readers that wait for a next page
KEPT_SECONDS: Final = 60.0
SKIP_SECONDS: Final = 2.0  # for which a page waits that begins far in a chain
TURN_SECONDS: Final = 0.005  # then others of the event loop have theirs


@define(eq=False)
class _Export:
    """Lines that are left of an export.

    Attributes:
        ahead: the line that begins the next page.
        used_at: by a steady clock.
        reached: the last entry that was read.
    """

    lines: AsyncGenerator[Line, None]
    ahead: Line | None = None
    used_at: float = 0.0
    reached: int = 0

    async def page(self, after: int, limit: int) -> tuple[list[Line], int | None]:
        """Return the lines of so many entries, and the last one if there are more.

        Raises:
            SkippingError: it is not there yet; ask again.
        """
        found: list[Line] = []
        entries, last = 0, after
        begun = not after or self.ahead is not None
        turn = time.monotonic() + TURN_SECONDS
        until = time.monotonic() + SKIP_SECONDS
        while True:
            line = self.ahead or await anext(self.lines, None)
            self.ahead = None
            if line is None:
                return found, None
            sequence = line.get("sequence", 0)
            self.reached = max(self.reached, sequence)
            if sequence > last and entries == limit:
                self.ahead = line
                return found, last
            if sequence > last:
                entries, last, begun = entries + 1, sequence, True
            if begun:
                found.append(line)
            begun = begun or sequence == after
            if time.monotonic() > turn:
                if not begun and time.monotonic() > until:
                    raise SkippingError(self.reached)
                await asyncio.sleep(0)
                turn = time.monotonic() + TURN_SECONDS


@define(eq=False)
class AuditExports:
    """Pages of the chains of all realms; `run` closes readers that nobody needs."""

    settings: KafkaSettings
    realm: str
    lines: Callable[[KafkaSettings, str], AsyncGenerator[Line, None]] = exported
    _waiting: OrderedDict[tuple[str, int], _Export] = field(factory=OrderedDict)

    async def page(
        self, after: int, limit: int, realm: str | None = None
    ) -> tuple[list[Line], int | None]:
        """Return lines behind an entry; see `AuditChain.page`.

        Raises:
            BehindError: the topics cannot be read, or not all of them by this version.
            SkippingError: the page is not reached yet; ask again.
        """
        realm = realm or self.realm
        export = self._waiting.pop((realm, after), None)
        if export is None:
            export = _Export(_signed(self.lines(self.settings, realm)))
        more = None
        try:
            lines, more = await export.page(after, limit)
        except SkippingError:
            more = after
            await self._keep(realm, more, export)
            raise
        except (KafkaError, OSError, SchemaError) as error:
            raise BehindError(f"the audit topics: {error}") from error
        finally:
            if more is None:
                await export.lines.aclose()
        if more is not None:
            await self._keep(realm, more, export)
        return lines, more

    async def _keep(self, realm: str, after: int, export: _Export) -> None:
        """Have a reader wait for a page behind an entry."""
        replaced = self._waiting.pop((realm, after), None)
        if replaced is not None:
            await replaced.lines.aclose()
        export.used_at = time.monotonic()
        self._waiting[realm, after] = export
        await self._close(len(self._waiting) - MOST)

    async def last_head(self, realm: str | None = None) -> str | None:
        """Return the last head that a worker has noted.

        Raises:
            BehindError: the topic cannot be read, or not all of it by this version.
        """
        try:
            return await last_head(self.settings, realm or self.realm)
        except (KafkaError, OSError, SchemaError) as error:
            raise BehindError(f"the audit topics: {error}") from error

    async def run(self) -> None:
        """Close readers that wait for too long, until cancelled; then all."""
        try:
            while True:
                await asyncio.sleep(KEPT_SECONDS / 4)
                before = time.monotonic() - KEPT_SECONDS
                old = sum(each.used_at < before for each in self._waiting.values())
                await self._close(old)
        finally:
            await self._close(len(self._waiting))

    async def _close(self, number: int) -> None:
        for _ in range(number):
            _, export = self._waiting.popitem(last=False)
            await export.lines.aclose()


async def _signed(lines: AsyncGenerator[Line, None]) -> AsyncGenerator[Line, None]:
    """Yield lines from the first head on where the start is lost, to the last head."""
    held: list[Line] = []
    begun = False
    async with aclosing(lines):
        async for line in lines:
            begun = begun or line.get("sequence", 0) <= 1
            if not begun:
                continue
            held.append(line)
            if "sequence" not in line:  # a head, or what has no entry
                for each in held:
                    yield each
                held = []

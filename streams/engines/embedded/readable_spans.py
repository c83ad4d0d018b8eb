"""Ways around places of a file that cannot be read, for work that can leave them out.

A page that is damaged fails each query that comes to it, also one that begins far
before it. So a look that failed is taken again over half as many offsets, until what
lies before the place was looked at, and what lies behind it is searched for in small
steps. Facts there are for who looks after them: the check of the log tells each place.
"""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from streams.engines.embedded.fact_block import PLACES, BlockError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engines.embedded.store import Store

    Made = TypeVar("Made")
    Written = TypeVar("Written")
    Found = tuple[int, Made | None, bool]

REST_SECONDS: Final = 0.02  # after a look that failed
PASSING: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

log = structlog.get_logger()


def is_passing(error: sqlite3.Error) -> bool:
    """Whether the file was only locked for a moment."""
    return _code(error) in PASSING


def is_damage(error: sqlite3.Error) -> bool:
    """Whether a block or a page was damaged: what does not need it goes on."""
    return isinstance(error, BlockError) or _code(error) == sqlite3.SQLITE_CORRUPT


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


class ReadableSpans:
    """Offsets of a store that are still to be looked through, as far as they can be.

    Attributes:
        after: the next look begins there.
    """

    def __init__(self, store: Store) -> None:
        """Begin with the first offset."""
        self._store = store
        self.after = 0
        self._until = 0  # of the next look, where it has to be a short one
        self._warned = False

    async def look(
        self, find: Callable[..., Found[Made]], upto: int
    ) -> tuple[Made | None, bool]:
        """Look through the next offsets, and go on behind them.

        Args:
            find: looks, and gives where the next one begins, what it made, and whether
                another may find more.
            upto: offsets from this one on are left for later.

        Returns:
            What it made, and whether there is more to look through now.

        Raises:
            sqlite3.Error: neither damage nor a moment is the cause.
        """
        until = self._until if self.after < self._until < upto else upto
        part = partial(find, span=(self.after, until))
        try:
            self.after, made, more = await self._store.study(part)
        except sqlite3.DatabaseError as error:
            if is_passing(error):
                return None, False
            self._hold_passable(error)
            self._pass(until, upto)
            await asyncio.sleep(REST_SECONDS)
            return None, self.after < upto
        if not more and until < upto:
            self.after, more = until, True
        return made, more

    async def write(self, job: Callable[..., Written], otherwise: Written) -> Written:
        """Run a job of the writer, which may come to a damaged page, too.

        Args:
            job: to run.
            otherwise: answer where it did.

        Raises:
            sqlite3.Error: the cause is another one.
        """
        try:
            return await self._store.write_in_time(job)
        except sqlite3.DatabaseError as error:
            self._hold_passable(error)
            return otherwise

    def _pass(self, until: int, upto: int) -> None:
        """Have the next look be a shorter one, or begin behind what is short enough."""
        half = (until - self.after) // 2
        if half < PLACES:
            self.after, half = until, PLACES
        self._until = min(self.after + half, upto)

    def _hold_passable(self, error: sqlite3.Error) -> None:
        """Say once that there is damage."""
        if not is_damage(error) and _code(error) != sqlite3.SQLITE_IOERR:
            raise error
        if not self._warned:
            log.warning("damage_passed", after=self.after, error=str(error))
        self._warned = True

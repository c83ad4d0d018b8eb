"""Tries of a token: bounded by where they come from, and by what they cost.

Strangers elsewhere keep nobody out. An address has to wait after some failures of its
own, and so has one of whose neighbours many failed, unless somebody logged in from it
before. All that strangers share is a queue of few turns: where they are many, whoever
comes from where the fewest failed goes first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import define, field

from streams.model.times import SECOND

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

WINDOW: Final = 60 * SECOND  # in which failures are counted
OF_ADDRESS: Final = 10
OF_SITE: Final = 50
MOST_GOOD: Final = 1000
AT_ONCE: Final = 4  # tries of strangers that are asked about
TURN_SECONDS: Final = 0.1  # that each of them takes at least
PATIENCE: Final = 10.0  # seconds that one waits
MOST_WAITING: Final = 200
# Of an address, of a site, and of a region: bits that are the same.
_V4: Final = (32, 24, 16)
_V6: Final = (64, 48, 32)
_BITS: Final = {4: 32, 6: 128}


class LoginOrigin(NamedTuple):
    """Where a try comes from: prefixes of its address, from narrow to wide."""

    address: str
    site: str
    region: str

    @classmethod
    def of(cls, address: str) -> LoginOrigin:
        """Prefixes of an address; what is none stands for itself."""
        try:
            found = ip_address(address)
        except ValueError:
            return cls(address, address, address)
        if found.version == 6 and found.ipv4_mapped is not None:  # noqa: PLR2004
            found = found.ipv4_mapped
        bits, number = _BITS[found.version], int(found)
        wanted = _V4 if bits == _V4[0] else _V6
        return cls(*(f"{number >> (bits - each):x}/{each}" for each in wanted))


class FailedTry(NamedTuple):
    """A failure, and when it was counted (ns)."""

    at: int
    origin: LoginOrigin


@define(eq=False)
class LoginAttempts:
    """Failed logins of the last minute, and the turns of strangers."""

    _clock: Callable[[], int]
    _failed: deque[FailedTry] = field(factory=deque, init=False)
    _counts: Counter[str] = field(factory=Counter, init=False)
    _good: OrderedDict[str, None] = field(factory=OrderedDict, init=False)
    _free: int = field(default=AT_ONCE, init=False)
    _waiting: list[tuple[tuple[int, ...], asyncio.Future[bool]]] = field(
        factory=list, init=False
    )
    _tries: int = field(default=0, init=False)

    def wait(self, address: str) -> int:
        """Seconds for which an address has to wait; 0: it may try."""
        now, origin = self._clock(), LoginOrigin.of(address)
        while self._failed and now - self._failed[0].at >= WINDOW:
            self._uncount(self._failed.popleft().origin)
        bounds = [(origin.address, OF_ADDRESS)]
        if origin.address not in self._good:
            bounds.append((origin.site, OF_SITE))
        for prefix, most in bounds:
            if self._counts[prefix] >= most:
                first = next(at for at, of in self._failed if prefix in of)
                return max(1, -(-(first + WINDOW - now) // SECOND))
        return 0

    def failed(self, address: str) -> FailedTry:
        """Count a failure; return what `forget` takes."""
        counted = FailedTry(self._clock(), LoginOrigin.of(address))
        self._failed.append(counted)
        self._counts.update({*counted.origin})
        return counted

    def forget(self, counted: FailedTry) -> None:
        """Count one no longer: it was none."""
        with contextlib.suppress(ValueError):  # it is older than the window by now
            self._failed.remove(counted)
            self._uncount(counted.origin)

    def good(self, address: str) -> None:
        """Note that somebody logged in from an address."""
        origin = LoginOrigin.of(address)
        self._good[origin.address] = None
        self._good.move_to_end(origin.address)
        while len(self._good) > MOST_GOOD:
            self._good.popitem(last=False)

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[bool]:
        """Wait for a turn to try; tell whether there is one."""
        origin = LoginOrigin.of(address)
        if origin.address in self._good:
            yield True
            return
        has_turn = await self._turn(origin)
        try:
            yield has_turn
        finally:
            if has_turn:
                asyncio.get_running_loop().call_later(TURN_SECONDS, self._next)

    async def _turn(self, origin: LoginOrigin) -> bool:
        if self._free:
            self._free -= 1
            return True
        self._tries += 1
        rank = *(self._counts[each] for each in reversed(origin)), self._tries
        mine: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((rank, mine))
        if len(self._waiting) > MOST_WAITING:
            self._leave(max(self._waiting, key=_rank))
        try:
            async with asyncio.timeout(PATIENCE):
                return await mine
        except BaseException as error:
            if mine.done() and not mine.cancelled() and mine.result():
                self._next()  # the turn came as it left
            self._leave((rank, mine))
            if isinstance(error, TimeoutError):
                return False
            raise

    def _next(self) -> None:
        if not self._waiting:
            self._free += 1
            return
        first = min(self._waiting, key=_rank)
        self._waiting.remove(first)
        if first[1].done():
            self._next()
        else:
            first[1].set_result(True)

    def _leave(self, waiting: tuple[tuple[int, ...], asyncio.Future[bool]]) -> None:
        with contextlib.suppress(ValueError):
            self._waiting.remove(waiting)
        if not waiting[1].done():
            waiting[1].set_result(False)

    def _uncount(self, origin: LoginOrigin) -> None:
        for prefix in {*origin}:
            self._counts[prefix] -= 1
            if self._counts[prefix] <= 0:
                del self._counts[prefix]


def _rank(waiting: tuple[tuple[int, ...], object]) -> tuple[int, ...]:
    return waiting[0]

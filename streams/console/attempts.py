"""Tries of a token: bounded by where they come from, and by what they cost.

Strangers elsewhere keep nobody out. An address has to wait after some failures of its
own, and so has one of whose neighbours many failed, unless somebody logged in from it
before. A token that let somebody in before is no guess, and waits for nothing.

All that strangers share is a queue of few turns, which they may fill.

- Of every two turns one goes to whoever comes from where the fewest failed. The other
  one is drawn: first a region of those that wait, then a site of it, then an address.
  So a stranger cannot spoil a neighbour's chance by failing near them.
- Where the queue is full, one of the region that has the most in it is sent away, of
  its site and its address likewise. Who came last has the chance of all others.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
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
MOST_GOOD: Final = 1000  # addresses, and tokens
MOST_LINKS: Final = 5000  # failures, beyond which wrong links are not counted
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
        wanted, kind = (_V4, "4") if bits == _V4[0] else (_V6, "6")
        return cls(*(f"{kind}:{number >> (bits - each):x}/{each}" for each in wanted))


class FailedTry(NamedTuple):
    """A failure, and when it was counted (ns)."""

    at: int
    origin: LoginOrigin


@define(eq=False)
class WaitingTry:
    """A try that waits for its turn.

    Attributes:
        lot: drawn as it came: it decides between those that are alike.
        turn: whether it has one.
    """

    origin: LoginOrigin
    lot: int
    turn: asyncio.Future[bool]


def _lot() -> int:
    return secrets.randbits(64)


def _key() -> bytes:
    return secrets.token_bytes(32)


@define(eq=False)
class LoginAttempts:
    """Failed logins of the last minute, and the turns of strangers.

    Attributes:
        clock: ns.
        draw: gives a random number, which nobody else can know.
    """

    _clock: Callable[[], int]
    _draw: Callable[[], int] = _lot
    _key: bytes = field(factory=_key, init=False, repr=False)
    _tokens: OrderedDict[bytes, None] = field(
        factory=OrderedDict, init=False, repr=False
    )
    _failed: deque[FailedTry] = field(factory=deque, init=False)
    _counts: Counter[str] = field(factory=Counter, init=False)
    _good: OrderedDict[str, None] = field(factory=OrderedDict, init=False)
    _free: int = field(default=AT_ONCE, init=False)
    _waiting: list[WaitingTry] = field(factory=list, init=False)
    _held: Counter[str] = field(factory=Counter, init=False)  # of those that wait
    _is_drawn: bool = field(default=False, init=False)

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

    def failed_link(self, address: str) -> None:
        """Count a wrong link.

        Nobody guesses one, so none waits for a turn: what is kept of them is bounded.
        """
        if len(self._failed) < MOST_LINKS:
            self.failed(address)

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

    def knows(self, token: str) -> bool:
        """Whether a token let somebody in before."""
        return self._mark(token) in self._tokens

    def let_in(self, token: str) -> None:
        """Note that a token let somebody in; kept is a hash under a key of our own."""
        mark = self._mark(token)
        self._tokens[mark] = None
        self._tokens.move_to_end(mark)
        while len(self._tokens) > MOST_GOOD:
            self._tokens.popitem(last=False)

    def refused(self, token: str) -> None:
        """Note that a token lets nobody in any more."""
        self._tokens.pop(self._mark(token), None)

    def _mark(self, token: str) -> bytes:
        return hmac.new(self._key, token.encode(), hashlib.sha256).digest()

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
        mine: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiting = WaitingTry(origin, self._draw(), mine)
        self._waiting.append(waiting)
        self._held.update({*origin})
        if len(self._waiting) > MOST_WAITING:
            self._leave(self._away())
        try:
            async with asyncio.timeout(PATIENCE):
                return await mine
        except BaseException as error:
            if mine.done() and not mine.cancelled() and mine.result():
                self._next()  # the turn came as it left
            self._leave(waiting)
            if isinstance(error, TimeoutError):
                return False
            raise

    def _next(self) -> None:
        if not self._waiting:
            self._free += 1
            return
        self._is_drawn = not self._is_drawn
        first = self._drawn() if self._is_drawn else min(self._waiting, key=self._rank)
        self._remove(first)
        if first.turn.done():
            self._next()
        else:
            first.turn.set_result(True)

    def _rank(self, waiting: WaitingTry) -> tuple[int, ...]:
        """Failures of its region, its site and its address; the fewest go first."""
        failures = (self._counts[each] for each in reversed(waiting.origin))
        return *failures, waiting.lot

    def _drawn(self) -> WaitingTry:
        """Draw one: a region, a site of it, an address of that, and one from there."""
        left = self._waiting
        for level in reversed(range(len(LoginOrigin._fields))):
            networks = sorted({each.origin[level] for each in left})
            drawn = networks[self._draw() % len(networks)]
            left = [each for each in left if each.origin[level] == drawn]
        return left[self._draw() % len(left)]

    def _away(self) -> WaitingTry:
        """One that has to leave a full queue, of those who have the most in it."""
        held = self._held

        def weight(waiting: WaitingTry) -> tuple[int, ...]:
            wide = reversed(waiting.origin)
            weights = ((held[each], self._counts[each]) for each in wide)
            return *(one for pair in weights for one in pair), waiting.lot

        # Each one that comes asks: few of them are looked at closely.
        most = max(held[each.origin.region] for each in self._waiting)
        theirs = (each for each in self._waiting if held[each.origin.region] == most)
        return max(theirs, key=weight)

    def _leave(self, waiting: WaitingTry) -> None:
        with contextlib.suppress(ValueError):
            self._remove(waiting)
        if not waiting.turn.done():
            waiting.turn.set_result(False)

    def _remove(self, waiting: WaitingTry) -> None:
        self._waiting.remove(waiting)
        _take(self._held, waiting.origin)

    def _uncount(self, origin: LoginOrigin) -> None:
        _take(self._counts, origin)


def _take(counts: Counter[str], origin: LoginOrigin) -> None:
    """Count one less of each prefix; of what there is none nothing is kept."""
    for prefix in {*origin}:
        counts[prefix] -= 1
        if counts[prefix] <= 0:
            del counts[prefix]

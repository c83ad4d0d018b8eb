"""Faults of the line between guards and what feeds them, and a judge.

One clock judges, CLOCK_BOOTTIME, and only by when a check *began*: a check that began
later than a lease and 50 ms after a cut may not allow, nor may one that began so long
after a revocation was accepted. How slow this machine is plays no part.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import Factory, define

from enforcement.clocks import boottime
from streams.model.times import SECOND
from tests.integration.cut_proxy import CutProxy
from tests.integration.serving import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agents_registry.identifiers import Identifier
    from enforcement.guard import AnyGuard

GRACE: Final = SECOND // 20
LOOK: Final = 0.002  # seconds between two looks at the guards

Fault: TypeAlias = "Callable[[CutProxy, float, Random], Awaitable[None]]"


async def symmetric(proxy: CutProxy, lease: float, random: Random) -> None:
    """Let nothing pass, and tell nobody."""
    proxy.cut()


async def upwards(proxy: CutProxy, lease: float, random: Random) -> None:
    """Lose what the guard sends."""
    proxy.cut(proxy.up)


async def downwards(proxy: CutProxy, lease: float, random: Random) -> None:
    """Lose what is sent to the guard."""
    proxy.cut(proxy.down)


async def dropped(proxy: CutProxy, lease: float, random: Random) -> None:
    """End connections, and take none."""
    proxy.drop()


async def delayed(proxy: CutProxy, lease: float, random: Random) -> None:
    """Let every byte take five leases, both ways."""
    proxy.up.delay = proxy.down.delay = 5 * lease


async def long_pipe(proxy: CutProxy, lease: float, random: Random) -> None:
    """Let answers take most of a lease; then cut behind those on their way."""
    proxy.down.delay = 0.7 * lease
    await asyncio.sleep(2 * lease)
    proxy.cut()


async def flapping(proxy: CutProxy, lease: float, random: Random) -> None:
    """Go up and down, and stay down in the end."""
    for _ in range(6):
        proxy.cut(*random.choice([(), (proxy.up,), (proxy.down,)]))
        await asyncio.sleep(random.uniform(0.05, 0.6) * lease)
        proxy.heal()
        await asyncio.sleep(random.uniform(0.01, 0.3) * lease)
    proxy.cut()


FAULTS: Final[dict[str, Fault]] = {
    fault.__name__: fault
    for fault in (
        symmetric, upwards, downwards, dropped, delayed, long_pipe, flapping,
    )
}  # fmt: skip


@define(eq=False)
class Line:
    """A guard and its proxy, and what the judge may not see any more.

    Attributes:
        living: a credential that nobody revokes.
        cut_at: since when nothing may be proven anew; None while the line is whole.
        revoked: credentials with the times when their revocations were accepted.
        allowed_late: checks that allowed what they had to deny: how late they began
            (ns).
        denied: checks that had to deny and did.
    """

    guard: AnyGuard[Any, Any]
    proxy: CutProxy
    living: Identifier
    cut_at: int | None = None
    revoked: dict[Identifier, int] = Factory(dict)
    allowed_late: list[int] = Factory(list)
    denied: int = 0

    def judge(self) -> None:
        """Ask the guard of all that it must deny by now."""
        bound = self.guard.standing.lease.length + GRACE
        for identifier, since in self.revoked.items():
            self._ask(identifier, since + bound)
        if self.cut_at is not None:
            self._ask(self.living, self.cut_at + bound)

    def _ask(self, identifier: Identifier, limit: int) -> None:
        began = boottime()
        if began <= limit:
            return
        if self.guard.check(identifier).allowed:
            self.allowed_late.append(began - limit)
        else:
            self.denied += 1

    def allows(self) -> bool:
        """Ask of what lives."""
        return self.guard.check(self.living).allowed


@define(eq=False)
class Campaign:
    """Many lines that break at the same time, each in its own moment of a lease.

    Attributes:
        revoke: revokes a credential past the lines, and returns once it is accepted.
        credentials: that are to be revoked, one a round.
    """

    lines: list[Line]
    lease: float
    random: Random
    revoke: Callable[[Identifier], Awaitable[None]]
    credentials: list[Identifier]

    async def judge(self) -> None:
        """Look at every line until cancelled."""
        while True:
            for line in self.lines:
                line.judge()
            await asyncio.sleep(LOOK)

    async def suffer(self, fault: Fault) -> None:
        """Break every line in one way; each must deny, and allow again once healed."""
        await self.allowing()
        victim = self.credentials.pop()
        before = [line.denied for line in self.lines]
        async with asyncio.TaskGroup() as tasks:
            for line in self.lines:
                tasks.create_task(self._break(line, fault))
            tasks.create_task(self._revoke(victim))
        await until(lambda: not any(line.allows() for line in self.lines))
        for line in self.lines:
            assert line.cut_at is not None
            assert line.guard.standing.deadline <= line.cut_at + self.lease * SECOND

        def judged() -> bool:
            pairs = zip(self.lines, before, strict=True)
            return all(line.denied >= count + 10 for line, count in pairs)

        await until(judged)
        for line in self.lines:
            line.cut_at = None
            line.proxy.heal()
        await self.allowing()
        self.check()

    async def allowing(self) -> None:
        """Wait until each guard has allowed what lives, not all at one moment."""
        waiting = set(self.lines)

        def none_waits() -> bool:
            waiting.difference_update([each for each in waiting if each.allows()])
            return not waiting

        await until(none_waits)

    def check(self) -> None:
        """See that no check allowed what it had to deny."""
        late = [max(each.allowed_late) for each in self.lines if each.allowed_late]
        assert not late, f"allowed up to {max(late) / 1e6:.0f} ms after the limit"

    async def _break(self, line: Line, fault: Fault) -> None:
        await asyncio.sleep(self.random.uniform(0, 0.5) * self.lease)
        await fault(line.proxy, self.lease, self.random)
        line.cut_at = boottime()

    async def _revoke(self, victim: Identifier) -> None:
        """Revoke in the middle of it all."""
        await asyncio.sleep(self.random.uniform(0, 2) * self.lease)
        await self.revoke(victim)
        accepted = boottime()
        for line in self.lines:
            line.revoked[victim] = accepted


@asynccontextmanager
async def proxies(count: int, port: int) -> AsyncIterator[list[CutProxy]]:
    """Give that many proxies in front of a port."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(CutProxy(port).listening())
            for _ in range(count)
        ]

"""On whichever way a guard is served: no fact is missing that was accepted a lease ago.

A log that is read late at times, guards that read nothing for a while and pings that
take their time, in one virtual time that judges.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from attrs import Factory, define, field

from enforcement.standing import Freshness
from tests.unit.test_direct_feed import (
    LEASE,
    SECOND,
    Served,
    Wire,
    in_virtual_time,
    node,
    now,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from enforcement.replica import Replica
    from streams.http.guard_connection import Connection

pytestmark = pytest.mark.property

WORLDS, STEPS, GUARDS = 25, 250, 3


@define
class Fed:
    """A guard behind a network.

    Attributes:
        seen: how many messages left the server.
        arrives: when the last one that is on its way does (s).
        held: how often it held a lease while facts were missing.
    """

    connection: Connection
    wire: Wire
    standing: Freshness = field(factory=lambda: Freshness(round(LEASE * SECOND), now))
    starting: Replica | None = None
    seen: int = 0
    arrives: list[float] = Factory(lambda: [0.0, 0.0])  # to it, and from it
    held: int = 0

    def hear(self, message: dict[str, Any]) -> None:
        """Take a message as a guard does."""
        kind, standing = message["type"], self.standing
        if kind == "snapshot":
            self.starting = self.starting or standing.begin()
            for _ in self.starting.snapshot(message):
                pass
            if not message["more"]:
                assert standing.offer(self.starting)
        elif kind == "delta":
            for _ in standing.replica.delta(message):  # a gap raises
                pass
            standing.refresh()
        elif kind == "pong":
            end, replica = message["end"], standing.replica
            assert end >= (replica.position or 0)
            standing.pong(replica, message["seq"], "g1", end, message["remaining_ms"])


@define
class World:
    """A log that is appended to, read by the server, and fed to guards."""

    random: Random
    served: Served = field(factory=Served)
    guards: list[Fed] = Factory(list)
    appended: list[tuple[int, bool]] = Factory(list)

    def later(self, fed: Fed, way: int, act: Callable[[], None]) -> None:
        """Have something arrive, behind what left before on the same way."""
        loop = asyncio.get_running_loop()
        at = loop.time() + self.random.choice((0.0, 0.001, 0.1)) * self.random.random()
        fed.arrives[way] = max(fed.arrives[way] + 1e-6, at)  # timers keep no order
        loop.call_at(fed.arrives[way], act)

    def act(self) -> None:
        """Do one thing."""
        what = self.random.random()
        fed = self.random.choice(self.guards)
        if what < 0.3:
            self.appended.append((now(), self.random.random() < 0.5))
        elif what < 0.5:
            read = len(self.appended) - self.served.log.end
            new = self.appended[self.served.log.end :][:read]
            end = self.served.log.end
            facts = [node(end + at) if one[1] else None for at, one in enumerate(new)]
            self.served.log.read(*facts)
        elif what < 0.8:
            seq = fed.standing.ping()
            message = {"type": "ping", "seq": seq}
            self.later(fed, 1, lambda: say(fed.connection, fed.wire, message))
        elif what < 0.87:
            fed.wire.reads = False
        else:
            fed.wire.read_again()

    def deliver(self) -> None:
        """Let what was written go to the guards that read."""
        for fed in self.guards:
            if not fed.wire.reads:
                continue
            for message in fed.wire.messages[fed.seen :]:
                fed.seen += 1
                self.later(fed, 0, lambda m=message, f=fed: f.hear(m))  # type: ignore[misc]

    def judge(self) -> None:
        """Hold what guards may rely on against the log."""
        for fed in self.guards:
            if not fed.standing.holds():
                continue
            position = fed.standing.replica.position or 0
            missing = [at for at, fact in self.appended[position:] if fact]
            fed.held += bool(missing)
            for accepted in missing:
                assert now() - accepted < LEASE * SECOND

    async def run(self) -> tuple[int, int]:
        """Let time pass; give how often guards lacked something, and what they got."""
        wrong: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, about: wrong.append(about.get("exception", about))
        )
        for number in range(GUARDS):
            self.guards.append(Fed(*await self.served.guard(None if number else 0)))
        first = {"type": "snapshot", "genesis": "g1", "partition": 0, "realm": "r",
                 "vocabulary": {}, "facts": [], "offset": 0, "more": False}  # fmt: skip
        self.guards[0].hear(first)  # this one goes on from there
        for _ in range(STEPS):
            self.act()
            self.deliver()
            await asyncio.sleep(self.random.choice((0.0, 0.01, 0.1)))
            self.judge()
            assert not wrong
        await self.served.close()
        return sum(f.held for f in self.guards), sum(f.seen for f in self.guards)


@pytest.mark.parametrize("seed", range(4))
def test_no_fact_of_a_lease_ago_is_missing(seed: int) -> None:
    """In many worlds, of which some hold a lease over a fact that is on its way."""

    async def main() -> list[tuple[int, int]]:
        random = [Random(f"{seed}/{n}") for n in range(WORLDS // 4)]
        return [await World(each).run() for each in random]

    found = in_virtual_time(main())

    assert sum(held for held, _ in found) > 10
    assert sum(seen for _, seen in found) > 500

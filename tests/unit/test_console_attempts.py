"""Who may try a token: strangers keep nobody out, and cost little."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from streams.console import attempts as limits
from streams.console.asked import Asked
from streams.console.attempts import LoginAttempts, LoginOrigin
from streams.console.entry import Entry
from streams.console.sessions import ConsoleSessions, SessionLimits
from streams.model.times import SECOND
from tests.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

GOOD = "198.51.100.7"


def attempts(now: Callable[[], float] = lambda: 0.0) -> LoginAttempts:
    """Count by a clock in seconds."""
    return LoginAttempts(lambda: round(now() * SECOND))


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("192.0.2.1", "192.0.2.1", 3),
        ("192.0.2.1", "192.0.2.2", 2),
        ("192.0.2.1", "192.0.3.1", 1),
        ("192.0.2.1", "198.51.100.1", 0),
        ("2001:db8::1", "2001:db8::ffff", 3),
        ("2001:db8:0:1::1", "2001:db8::1", 2),
        ("2001:db8:1::1", "2001:db8:2::1", 1),
        ("2001:db8::1", "2001:db9::1", 0),
        ("::ffff:192.0.2.1", "192.0.2.1", 3),
        ("::", "0.0.0.0", 0),
        ("a proxy", "a proxy", 3),
        ("a proxy", "another", 0),
    ],
)
def test_addresses_are_near_each_other(one: str, other: str, alike: int) -> None:
    """The address, its site, its region."""
    assert alike == sum(
        a == b for a, b in zip(LoginOrigin.of(one), LoginOrigin.of(other), strict=True)
    )


def test_failures_of_an_address_end_with_the_minute() -> None:
    """The wait is that of the oldest one."""
    now = 0.0
    tries = attempts(lambda: now)
    for _ in range(limits.OF_ADDRESS):
        assert tries.wait("192.0.2.1") == 0
        tries.failed("192.0.2.1")
        now += 1
    assert tries.wait("192.0.2.1") == 50
    assert tries.wait("192.0.2.2") == 0
    now = 60.0
    assert tries.wait("192.0.2.1") == 0
    now = 1000.0
    assert tries.wait("192.0.2.1") == 0
    assert not tries._counts


def test_neighbours_have_to_wait_unless_they_are_known() -> None:
    """Who has many addresses of one site has not many times the tries."""
    tries = attempts()
    tries.good("192.0.2.200")
    for number in range(limits.OF_SITE):
        assert tries.wait(f"192.0.2.{number}") == 0
        tries.failed(f"192.0.2.{number}")
    assert tries.wait("192.0.2.201")
    assert tries.wait("192.0.2.200") == 0
    assert tries.wait("192.0.3.1") == 0


def test_strangers_keep_nobody_out() -> None:
    """However many fail, elsewhere nobody has to wait."""
    tries = attempts()
    for number in range(5000):
        tries.failed(f"10.{number % 250}.{number // 250}.1")
    assert tries.wait(GOOD) == 0


def test_good_addresses_are_bounded() -> None:
    """The one that was not seen for longest is forgotten."""
    tries = attempts()
    for number in range(limits.MOST_GOOD + 1):
        tries.good(f"10.0.{number // 250}.{number % 250}")
        tries.good("10.9.9.9")
    assert len(tries._good) == limits.MOST_GOOD
    assert LoginOrigin.of("10.9.9.9").address in tries._good
    assert LoginOrigin.of("10.0.0.0").address not in tries._good


async def crowd(loop: VirtualLoop, tries: LoginAttempts, count: int) -> list[bool]:
    """Let strangers of many regions try all at once, again and again."""
    had: list[bool] = []

    async def stranger(number: int) -> None:
        address = f"{11 + number % 200}.{number % 250}.0.1"
        tries.failed(address)
        async with tries.turn(address) as has_turn:
            had.append(has_turn)

    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(stranger(number))
            if number % 100 == 0:
                await asyncio.sleep(0.01)
    del loop
    return had


def test_a_crowd_costs_little_and_lets_others_through() -> None:
    """Few are asked about in a second, and who comes from elsewhere is the next one."""

    async def main(loop: VirtualLoop) -> None:
        tries = attempts(loop.time)
        noise = asyncio.ensure_future(crowd(loop, tries, 3000))
        await asyncio.sleep(2.0)
        asked_at = loop.time()
        async with tries.turn(GOOD) as has_turn:
            assert has_turn
        assert loop.time() - asked_at <= limits.TURN_SECONDS
        had = await noise
        most = limits.AT_ONCE * (1 + loop.time() / limits.TURN_SECONDS)
        assert had.count(True) <= most
        assert had.count(False) >= 3000 - most - 1
        assert not tries._waiting
        await asyncio.sleep(limits.TURN_SECONDS)
        assert tries._free == limits.AT_ONCE

    run(main)


def test_a_known_address_waits_in_no_queue() -> None:
    """Nor does one take a turn."""

    async def main(loop: VirtualLoop) -> None:
        tries = attempts(loop.time)
        tries.good(GOOD)
        noise = asyncio.ensure_future(crowd(loop, tries, 300))
        await asyncio.sleep(0.05)
        began = loop.time()
        async with tries.turn(GOOD) as has_turn:
            assert has_turn
        assert began == loop.time()
        await noise

    run(main)


def test_who_goes_away_leaves_its_turn_to_others() -> None:
    """Whether it waits, or its turn comes just then."""

    async def main(loop: VirtualLoop) -> None:
        tries = attempts(loop.time)

        async def one(number: int) -> None:
            async with tries.turn(f"10.{number}.0.1"):
                await asyncio.sleep(1)

        held = [asyncio.ensure_future(one(each)) for each in range(limits.AT_ONCE)]
        await asyncio.sleep(0)
        waits = [asyncio.ensure_future(one(100 + each)) for each in range(3)]
        await asyncio.sleep(0)
        waits[0].cancel()
        await asyncio.gather(*held)
        await asyncio.sleep(limits.TURN_SECONDS)
        for each in waits[1:]:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await asyncio.sleep(limits.TURN_SECONDS * 2)
        assert tries._free == limits.AT_ONCE
        assert not tries._waiting

    run(main)


def test_nobody_waits_for_ever() -> None:
    """Where turns take long, it is said after some seconds."""

    async def main(loop: VirtualLoop) -> None:
        tries = attempts(loop.time)

        async def slow(number: int) -> None:
            async with tries.turn(f"10.{number}.0.1"):
                await asyncio.sleep(100)

        held = [asyncio.ensure_future(slow(each)) for each in range(limits.AT_ONCE)]
        await asyncio.sleep(0)
        async with tries.turn(GOOD) as has_turn:
            assert not has_turn
        assert loop.time() == limits.PATIENCE
        await asyncio.gather(*held)

    run(main)


def test_wrong_links_take_turns() -> None:
    """From ever other addresses, too: each failure is kept for a minute."""

    async def story() -> list[int]:
        entry = Entry(
            sessions=ConsoleSessions(SessionLimits(), lambda: 0),
            attempts=attempts(),
            frame=SimpleNamespace(bare=lambda *_, **__: b""),  # type: ignore[arg-type]
            api_for=lambda _: None,  # type: ignore[arg-type, return-value]
            clock=lambda: 0,
        )
        tries = [
            entry.by_link(
                Asked(
                    "GET", "/console/link", "", "", {"key": "x"}, {}, {}, {}, False,
                    f"2001:db8:{each:x}::1",
                )
            )
            for each in range(1000)
        ]  # fmt: skip
        return [answer.status for answer in await asyncio.gather(*tries)]

    statuses = run(lambda _: story())
    looked_at = statuses.count(403)
    assert 0 < looked_at <= limits.AT_ONCE + limits.MOST_WAITING
    assert len(statuses) - looked_at == statuses.count(503)

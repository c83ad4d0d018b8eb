"""Who may try a token: strangers keep nobody out, and cost little."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from streams.console import attempts as limits
from streams.console.api import ApiAnswer, ApiProblem
from streams.console.asked import Asked
from streams.console.attempts import LoginAttempts, LoginOrigin
from streams.console.entry import Entry
from streams.console.login import one_time_link
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


def entry(
    tries: LoginAttempts, known: Callable[[str], bool], link: Any = None
) -> Entry:
    """Ways into a console whose API knows some tokens."""

    async def caller(token: str) -> ApiAnswer:
        if not known(token):
            return ApiAnswer(401, {}, ApiProblem("no", "", "", 401))
        roles = {"default": ["viewer"]}
        who = {"name": "ann", "person": "ann", "roles": roles, "realm": "default"}
        return ApiAnswer(200, who)

    def api(token: str) -> Any:
        return SimpleNamespace(get=lambda _: caller(token))

    return Entry(
        sessions=ConsoleSessions(SessionLimits(), lambda: 0),
        attempts=tries,
        frame=SimpleNamespace(bare=lambda *_, **__: b""),  # type: ignore[arg-type]
        api_for=api,
        clock=lambda: 0,
        link=link,
    )


def asked(address: str, query: dict[str, str], form: dict[str, str]) -> Asked:
    """One request from an address."""
    return Asked("GET", "/console/x", "", "", query, {}, {}, form, False, address)


async def held(tries: LoginAttempts, seed: int = 1) -> list[asyncio.Task[None]]:
    """Fill all turns and the queue from 50 regions; whoever leaves comes again."""
    drawn = random.Random(seed)

    async def stranger(number: int) -> None:
        while True:
            site, host = drawn.randrange(4), drawn.randrange(250)
            address = f"{11 + number % 50}.7.{site}.{host}"
            counted = tries.failed(address)
            async with tries.turn(address) as has_turn:
                if not has_turn:
                    tries.forget(counted)
            await asyncio.sleep(0.4)

    count = limits.AT_ONCE + limits.MOST_WAITING
    tasks = [asyncio.ensure_future(stranger(each)) for each in range(count)]
    await asyncio.sleep(0.04)
    assert len(tries._waiting) == limits.MOST_WAITING
    return tasks


async def left(tasks: list[asyncio.Task[None]]) -> None:
    """Send the strangers home."""
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def seeded(loop: VirtualLoop) -> LoginAttempts:
    """Count by a loop's time, and draw the same lots each time."""
    lots = random.Random(7)
    return LoginAttempts(
        lambda: round(loop.time() * SECOND), lambda: lots.getrandbits(64)
    )


async def let_in(loop: VirtualLoop, tries: LoginAttempts, address: str) -> int:
    """Count in how many of five tries an address has a turn."""
    found = 0
    for _ in range(5):
        began, counted = loop.time(), tries.failed(address)
        async with tries.turn(address) as has_turn:
            found += has_turn
        assert loop.time() - began < limits.PATIENCE
        tries.forget(counted)
        await asyncio.sleep(0.1)
    return found


@pytest.mark.parametrize(
    ("address", "least"), [("198.51.100.7", 5), ("11.7.251.9", 3)],
    ids=["elsewhere", "in a region of theirs"],
)  # fmt: skip
def test_a_full_queue_keeps_nobody_out(address: str, least: int) -> None:
    """Who comes last is not the one who has to go, nor the last one to be heard."""

    async def main(loop: VirtualLoop) -> None:
        tries = seeded(loop)
        tasks = await held(tries)
        assert await let_in(loop, tries, address) >= least
        await left(tasks)

    run(main)


def test_failures_near_somebody_do_not_keep_them_out() -> None:
    """A stranger who fails in one's region, and then fills the queue from others."""

    async def main(loop: VirtualLoop) -> None:
        tries = seeded(loop)
        tasks = await held(tries)
        for number in range(400):
            tries.failed(f"198.51.{number % 40}.{number}")
        assert await let_in(loop, tries, "198.51.100.7") >= 4
        await left(tasks)

    run(main)


def test_addresses_of_both_kinds_are_counted_apart() -> None:
    """A region of IPv6 has as many bits as an address of IPv4."""
    six, four = LoginOrigin.of("c000:0201::1"), LoginOrigin.of("192.0.2.1")
    assert not {*six} & {*four}


def test_a_good_link_waits_for_nobody() -> None:
    """Not in a queue that others hold, nor where somebody failed often."""

    async def main(loop: VirtualLoop) -> None:
        tries = seeded(loop)
        link, key = one_time_link("the token", 0)
        ways = entry(tries, "the token".__eq__, link)
        tasks = await held(tries)
        for number in range(2 * limits.MOST_LINKS):
            address = f"2001:db8:{number:x}::1"
            await ways.by_link(asked(address, {"key": "x"}, {}))
        assert limits.MOST_LINKS <= len(tries._failed) < limits.MOST_LINKS + 1000
        statuses = [
            (await ways.by_link(asked(GOOD, {"key": "x"}, {}))).status
            for _ in range(20)
        ]
        assert 429 in statuses or len(tries._failed) >= limits.MOST_LINKS
        began = loop.time()
        assert (await ways.by_link(asked(GOOD, {"key": key}, {}))).status == 303
        assert began == loop.time()
        assert (
            await ways.by_link(asked("203.0.113.1", {"key": key}, {}))
        ).status != 303
        await left(tasks)

    run(main)


def test_a_link_that_let_nobody_in_is_not_used_up() -> None:
    """The server had no answer; of two tries at once one opens a session."""

    async def main(_: VirtualLoop) -> None:
        link, key = one_time_link("the token", 0)
        ways = entry(attempts(), "the token".__eq__, link)
        answers, well = iter((503, 401, 200, 200)), ways.api_for

        async def caller(token: str) -> ApiAnswer:
            await asyncio.sleep(1)
            status = next(answers)
            if status == 200:
                return await well(token).get("caller")
            return ApiAnswer(status, {}, ApiProblem("busy", "", "", status))

        def api(token: str) -> Any:
            return SimpleNamespace(get=lambda _: caller(token))

        ways.api_for = api

        async def tried() -> int:
            return (await ways.by_link(asked(GOOD, {"key": key}, {}))).status

        assert await tried() == 503
        assert await tried() == 403
        assert sorted(await asyncio.gather(tried(), tried())) == [303, 403]
        assert len(ways.sessions) == 1
        assert next(answers) == 200  # nobody was asked about the other one

    run(main)


def test_wrong_links_of_an_address_have_to_wait() -> None:
    """The right one does not."""

    async def main(loop: VirtualLoop) -> None:
        tries = seeded(loop)
        link, key = one_time_link("the token", 0)
        ways = entry(tries, "the token".__eq__, link)
        wrong = [await ways.by_link(asked(GOOD, {"key": "x"}, {})) for _ in range(12)]
        assert [each.status for each in wrong] == [403] * 10 + [429] * 2
        assert (await ways.by_link(asked(GOOD, {"key": key}, {}))).status == 303

    run(main)


def test_a_token_that_let_somebody_in_is_no_guess() -> None:
    """It waits for nothing, from wherever it comes, until the API refuses it."""

    async def main(loop: VirtualLoop) -> None:
        tries, good = seeded(loop), {"the token"}
        ways = entry(tries, good.__contains__)

        async def status(token: str, address: str) -> int:
            return (await ways.by_token(asked(address, {}, {"token": token}))).status

        assert await status("the token", GOOD) == 303
        tasks = await held(tries)
        for address in ("203.0.113.1", "11.7.0.1"):
            for _ in range(limits.OF_ADDRESS):
                tries.failed(address)
            began = loop.time()
            assert await status("the token", address) == 303
            assert began == loop.time()
            assert await status("another", address) == 429
        assert not any(b"token" in each for each in tries._tokens)
        good.clear()
        assert await status("the token", "203.0.113.2") == 403
        assert not tries.knows("the token")
        await left(tasks)

    run(main)


def test_known_tokens_are_bounded() -> None:
    """The one that was not used for longest is forgotten."""
    tries = attempts()
    for number in range(limits.MOST_GOOD + 1):
        tries.let_in(str(number))
        tries.let_in("often")
    assert len(tries._tokens) == limits.MOST_GOOD
    assert tries.knows("often")
    assert not tries.knows("0")

"""A guard against a feed server over a real socket, in fair weather and foul."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from agents_registry.facts import (
    Cause,
    Distrust,
    Edge,
    Effect,
    Fact,
    Node,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from enforcement import Guard, Lapse, Mode, Token, Verdict, feed
from enforcement.replica import SLICE
from tests.contract.feed_server import CREDENTIAL, ScriptedFeed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.contract

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
LEASE = 0.4
GRACE = 0.05
PARENT = Identifier("vault.accessor", "parent")
CHILD = Identifier("vault.accessor", "child")
SAID: dict[str, Any] = {
    "authority": "vault",
    "version": NOW,
    "received_at": NOW,
    "ingress_key": "i1",
}


def node(identifier: Identifier) -> Node:
    """Say that an identifier exists."""
    return Node(**SAID, node=identifier, issued_at=NOW)


def revoke(identifier: Identifier) -> Cause:
    """Say that an identifier is revoked."""
    return Cause(**SAID, target=identifier, effect=Effect.REVOKE, at=NOW)


EDGE = Edge(**SAID, child=CHILD, parent=PARENT)
FAMILY: list[Fact] = [node(PARENT), node(CHILD), EDGE]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedFeed]:
    """Give a server whose log holds a parent and its child."""
    async with ScriptedFeed(log=list(FAMILY)).listening() as scripted:
        yield scripted


@pytest.fixture
async def guard(server: ScriptedFeed) -> AsyncIterator[Guard]:
    """Give a guard that is connected and holds a lease."""
    async with connect(server) as connected:
        assert await connected.ready(5)
        yield connected


def connect(server: ScriptedFeed, credential: str = CREDENTIAL) -> Guard:
    """Give a guard of a server, not yet entered."""
    return Guard(
        server.url,
        credential,
        name="g",
        routes={mode.value: mode for mode in Mode},
        lease=LEASE,
        jitter=lambda: 0.2,
    )


async def until(condition: Callable[[], object], within: float = 5.0) -> float:
    """Wait for a condition; give the seconds that it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > within:
            pytest.fail(f"not within {within} s")
        await asyncio.sleep(0.001)
    return time.monotonic() - start


def allows(guard: Guard, identifier: Identifier = CHILD) -> bool:
    """Ask a guard."""
    return guard.check(identifier).allowed


async def test_denies_before_the_snapshot_and_allows_after_it(
    server: ScriptedFeed,
) -> None:
    """A guard that just started knows no revocation at all."""
    server.snapshots.clear()
    async with connect(server) as guard:
        for mode in Mode:
            verdict = guard.check(CHILD, route=mode.value)
            assert verdict.reason is Lapse.NOT_CAUGHT_UP
        await until(lambda: server.connections)
        assert not allows(guard)

        server.snapshots.set()
        await until(lambda: allows(guard))


async def test_denies_a_descendant_once_its_ancestor_is_revoked(
    server: ScriptedFeed, guard: Guard
) -> None:
    """One record is enough, whatever hangs below it."""
    assert allows(guard)
    token = await server.append(revoke(PARENT))

    assert await guard.wait_for(token, 5)
    verdict = guard.check(CHILD)
    assert verdict.reason is Reason.REVOKED
    assert verdict.path == (CHILD, PARENT)


async def test_waiting_for_a_fact_that_does_not_come_ends(guard: Guard) -> None:
    """The caller gets its answer, and check with the token denies."""
    missing = Token("g1", 0, 1_000)

    assert not await guard.wait_for(missing, 0.05)
    assert guard.check(CHILD, at_least=missing).reason is Lapse.NOT_YET_APPLIED


async def test_a_cut_line_denies_within_a_lease(
    server: ScriptedFeed, guard: Guard
) -> None:
    """Nobody told the guard anything: it must stop by itself."""
    server.refuses = True
    server.cut()
    took = await until(lambda: not allows(guard))

    assert took <= LEASE + GRACE
    assert guard.check(CHILD).reason is Lapse.NO_LEASE
    assert guard.check(CHILD, route="fail_open").allowed


async def test_goes_on_after_a_cut_without_a_snapshot(
    server: ScriptedFeed, guard: Guard
) -> None:
    """What was accepted meanwhile comes as a delta."""
    server.cut()
    token = await server.append(revoke(PARENT))

    assert await guard.wait_for(token, 5)
    assert server.hellos[-1]["position"] == len(FAMILY)
    assert server.hellos[-1]["genesis"] == "g1"
    assert not allows(guard)


async def test_comes_back_when_the_server_does(
    server: ScriptedFeed, guard: Guard
) -> None:
    """After any outage, without a restart of the guard."""
    server.refuses = True
    server.cut()
    await until(lambda: not allows(guard))
    server.refuses = False

    await until(lambda: allows(guard))


async def test_a_server_that_stops_answering_pings_is_no_server(
    server: ScriptedFeed, guard: Guard
) -> None:
    """The line stands, facts may even arrive; the proof is missing."""
    server.answers = False
    took = await until(lambda: not allows(guard))

    assert took <= LEASE + GRACE
    assert server.connections

    server.answers = True
    await until(lambda: allows(guard))


async def test_facts_alone_do_not_renew_the_lease(
    server: ScriptedFeed, guard: Guard
) -> None:
    """A proxy that replays old deltas proves nothing about now."""
    server.answers = False
    start = time.monotonic()
    while allows(guard) and time.monotonic() - start < 5:
        await server.append(node(PARENT))
        await asyncio.sleep(0.01)

    assert time.monotonic() - start <= LEASE + GRACE


async def test_a_server_passes_on_only_what_remains_of_its_lease(
    server: ScriptedFeed, guard: Guard
) -> None:
    """A guard behind a guard must not stretch the first one's lease."""
    server.remaining_ms = 0

    assert await until(lambda: not allows(guard)) <= LEASE + GRACE


async def test_denies_while_the_proven_end_is_not_applied(
    server: ScriptedFeed, guard: Guard
) -> None:
    """The server has more facts than it sent: one of them may be a revocation."""
    server.log.append(revoke(PARENT))

    assert await until(lambda: not allows(guard)) <= LEASE + GRACE
    assert guard.check(CHILD).reason is Lapse.NO_LEASE


async def test_a_gap_in_the_deltas_ends_in_a_new_snapshot(
    server: ScriptedFeed, guard: Guard
) -> None:
    """The revocation that was skipped is in the snapshot."""
    server.snapshots.clear()
    server.log.append(revoke(PARENT))
    server.connections[0].position += 1  # skipped
    await server.append(node(PARENT))
    await until(lambda: len(server.hellos) == 2)

    assert server.hellos[1]["position"] is None
    assert guard.check(CHILD).reason is Lapse.NO_LEASE

    server.snapshots.set()
    await until(lambda: guard.check(CHILD).reason is Reason.REVOKED)
    assert await guard.ready(5)


async def test_another_log_is_not_served_before_it_is_read(
    server: ScriptedFeed, guard: Guard
) -> None:
    """The server was restored from elsewhere: positions mean nothing any more."""
    server.snapshots.clear()
    server.genesis = "g2"
    await until(lambda: len(server.hellos) == 2)

    for mode in (Mode.FAIL_CLOSED, Mode.FAIL_OPEN):
        verdict = guard.check(CHILD, route=mode.value)
        assert verdict.reason is Lapse.NOT_CAUGHT_UP

    server.snapshots.set()
    await until(lambda: allows(guard))
    assert guard.standing.replica.genesis == "g2"


async def test_another_log_after_a_reconnect_is_read_anew(
    server: ScriptedFeed, guard: Guard
) -> None:
    """The genesis of the hello does not match, so a snapshot comes."""
    server.genesis, server.log = "g2", [*FAMILY, revoke(PARENT)]
    server.cut()
    await until(lambda: guard.standing.replica.genesis == "g2")

    assert guard.check(CHILD).reason is Reason.REVOKED


async def test_a_log_that_lost_its_tail_is_read_anew(
    server: ScriptedFeed, guard: Guard
) -> None:
    """Same genesis, fewer facts: a disk came back older than what was answered."""
    server.snapshots.clear()
    del server.log[2:]
    await until(lambda: len(server.hellos) == 2)

    assert server.hellos[1]["position"] is None
    assert guard.check(CHILD, route="fail_open").reason is Lapse.NOT_CAUGHT_UP

    server.snapshots.set()
    await until(lambda: allows(guard))
    assert guard.standing.replica.position == 2


async def test_a_snapshot_where_deltas_were_expected_makes_a_new_table(
    server: ScriptedFeed, guard: Guard
) -> None:
    """The server may answer any hello with a snapshot."""
    before = guard.standing.replica
    await server._snapshot(server.connections[0], len(server.log))
    await until(lambda: guard.standing.replica is not before)

    await until(lambda: allows(guard))
    assert guard.feed.connections == 1


@pytest.mark.parametrize("message", [[], {"type": "delta"}, {"type": "pong", "seq": 1}])
async def test_what_cannot_be_read_ends_the_connection(
    server: ScriptedFeed, guard: Guard, message: object
) -> None:
    """And the next one continues where the replica stands."""
    await server.say(message)
    await until(lambda: len(server.hellos) == 2)

    assert server.hellos[1]["position"] == len(FAMILY)
    assert "MalformedError" in str(guard.feed.last_error)
    assert await guard.ready(5)


async def test_what_is_not_json_ends_the_connection(
    server: ScriptedFeed, guard: Guard
) -> None:
    """As does a frame that is no text."""
    await server.connections[0].socket.send_str("{")
    await until(lambda: len(server.hellos) == 2)
    await until(lambda: server.connections)
    await server.connections[0].socket.send_bytes(b"{}")
    await until(lambda: len(server.hellos) == 3)

    assert await guard.ready(5)


async def test_messages_of_later_versions_are_passed_over(
    server: ScriptedFeed, guard: Guard
) -> None:
    """A newer server may say more than this guard understands."""
    await server.say({"type": "advice", "text": "upgrade"})
    token = await server.append(revoke(PARENT))

    assert await guard.wait_for(token, 5)
    assert len(server.hellos) == 1


async def test_a_silent_line_is_given_up(
    server: ScriptedFeed, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-open connection would keep the guard closed for hours."""
    server.answers = False
    monkeypatch.setattr(feed, "SILENCE", 0.05)
    await server.append(node(PARENT))  # the wait under way still has the old limit
    await until(lambda: len(server.hellos) >= 2)
    monkeypatch.setattr(feed, "SILENCE", 5)
    server.answers = True

    assert await guard.ready(5)


async def test_a_refused_credential_never_allows(server: ScriptedFeed) -> None:
    """And the reason can be read, without the credential."""
    async with connect(server, credential="wrong-one") as guard:
        await until(lambda: guard.feed.last_error)

        assert not allows(guard)
        assert "401" in str(guard.feed.last_error)
        assert "wrong-one" not in str(guard.feed.last_error)


async def test_a_correction_swaps_the_table_under_a_running_lease(
    server: ScriptedFeed, guard: Guard
) -> None:
    """Old denials hold until the successor is complete; the first line goes on."""
    server.snapshots.clear()
    await server.append(revoke(PARENT))
    withdraw = Withdraw(
        **SAID | {"authority": "operators"},
        fact_id=fact_id(EDGE).hex(),
        kind=EDGE.NAME,
        target=CHILD,
    )
    token = await server.append(withdraw)
    await until(lambda: len(server.hellos) == 2)

    assert not await guard.wait_for(token, 0.05)
    assert guard.check(CHILD).reason is Reason.REVOKED
    assert len(server.connections) == 2

    server.snapshots.set()
    assert await guard.wait_for(token, 5)
    await until(lambda: allows(guard))
    assert not allows(guard, PARENT)
    await until(lambda: len(server.connections) == 1)


async def test_facts_during_a_rebuild_reach_both_tables(
    server: ScriptedFeed, guard: Guard
) -> None:
    """A revocation need not wait for the rebuild, nor is it lost by it."""
    server.snapshots.clear()
    distrust = Distrust(
        **SAID | {"authority": "operators"},
        suspect="nobody",
        suspect_key="",
        received_from=0,
        received_to=1,
    )
    await server.append(distrust)
    await until(lambda: len(server.hellos) == 2)
    await server.append(revoke(PARENT))
    await until(lambda: guard.check(CHILD).reason is Reason.REVOKED)

    server.snapshots.set()
    await until(lambda: not guard.standing.replica.needs_successor)
    assert await guard.ready(5)
    assert guard.check(CHILD).reason is Reason.REVOKED


async def test_a_successor_whose_line_is_cut_starts_again(
    server: ScriptedFeed, guard: Guard
) -> None:
    """Both lines may break in the middle of a rebuild."""
    server.snapshots.clear()
    edge = Edge(**SAID, child=PARENT, parent=Identifier("vault.accessor", "root"))
    taken = Withdraw(**SAID, fact_id=fact_id(edge).hex(), kind=edge.NAME, target=PARENT)
    token = await server.append(edge, taken)
    await until(lambda: len(server.connections) == 2)
    server.cut()
    await until(lambda: len(server.hellos) >= 4)
    server.snapshots.set()

    assert await guard.wait_for(token, 5)
    assert await guard.ready(5)


async def test_a_large_snapshot_leaves_the_event_loop_alone(
    server: ScriptedFeed, guard: Guard
) -> None:
    """The old table answers while the new one is made, in slices."""
    server.log += [node(Identifier("vault.accessor", str(i))) for i in range(20_000)]
    server.log.append(revoke(PARENT))
    server.cut()
    server.genesis = "g2"
    # Time on the processor, so that a busy machine does not count.
    stops: list[float] = []
    last = time.thread_time()
    while guard.standing.replica.genesis != "g2" and len(stops) < 1_000_000:
        assert guard.check(CHILD).reason is not Reason.REVOKED
        await asyncio.sleep(0)
        stops.append(time.thread_time() - last)
        last += stops[-1]

    assert guard.check(CHILD).reason is Reason.REVOKED
    assert len(stops) > 20_000 / SLICE
    stops.sort()
    assert stops[-5] < 0.05  # collections of garbage aside: 2 ms without a profiler


async def test_leaves_no_connection_behind(server: ScriptedFeed) -> None:
    """Leaving the context ends the feed, from whichever task it is left."""
    guard = connect(server)
    await guard.__aenter__()
    assert await guard.ready(5)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(guard.__aexit__(None, None, None))

    await until(lambda: not server.connections)
    assert not allows(guard) or await until(lambda: not allows(guard)) <= LEASE + GRACE


async def test_an_unreachable_server_is_no_reason_to_fail(
    server: ScriptedFeed,
) -> None:
    """A service starts without Rescind, and denies."""
    server.refuses = True
    async with connect(server) as guard:
        assert not await guard.ready(0.05)
        verdict: Verdict = guard.check(CHILD)

    assert verdict.reason is Lapse.NOT_CAUGHT_UP


async def test_errors_of_the_service_pass_through(server: ScriptedFeed) -> None:
    """The guard's context swallows nothing and wraps nothing."""
    with pytest.raises(ZeroDivisionError):
        async with connect(server):
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("failures", "longest"), [(0, 0.05), (1, 0.1), (4, 0.8), (9, 2.0), (16, 2.0)]
)
def test_pauses_double_up_to_a_limit(failures: int, longest: float) -> None:
    """Each is random between nothing and that, or all guards come back at once."""
    assert feed.pause(failures, lambda: 0.0) == 0.0
    assert feed.pause(failures, lambda: 0.5) == pytest.approx(longest / 2)


async def test_the_example_of_the_guide_denies_what_is_revoked(
    server: ScriptedFeed, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page shows a service that works when it is copied."""
    guide = (repository / "docs" / "guard.md").read_text(encoding="utf-8")
    example = guide.partition("```python\n")[2].partition("```")[0]
    monkeypatch.setenv("RESCIND_URL", server.url)
    monkeypatch.setenv("RESCIND_GUARD_TOKEN", CREDENTIAL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(example, names)  # noqa: S102 - the page of this repository
    session = Identifier("session.id", "s1")
    await server.append(node(session))
    headers = {"X-Session": "s1"}

    async with TestClient(TestServer(names["app"])) as client:
        assert await names["app"][names["GUARD"]].ready(5)
        async with client.get("/orders", headers=headers) as response:
            assert await response.json() == ["order 1"]

        token = await server.append(revoke(session))
        assert await names["app"][names["GUARD"]].wait_for(token, 5)
        async with client.get("/orders", headers=headers) as response:
            assert response.status == 403
            assert await response.text() == "revoked"

"""A guard against a feed server over a real socket: the promise and the lease."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from agents_registry.verdict import Policy
from enforcement import Guard, Lapse, Mode, Token, Verdict, reconnect
from tests.contract.feed_server import CREDENTIAL, ScriptedFeed
from tests.contract.guard_cases import (
    CHILD,
    FAMILY,
    GRACE,
    LEASE,
    OTHER,
    PARENT,
    allows,
    connect,
    node,
    revoke,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.contract


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


async def test_the_first_day_denies_what_is_revoked_and_counts_what_is_unknown(
    server: ScriptedFeed,
) -> None:
    """An observing guard counts it; a lenient one allows it, and denies the dead."""
    lenient = Policy(unknown={OTHER.kind: "allow_and_report"})
    async with (
        Guard(server.url, CREDENTIAL, name="one", mode=Mode.OBSERVE) as observing,
        Guard(server.url, CREDENTIAL, name="two", policy=lenient) as enforcing,
    ):
        assert await observing.ready(5)
        assert await enforcing.ready(5)

        assert observing.check(OTHER).allowed
        assert {"unknown_credential": 1} == observing.counters.observed
        verdict = enforcing.check(OTHER)
        assert (True, ("unknown vault.accessor",)) == (verdict.allowed, verdict.report)
        token = await server.append(revoke(PARENT))
        assert await enforcing.wait_for(token, 5)
        assert enforcing.check(CHILD).reason is Reason.REVOKED


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
    start = allowed = time.monotonic()
    while time.monotonic() - start < 5:
        asked = time.monotonic()
        if not allows(guard):
            break
        allowed = asked
        await server.append(node(PARENT))
        await asyncio.sleep(0.01)

    assert not allows(guard)
    assert allowed - start <= LEASE + GRACE


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
        assert not await guard.ready(0.05, required=False)
        verdict: Verdict = guard.check(CHILD)

    assert verdict.reason is Lapse.NOT_CAUGHT_UP


async def test_errors_of_the_service_pass_through(server: ScriptedFeed) -> None:
    """The guard's context swallows nothing and wraps nothing."""
    with pytest.raises(ZeroDivisionError):
        async with connect(server):
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("failures", "longest"), [(0, 0.05), (1, 0.1), (4, 0.8), (9, 1.4), (16, 1.4)]
)
def test_pauses_double_up_to_a_limit(failures: int, longest: float) -> None:
    """Each is random between nothing and that, or all guards come back at once."""
    assert reconnect.pause(failures, lambda: 0.0) == 0.0
    assert reconnect.pause(failures, lambda: 0.5) == pytest.approx(longest / 2)


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

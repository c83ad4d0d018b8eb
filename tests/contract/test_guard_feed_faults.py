"""A guard whose server loses, repeats or garbles the log."""

from __future__ import annotations

import pytest

from agents_registry.life import Reason
from enforcement import Guard, Lapse, Mode, feed
from tests.contract.feed_server import ScriptedFeed
from tests.contract.guard_cases import (
    CHILD,
    FAMILY,
    OTHER,
    PARENT,
    allows,
    connect,
    node,
    revoke,
    until,
)

pytestmark = pytest.mark.contract

HOURS = 10_000.0


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


async def test_another_logs_snapshot_is_met_at_once(
    server: ScriptedFeed, guard: Guard
) -> None:
    """No pong has named the new log yet: its first chunk alone ends the old table."""
    server.answers = False
    chunk = {
        "type": "snapshot", "genesis": "g2", "realm": "acme", "offset": 9,
        "vocabulary": {}, "facts": [], "more": True,
    }  # fmt: skip
    await server.say(chunk)

    await until(lambda: guard.check(CHILD).reason is Lapse.NOT_CAUGHT_UP)
    assert guard.check(CHILD, route="fail_open").reason is Lapse.NOT_CAUGHT_UP


async def test_a_snapshot_of_another_log_keeps_what_the_old_one_denied(
    server: ScriptedFeed, guard: Guard
) -> None:
    """As after a reconnect: the new log may be a backup that lost a revocation."""
    token = await server.append(revoke(PARENT))
    assert await guard.wait_for(token, 5)
    server.genesis, server.log = "g2", [*FAMILY, node(OTHER)]
    await server._snapshot(server.connections[0], len(server.log))
    await until(lambda: guard.check(OTHER).allowed)

    assert guard.check(CHILD).reason is Reason.REVOKED


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


async def test_another_line_is_made_beside_a_silent_one(
    server: ScriptedFeed, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the silent one is given up."""
    monkeypatch.setattr(feed, "SILENCE", HOURS)
    server.answers = False
    await server.append(node(PARENT))
    await until(lambda: len(server.hellos) >= 2)
    server.answers = True

    assert await guard.ready(5)
    assert server.hellos[1]["position"] == len(server.log)


async def test_a_silent_line_is_kept_where_no_other_can_be_made(
    server: ScriptedFeed, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And used once it speaks again."""
    monkeypatch.setattr(feed, "SILENCE", HOURS)
    server.refuses, server.answers = True, False
    await server.append(node(PARENT))
    await until(lambda: server.refused >= 2)
    server.answers = True

    assert await guard.ready(5)
    assert len(server.hellos) == 1


async def test_a_long_lease_lets_no_line_fall_silent(
    server: ScriptedFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but pongs may come for hours; they have to come often enough."""
    monkeypatch.setattr(feed, "SILENCE", 0.4)
    async with connect(server, lease=60) as guard:
        assert await guard.ready(5)
        await until(lambda: server.pings >= 10)

        assert len(server.hellos) < server.pings / 2


async def test_a_refused_credential_never_allows(server: ScriptedFeed) -> None:
    """And the reason can be read, without the credential."""
    async with connect(server, credential="wrong-one") as guard:
        await until(lambda: guard.feed.last_error)

        assert not allows(guard)
        assert "401" in str(guard.feed.last_error)
        assert "wrong-one" not in str(guard.feed.last_error)


@pytest.mark.parametrize("genesis", ["g1", "g2"])
async def test_what_a_lost_log_denied_stays_denied(
    server: ScriptedFeed, guard: Guard, genesis: str
) -> None:
    """The server was restored from a backup that is older than a revocation."""
    tokens = [await server.append(revoke(PARENT)) for _ in range(3)]
    assert await guard.wait_for(tokens[-1], 5)
    assert guard.check(CHILD).reason is Reason.REVOKED

    server.genesis, server.log = genesis, [*FAMILY, node(OTHER)]
    server.cut()
    await until(lambda: guard.check(OTHER).allowed)

    assert guard.check(CHILD).reason is Reason.REVOKED


async def test_a_gap_keeps_no_second_table(server: ScriptedFeed, guard: Guard) -> None:
    """It is the same log: what is taken back there is no longer denied."""
    server.connections[0].position += 1  # skipped
    await server.append(node(OTHER))
    await server.append(node(PARENT))
    await until(lambda: guard.check(OTHER).allowed)

    assert guard.standing.kept == ()

"""Bugs planted into a relay are caught by its tests."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from streams.engines.kafka.relay.fed_log import RelayedLog
from streams.engines.kafka.relay.fed_replica import FedReplica, SpreadTail
from streams.engines.kafka.relay.relayed_roll import RelayedRoll
from tests.unit import test_kafka_relay as relay

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.services.feed_frames import DeltaFrame

pytestmark = pytest.mark.planted


def vouches_by_its_own_clock(patch: pytest.MonkeyPatch) -> None:
    """Answer with a whole lease, as the only writer of a log may."""
    patch.setattr(RelayedLog, "remaining", lambda *_: round(relay.LEASE * 1000))


def serves_before_closure_can_know(patch: pytest.MonkeyPatch) -> None:
    """Use an end that was asked for before the registration."""
    right = RelayedLog.remaining

    def remaining(log: RelayedLog, since: int | None, lease: int) -> int:
        return right(log, None if since is None else 0, lease)

    patch.setattr(RelayedLog, "remaining", remaining)


def outlives_a_short_lease(patch: pytest.MonkeyPatch) -> None:
    """Count every guard's lease as the relay's own."""
    right = RelayedLog.remaining
    patch.setattr(RelayedLog, "remaining", lambda log, since, _: right(log, since, 0))


def keeps_members_over_a_lapse(patch: pytest.MonkeyPatch) -> None:
    """Serve whom closure may have let go."""
    patch.setattr(RelayedRoll, "_stands", lambda _, member, now: now < member.until)


def sends_what_is_not_proven(patch: pytest.MonkeyPatch) -> None:
    """Pass on facts that follow a record that it cannot read."""
    right = SpreadTail.at

    def at(tail: SpreadTail, position: int, _: int) -> DeltaFrame | None:
        return right(tail, position, 1 << 62)

    patch.setattr(SpreadTail, "at", at)


def passes_over_facts(patch: pytest.MonkeyPatch) -> None:
    """Say that offsets hold nothing, whatever they hold."""
    right = FedReplica._move

    def move(replica: FedReplica, end: int) -> None:
        replica._coming = replica._coming[:1]
        right(replica, end)

    patch.setattr(FedReplica, "_move", move)


BUGS: dict[Callable[[pytest.MonkeyPatch], None], Any] = {
    vouches_by_its_own_clock: relay.test_a_pong_carries_what_is_left_of_the_proof,
    serves_before_closure_can_know: relay.test_a_pong_carries_what_is_left_of_the_proof,
    outlives_a_short_lease: relay.test_a_shorter_lease_runs_from_the_question_too,
    keeps_members_over_a_lapse: relay.test_a_proof_that_lapsed_ends_the_membership_too,
    sends_what_is_not_proven: relay.test_a_frame_beyond_what_is_proven_is_not_sent,
    passes_over_facts: relay.test_every_position_leads_to_the_end_over_shared_frames,
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_it_is_caught(
    bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test passes without the bug, and fails with it."""
    test = BUGS[bug]

    def run() -> None:
        if inspect.iscoroutinefunction(test):
            asyncio.run(test())
        else:
            test()

    run()
    bug(monkeypatch)
    with pytest.raises(AssertionError):
        run()

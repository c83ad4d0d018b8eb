"""Bugs planted into a relay are caught by its tests."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from agents_registry.steps import finish
from streams.engines.kafka.relay import fed_replica, relayed_roll
from streams.engines.kafka.relay.fed_log import RelayedLog
from streams.engines.kafka.relay.fed_replica import FedReplica
from streams.engines.kafka.relay.peer_table import PeerTable
from streams.engines.kafka.relay.relayed_roll import RelayedRoll
from streams.engines.kafka.relay.relayed_table import RelayedTable
from streams.engines.upstream.passed_table import PassedStanding
from streams.http import passed_feed
from streams.http.feed import FeedServer
from streams.http.passed_feed import _Passage
from streams.services.spread_tail import SpreadTail
from tests.unit import test_feed_for_relays as level
from tests.unit import test_kafka_relay as relay
from tests.unit import test_large_frames as large
from tests.unit import test_passed_feed as passed
from tests.unit import test_passed_log as passed_log
from tests.unit import test_relayed_table as table

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


def signs_for_all_in_one_turn(patch: pytest.MonkeyPatch) -> None:
    """Hold the loop for as long as there are guards with something to say."""

    async def at_once(steps: Any) -> Any:
        return finish(steps)

    patch.setattr(relayed_roll, "in_turns", at_once)


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


def takes_the_table_of_any_log(patch: pytest.MonkeyPatch) -> None:
    """Believe a peer where it has read another log."""
    right = FedReplica.begin

    def begin(replica: FedReplica, genesis: str, start: int, target: int) -> None:
        offered = replica.offered
        if offered is not None:
            replica.offered = PeerTable(
                genesis, min(offered.offset, target), offered.registry
            )
        right(replica, genesis, start, target)

    patch.setattr(FedReplica, "begin", begin)


def believes_what_a_table_claims(patch: pytest.MonkeyPatch) -> None:
    """Read nothing again of what a peer says to have read."""
    patch.setattr(fed_replica, "lacks", lambda *_: False)


def gives_a_table_with_a_hole(patch: pytest.MonkeyPatch) -> None:
    """Say that the table has what could not be read."""
    patch.setattr(RelayedTable, "is_set", lambda table: table._log.serves)


def packs_a_table_that_changes(patch: pytest.MonkeyPatch) -> None:
    """Merge on while it is packed."""
    never = property(lambda _: False, lambda *_: None)
    patch.setattr(FedReplica, "resting", never, raising=False)


def forgets_that_the_log_lost_its_end(patch: pytest.MonkeyPatch) -> None:
    """Go on from offsets that come again with other facts."""
    never = property(lambda _: False, lambda *_: None)
    patch.setattr(PassedStanding, "gone", never, raising=False)


def takes_a_proof_of_any_log(patch: pytest.MonkeyPatch) -> None:
    """Pass every pong on, whatever log it is of."""
    right = _Passage._passed

    async def passed(passage: _Passage, text: str) -> str | None:
        return text if '"pong"' in text else await right(passage, text)

    patch.setattr(_Passage, "_passed", passed)


def passes_a_late_upstream_on(patch: pytest.MonkeyPatch) -> None:
    """Let a guard believe that its log lost its end."""
    patch.setattr(_Passage, "_caught_up", lambda _, __, text: text)


def takes_any_answer_for_one_that_facts_overtook(patch: pytest.MonkeyPatch) -> None:
    """Let an upstream vouch for facts that it lacks."""
    right = _Passage._ask

    def ask(passage: _Passage, ping: dict[str, Any]) -> None:
        right(passage, ping)
        passage._asked = dict.fromkeys([ping["seq"]], 1)

    patch.setattr(_Passage, "_ask", ask)


def answers_before_it_is_level(patch: pytest.MonkeyPatch) -> None:
    """Prove nothing to guards whose facts another server sent."""

    async def reach(*_: object) -> None:
        return

    patch.setattr(FeedServer, "_reach", reach)


def waits_for_an_upstream_that_is_gone(patch: pytest.MonkeyPatch) -> None:
    """Keep a guard whose pings nobody answers."""
    patch.setattr(passed_feed, "REGISTERING", 1 << 30)


def passes_facts_on_twice(patch: pytest.MonkeyPatch) -> None:
    """Send what the shared connection brings once more."""
    patch.setattr(passed_feed, "FACTS", frozenset())


def reads_large_frames_at_once(patch: pytest.MonkeyPatch) -> None:
    """Hold the loop while an upstream's frame is read."""

    async def decoded(text: str) -> Any:
        return orjson.loads(text)

    patch.setattr(passed_feed, "decoded", decoded)


BUGS: dict[Callable[[pytest.MonkeyPatch], None], Any] = {
    vouches_by_its_own_clock: relay.test_a_pong_carries_what_is_left_of_the_proof,
    serves_before_closure_can_know: relay.test_a_pong_carries_what_is_left_of_the_proof,
    outlives_a_short_lease: relay.test_a_shorter_lease_runs_from_the_question_too,
    keeps_members_over_a_lapse: relay.test_a_proof_that_lapsed_ends_the_membership_too,
    signs_for_all_in_one_turn: (
        relay.test_receipts_of_very_many_guards_are_made_in_turns
    ),
    sends_what_is_not_proven: relay.test_a_frame_beyond_what_is_proven_is_not_sent,
    passes_over_facts: relay.test_every_position_leads_to_the_end_over_shared_frames,
    takes_the_table_of_any_log: table.test_a_table_of_another_log_is_left,
    believes_what_a_table_claims: table.test_a_table_that_lacks_a_revocation_is_left,
    gives_a_table_with_a_hole: (
        table.test_no_table_lacks_a_record_that_a_newer_version_wrote
    ),
    forgets_that_the_log_lost_its_end: (
        passed_log.test_a_log_that_lost_its_end_is_begun_anew
    ),
    takes_a_proof_of_any_log: (passed.test_a_pong_of_another_log_ends_the_connection),
    passes_a_late_upstream_on: (passed.test_a_pong_below_what_was_sent_proves_nothing),
    takes_any_answer_for_one_that_facts_overtook: (
        passed.test_an_upstream_that_lacks_what_was_sent_proves_nothing
    ),
    answers_before_it_is_level: (
        level.test_a_server_that_is_behind_by_a_moment_answers_when_it_is_level
    ),
    waits_for_an_upstream_that_is_gone: (
        partial(
            passed.test_a_guard_whose_pings_bring_nothing_comes_again, first_word=False
        )
    ),
    passes_facts_on_twice: passed.test_facts_come_once,
    reads_large_frames_at_once: (
        large.test_a_large_frame_that_has_to_be_read_does_not_hold_the_loop
    ),
    packs_a_table_that_changes: (
        table.test_the_log_is_read_on_while_the_table_stands_still
    ),
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
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run()

"""Bugs planted into the direct way of the feed are caught by its tests."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from streams.http import direct_path, fact_sender
from streams.http.connections import Connections
from streams.http.direct_path import DirectPath
from streams.http.fact_sender import FactSender
from streams.http.feed import FeedServer
from streams.http.guard_connection import Connection
from streams.http.shared_frames import SharedFrames
from streams.http.text_frames import ClientFrames
from tests.property import test_direct_feed as worlds
from tests.unit import test_connections as connections
from tests.unit import test_direct_feed as direct

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.planted


def shares_what_is_left(patch: pytest.MonkeyPatch) -> None:
    """Answer a ping with what was left when another one came, out of the same proof."""
    right = FeedServer._proof
    made: dict[tuple[int, int], int] = {}

    def proof(feed: FeedServer, connection: Connection, seq: Any) -> dict[str, Any]:
        told = right(feed, connection, seq)
        key = id(feed), feed._log.asked  # type: ignore[attr-defined]
        left = made.setdefault(key, told["remaining_ms"])
        return told | {"remaining_ms": left}

    patch.setattr(FeedServer, "_proof", proof)


def says_the_end_of_what_is_not_sent(patch: pytest.MonkeyPatch) -> None:
    """Prove the position of a guard, though facts follow."""
    right = FeedServer._proof

    def proof(feed: FeedServer, connection: Connection, seq: Any) -> dict[str, Any]:
        return right(feed, connection, seq) | {"end": connection.position}

    patch.setattr(FeedServer, "_proof", proof)


def answers_before_the_registration(patch: pytest.MonkeyPatch) -> None:
    """Answer pings while closure cannot know the guard."""
    right = FeedServer._register

    async def register(feed: FeedServer, connection: Connection, *more: Any) -> None:
        assert connection.path is not None
        connection.path.answer = partial(feed._at_once, connection)
        direct.say(connection, connection.socket, direct.ping(9))  # type: ignore[arg-type]
        await right(feed, connection, *more)

    patch.setattr(FeedServer, "_register", register)


def overtakes_what_waits(patch: pytest.MonkeyPatch) -> None:
    """Answer at once, whatever is waiting on the long way."""
    never = property(lambda _: 0, lambda *_: None)
    patch.setattr(DirectPath, "_waiting", never, raising=False)


def writes_to_who_does_not_read(patch: pytest.MonkeyPatch) -> None:
    """Keep any number of frames for a guard."""
    patch.setattr(DirectPath, "free", property(lambda _: True))


def writes_beside_the_task(patch: pytest.MonkeyPatch) -> None:
    """Send a guard facts though its task is sending it some."""
    reads = property(lambda it: it.path is not None and it.path.free)
    patch.setattr(Connection, "direct", reads)
    right = FactSender._send_piece

    async def piece(
        feed: FactSender, connection: Connection, *about: Any, more: bool
    ) -> None:
        connection.ready = True
        await right(feed, connection, *about, more=more)

    patch.setattr(FactSender, "_send_piece", piece)


def sends_frames_of_an_earlier_end(patch: pytest.MonkeyPatch) -> None:
    """Keep what was made for guards at a place, however the log goes on."""

    def since(frames: SharedFrames, position: int) -> tuple[bytes, int]:
        frames._end = frames._log.end
        if position not in frames._made:
            frames._made[position] = frames._join(position)
        return frames._made[position]

    patch.setattr(SharedFrames, "since", since)


def sends_frames_of_another_log(patch: pytest.MonkeyPatch) -> None:
    """Keep what was made when the log becomes another one."""
    patch.setattr(SharedFrames, "drop", lambda _: None)


def leaves_out_who_is_not_served_in_the_turn(patch: pytest.MonkeyPatch) -> None:
    """Forget guards that a turn had no time for."""
    right = FactSender._spread

    def spread(feed: FactSender) -> None:
        right(feed)
        for each in feed._due:
            each.due = False
        feed._due.clear()

    patch.setattr(FactSender, "_spread", spread)


def writes_to_all_in_one_turn(patch: pytest.MonkeyPatch) -> None:
    """Hold the loop for as long as there are guards."""
    patch.setattr(fact_sender, "TURN_SECONDS", 1e9)


def answers_a_flood_in_one_turn(patch: pytest.MonkeyPatch) -> None:
    """Hold the loop for as long as a piece has pings."""
    patch.setattr(direct_path, "BURST", 1 << 30)


def answers_behind_its_farewell(patch: pytest.MonkeyPatch) -> None:
    """Say something after the end was announced."""

    async def close(connection: Connection, code: int, message: bytes = b"") -> None:
        await connection.socket.close(code=code, message=message)

    patch.setattr(Connection, "close", close)


def guesses_where_frames_begin(patch: pytest.MonkeyPatch) -> None:
    """Look for frames though it is not known what came behind the request."""
    right = Connections.first_look

    def first_look(all_: Connections, request: Any, look: Any) -> bytes | None:
        entry = all_._by_transport[request.transport]
        entry.rest = entry.rest or b""
        return right(all_, request, look)

    patch.setattr(Connections, "first_look", first_look)


def keeps_what_was_handed_on(patch: pytest.MonkeyPatch) -> None:
    """Give the beginning of a frame out again with its end."""
    patch.setattr(ClientFrames, "hand_on", lambda _: None)


BUGS: dict[Callable[[pytest.MonkeyPatch], None], Any] = {
    shares_what_is_left: (
        direct.test_each_ping_gets_what_is_left_of_the_proof_when_it_comes
    ),
    says_the_end_of_what_is_not_sent: partial(
        worlds.test_no_fact_of_a_lease_ago_is_missing, 0
    ),
    answers_before_the_registration: (
        direct.test_no_ping_is_answered_before_the_registration_is_written
    ),
    overtakes_what_waits: direct.test_what_a_guard_says_keeps_its_order,
    writes_to_who_does_not_read: (
        direct.test_a_guard_that_does_not_read_is_sent_by_its_task
    ),
    writes_beside_the_task: direct.test_a_guard_that_starts_is_sent_by_its_task,
    sends_frames_of_an_earlier_end: (
        direct.test_frames_that_were_made_for_an_end_are_not_sent_at_a_later_one
    ),
    sends_frames_of_another_log: (
        direct.test_a_new_log_forgets_the_frames_of_the_old_one
    ),
    leaves_out_who_is_not_served_in_the_turn: (
        direct.test_very_many_guards_are_written_to_in_turns
    ),
    writes_to_all_in_one_turn: direct.test_very_many_guards_are_written_to_in_turns,
    answers_a_flood_in_one_turn: direct.test_a_flood_of_pings_is_answered_in_turns,
    answers_behind_its_farewell: direct.test_a_farewell_is_the_last_word,
    keeps_what_was_handed_on: partial(
        direct.test_what_came_with_the_request_goes_the_long_way_once, 3, 5
    ),
    guesses_where_frames_begin: partial(
        connections.test_where_a_request_ended_is_known_or_nothing_is_looked_at,
        (connections.ASKED, b"hello"),
    ),
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_it_is_caught(bug: Callable[[pytest.MonkeyPatch], None]) -> None:
    """The test passes without the bug, and fails with it."""
    test = BUGS[bug]

    def run() -> None:
        with pytest.MonkeyPatch.context() as own:
            needs = inspect.signature(test).parameters
            test(own) if "monkeypatch" in needs else test()

    run()
    with pytest.MonkeyPatch.context() as patch:
        bug(patch)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            run()


def test_what_is_shared_outlives_the_proof_in_random_worlds() -> None:
    """The worlds see it too, by a fact that is missing for longer than a lease."""

    def run() -> None:
        for seed in range(4):
            worlds.test_no_fact_of_a_lease_ago_is_missing(seed)

    with pytest.MonkeyPatch.context() as patch:
        shares_what_is_left(patch)
        with pytest.raises(AssertionError):
            run()

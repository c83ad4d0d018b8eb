"""The health record of a stream: what changes it, and what is worth a finding."""

from __future__ import annotations

import attrs
import pytest

from streams.model.findings import FindingKind
from streams.model.times import SECOND
from streams.ssf import health as steps
from streams.ssf.health import StreamHealth

pytestmark = pytest.mark.unit

NOW = 1_800_000_000 * SECOND
MINUTE = 60 * SECOND


def test_a_verification_must_have_a_state_that_was_asked_with() -> None:
    """One that nobody asked for by that state is no proof."""
    asking = steps.asked(steps.asked(StreamHealth(), "one", NOW), "two", NOW)

    assert steps.verified(asking, "three", 1, NOW) is None
    first = steps.verified(asking, "one", 1, NOW + 1)
    assert first is not None
    assert (("two",), NOW + 1) == (first.asked, first.verified_at)
    both = steps.verified(asking, "two", 1, NOW + 2)
    assert both is not None
    assert () == both.asked


def test_a_verification_that_comes_again_is_taken_and_proves_nothing() -> None:
    """Transmitters repeat what they got no answer for, and send in no order."""
    asking = steps.asked(steps.asked(StreamHealth(), "one", NOW), "two", NOW)
    both = steps.verified(asking, "two", 5, NOW + 1)
    assert both is not None
    for state in ("two", "one"):
        again = steps.verified(both, state, 5, NOW + MINUTE)
        assert again is not None
        assert (NOW + 1, NOW + 1) == (again.verified_at, again.heard_at)
    kept = steps.verified(steps.load(steps.save(both)), "two", 5, NOW)
    assert kept is not None
    health = both
    for number in range(100):
        found = steps.verified(
            steps.asked(health, str(number), NOW), str(number), 6, NOW
        )
        assert found is not None
        health = found
    assert steps.STATES == len(health.answered)


def test_a_transmitter_may_verify_by_itself() -> None:
    """Then there is no state, and what we asked for may still come."""
    health = steps.verified(steps.asked(StreamHealth(), "one", NOW), None, 1, NOW)
    assert health is not None
    assert (NOW, ("one",)) == (health.verified_at, health.asked)


def test_verifications_that_never_come_are_not_kept_for_ever() -> None:
    """The newest can still come from behind a queue."""
    health = StreamHealth()
    for number in range(100):
        health = steps.asked(health, str(number), NOW)
    assert steps.STATES == len(health.asked)
    assert "99" == health.asked[-1]


def test_a_paused_stream_is_a_finding_and_leaves_a_gap() -> None:
    """A receiver cannot know what was dropped meanwhile."""
    enabled, notices = steps.updated(StreamHealth(), "enabled", "", NOW)
    assert () == notices
    paused, notices = steps.updated(enabled, "paused", "upkeep", NOW + MINUTE)
    assert [FindingKind.SOURCE_STOPPED] == [one.kind for one in notices]
    assert "upkeep" in notices[0].detail
    assert not paused.good
    again, notices = steps.updated(paused, "paused", "upkeep", NOW + 2 * MINUTE)
    assert () == notices
    disabled, notices = steps.updated(again, "disabled", "", NOW + 3 * MINUTE)
    assert [FindingKind.SOURCE_STOPPED] == [one.kind for one in notices]
    back, notices = steps.updated(disabled, "enabled", "", NOW + 4 * MINUTE)
    assert [FindingKind.SOURCE_GAP] == [one.kind for one in notices if not one.over]
    assert (NOW + MINUTE, NOW + 4 * MINUTE) == back.gap
    assert back.good


def test_a_stream_that_was_found_stopped_leaves_a_gap_too() -> None:
    """As after a first start during a pause."""
    stopped, notices = steps.updated(StreamHealth(), "paused", "", NOW)
    assert [FindingKind.SOURCE_STOPPED] == [one.kind for one in notices]
    back, _ = steps.updated(stopped, "enabled", "", NOW + MINUTE)
    assert (NOW, NOW + MINUTE) == back.gap


def test_a_stream_that_flows_again_ends_the_finding_that_it_stood_still() -> None:
    """Whatever it was called meanwhile; the gap is another finding."""
    stopped, _ = steps.updated(StreamHealth(), "paused", "", NOW)
    stopped, _ = steps.updated(stopped, "disabled", "", NOW + 1)

    _, notices = steps.updated(stopped, "enabled", "", NOW + MINUTE)

    assert [(FindingKind.SOURCE_STOPPED, True), (FindingKind.SOURCE_GAP, False)] == [
        (one.kind, one.over) for one in notices
    ]
    assert steps.updated(StreamHealth(), "enabled", "", NOW)[1] == ()


def test_the_finding_on_a_silent_stream_is_over_when_it_is_heard() -> None:
    """Also by another process; not by a start of ours."""
    silent, _ = steps.waited(StreamHealth(started_at=NOW), MINUTE, NOW + MINUTE + 1)
    again = attrs.evolve(steps.load(steps.save(silent)), started_at=NOW + 2 * MINUTE)
    waits, none = steps.waited(again, MINUTE, NOW + 2 * MINUTE + 1)
    assert (True, ()) == (waits.silent, none)

    other = StreamHealth(heard_at=NOW + 2 * MINUTE)
    heard = steps.heard(waits, 1, NOW + 2 * MINUTE)
    for health in (heard, steps.alongside(waits, other)):
        back, (over,) = steps.waited(health, MINUTE, NOW + 2 * MINUTE + 1)
        assert (FindingKind.SOURCE_SILENT, True) == (over.kind, over.over)
        assert steps.waited(back, MINUTE, NOW + 2 * MINUTE + 2) == (back, ())
    _, (over,) = steps.waited(waits, 0, NOW + 2 * MINUTE + 1)
    assert over.over


def test_silence_is_one_finding_until_something_is_heard() -> None:
    """It counts from the start, then from the last event of any kind."""
    health, notices = steps.waited(StreamHealth(), MINUTE, NOW)
    assert (NOW, ()) == (health.started_at, notices)
    health, notices = steps.waited(health, MINUTE, NOW + MINUTE)
    assert () == notices
    health, notices = steps.waited(health, MINUTE, NOW + MINUTE + 1)
    assert [FindingKind.SOURCE_SILENT] == [one.kind for one in notices]
    assert (True, False) == (health.silent, health.good)
    health, notices = steps.waited(health, MINUTE, NOW + 9 * MINUTE)
    assert () == notices
    health = steps.heard(health, 1, NOW + 9 * MINUTE)
    assert health.good
    health, notices = steps.waited(health, MINUTE, NOW + 9 * MINUTE)
    assert [True] == [one.over for one in notices]
    health, notices = steps.waited(health, MINUTE, NOW + 11 * MINUTE)
    assert [FindingKind.SOURCE_SILENT] == [one.kind for one in notices]


def test_without_patience_nothing_is_silent() -> None:
    """A stream of which nobody knows how often it should speak."""
    health, _ = steps.waited(StreamHealth(), 0, NOW)
    assert ((health, ())) == steps.waited(health, 0, NOW + 1000 * MINUTE)


def test_the_record_is_the_same_after_it_was_kept() -> None:
    """Also where another version wrote a member that this one has not."""
    health = StreamHealth(
        status="paused", reason="why", since=1, started_at=2, heard_at=3,
        verified_at=4, asked=("a", "b"), answered=("c",), asked_at=5, accepted=6,
        refused=7, refusal="invalid_key", refused_at=8, newest=1.5, said=2.5,
        gap=(9, 10), silent=True, told=True, trouble="t", poll_trouble="p",
    )  # fmt: skip
    assert all(attrs.astuple(health))
    assert health == steps.load(steps.save(health))
    assert StreamHealth() == steps.load(steps.save(StreamHealth()))
    assert health == steps.load(steps.save(health).replace(b"{", b'{"new":1,', 1))


def test_a_copy_of_an_old_event_does_not_hide_a_silence() -> None:
    """Neither a revocation nor a verification that the transmitter sent by itself."""
    health = steps.heard(StreamHealth(started_at=NOW), 100, NOW)
    health, _ = steps.waited(health, MINUTE, NOW + 2 * MINUTE)
    assert health.silent
    copied = steps.heard(health, 100, NOW + 3 * MINUTE)
    assert (True, NOW, 2) == (copied.silent, copied.heard_at, copied.accepted)
    verified = steps.verified(health, None, 99, NOW + 3 * MINUTE)
    assert verified is not None
    assert (True, None) == (verified.silent, verified.verified_at)
    fresh = steps.verified(health, None, 101, NOW + 3 * MINUTE)
    assert fresh is not None
    assert (False, NOW + 3 * MINUTE) == (fresh.silent, fresh.verified_at)


def test_an_answer_with_our_state_counts_however_late_it_is() -> None:
    """Nobody can have it beforehand; others may have overtaken it."""
    health = steps.heard(steps.asked(StreamHealth(silent=True), "one", NOW), 100, NOW)
    health = attrs.evolve(health, silent=True)
    answered = steps.verified(health, "one", 50, NOW + MINUTE)
    assert answered is not None
    assert (False, NOW + MINUTE) == (answered.silent, answered.verified_at)


def test_an_announcement_that_was_overtaken_changes_nothing() -> None:
    """Transmitters repeat in no order."""
    health, _ = steps.announced(StreamHealth(), "enabled", "", 200, NOW)
    late, notices = steps.announced(health, "paused", "", 199, NOW + MINUTE)
    assert ("enabled", (), 2) == (late.status, notices, late.accepted)
    same, notices = steps.announced(health, "paused", "", 200, NOW + MINUTE)
    assert ("paused", 1) == (same.status, len(notices))


def test_what_another_process_heard_ends_a_silence() -> None:
    """A stream may be pushed to any of several; a copy of the old changes nothing."""
    silent = StreamHealth(heard_at=NOW, silent=True)
    other = StreamHealth(heard_at=NOW + MINUTE, verified_at=NOW)

    found = steps.alongside(silent, other)

    assert (NOW + MINUTE, NOW, False) == (
        found.heard_at, found.verified_at, found.silent
    )  # fmt: skip
    assert silent is steps.alongside(silent, StreamHealth(heard_at=NOW - MINUTE))

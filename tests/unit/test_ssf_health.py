"""The health record of a stream: what changes it, and what is worth a finding."""

from __future__ import annotations

import attrs
import pytest

from streams.findings import FindingKind
from streams.ssf import health as steps
from streams.ssf.health import Health
from streams.times import SECOND

pytestmark = pytest.mark.unit

NOW = 1_800_000_000 * SECOND
MINUTE = 60 * SECOND


def test_a_verification_must_have_a_state_that_was_asked_with() -> None:
    """One that nobody asked for by that state is no proof."""
    asking = steps.asked(steps.asked(Health(), "one", NOW), "two", NOW)

    assert steps.verified(asking, "three", NOW) is None
    first = steps.verified(asking, "one", NOW + 1)
    assert first is not None
    assert (("two",), NOW + 1) == (first.asked, first.verified_at)
    assert steps.verified(first, "one", NOW + 2) is None
    both = steps.verified(asking, "two", NOW + 2)
    assert both is not None
    assert () == both.asked


def test_a_transmitter_may_verify_by_itself() -> None:
    """Then there is no state, and what we asked for may still come."""
    health = steps.verified(steps.asked(Health(), "one", NOW), None, NOW)
    assert health is not None
    assert (NOW, ("one",)) == (health.verified_at, health.asked)


def test_verifications_that_never_come_are_not_kept_for_ever() -> None:
    """The newest can still come from behind a queue."""
    health = Health()
    for number in range(100):
        health = steps.asked(health, str(number), NOW)
    assert steps.STATES == len(health.asked)
    assert "99" == health.asked[-1]


def test_a_paused_stream_is_a_finding_and_leaves_a_gap() -> None:
    """A receiver cannot know what was dropped meanwhile."""
    enabled, notices = steps.updated(Health(), "enabled", "", NOW)
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
    assert [FindingKind.SOURCE_GAP] == [one.kind for one in notices]
    assert (NOW + MINUTE, NOW + 4 * MINUTE) == back.gap
    assert back.good


def test_a_stream_that_was_found_stopped_leaves_a_gap_too() -> None:
    """As after a first start during a pause."""
    stopped, notices = steps.updated(Health(), "paused", "", NOW)
    assert [FindingKind.SOURCE_STOPPED] == [one.kind for one in notices]
    back, _ = steps.updated(stopped, "enabled", "", NOW + MINUTE)
    assert (NOW, NOW + MINUTE) == back.gap


def test_silence_is_one_finding_until_something_is_heard() -> None:
    """It counts from the start, then from the last event of any kind."""
    health, notices = steps.waited(Health(), MINUTE, NOW)
    assert (NOW, ()) == (health.started_at, notices)
    health, notices = steps.waited(health, MINUTE, NOW + MINUTE)
    assert () == notices
    health, notices = steps.waited(health, MINUTE, NOW + MINUTE + 1)
    assert [FindingKind.SOURCE_SILENT] == [one.kind for one in notices]
    assert (True, False) == (health.silent, health.good)
    health, notices = steps.waited(health, MINUTE, NOW + 9 * MINUTE)
    assert () == notices
    health = steps.heard(health, NOW + 9 * MINUTE)
    assert health.good
    health, notices = steps.waited(health, MINUTE, NOW + 11 * MINUTE)
    assert [FindingKind.SOURCE_SILENT] == [one.kind for one in notices]


def test_without_patience_nothing_is_silent() -> None:
    """A stream of which nobody knows how often it should speak."""
    health, _ = steps.waited(Health(), 0, NOW)
    assert ((health, ())) == steps.waited(health, 0, NOW + 1000 * MINUTE)


def test_the_record_is_the_same_after_it_was_kept() -> None:
    """Also where another version wrote a member that this one has not."""
    health = Health(
        status="paused", reason="why", since=1, started_at=2, heard_at=3,
        verified_at=4, asked=("a", "b"), asked_at=5, accepted=6, refused=7,
        refusal="invalid_key", refused_at=8, gap=(9, 10), silent=True, trouble="t",
        poll_trouble="p",
    )  # fmt: skip
    assert all(attrs.astuple(health))
    assert health == steps.load(steps.save(health))
    assert Health() == steps.load(steps.save(Health()))
    assert health == steps.load(steps.save(health).replace(b"{", b'{"new":1,', 1))

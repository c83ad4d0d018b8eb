"""Rosters: what changed, what stayed, what went, and what needs no word."""

from __future__ import annotations

import pytest

from agents_registry.identifiers import Identifier
from streams.adopt.roster import (
    ReportedEntries,
    Roster,
    compare,
    from_text,
    to_text,
    updated,
)
from streams.model.times import SECOND, rfc3339
from streams.sources.adopting.listing import Listing, ListingError

pytestmark = pytest.mark.unit

NOW = 1_790_000_000 * SECOND
SOON = rfc3339(NOW + SECOND)
STAMP = "2026-11-26T00:00:00Z"


def listing(*names: str, **more: str | None) -> Listing:
    """Give a listing of tokens that have a path in common."""
    listed = Listing()
    for name in names:
        listed.add(Identifier("t", name), expires_at=more.get(name))
        listed.imply(Identifier("path", "p"))
    return listed


def after(roster: Roster, listed: Listing, *gone: str) -> Roster:
    """Give the roster after a run, as it is read from its file."""
    return from_text(to_text(updated(roster, listed, ReportedEntries(gone, (), STAMP))))


EMPTY = Roster("vault https://v", "vault")


def test_a_first_run_sends_all_and_a_second_nothing() -> None:
    """Also where only the time of a suspension is another."""
    first = listing("a", "b")
    roster = after(EMPTY, first)
    first.add(Identifier("t", "a"), suspended_at=STAMP)
    again = compare(roster, first.entries(), NOW)

    assert 3 == len(compare(EMPTY, first.entries(), NOW).changed)
    assert ([], 3, [], 0) == (again.changed, again.same, again.gone, again.over)
    assert EMPTY == Roster(roster.listed, roster.authority)


def test_what_says_something_else_is_sent() -> None:
    """And nothing but that."""
    roster = after(EMPTY, listing("a", "b"))
    found = compare(roster, listing("a", "b", "c", b=SOON).entries(), NOW)

    assert ["t:b", "t:c"] == [entry["identifier"] for entry in found.changed]


def test_what_went_is_told_until_it_is_ended_or_has_expired() -> None:
    """What was only named by others needs no word."""
    roster = after(EMPTY, listing("a", "b", "c", b=SOON))
    found = compare(roster, [], NOW)
    assert (["t:a", "t:b", "t:c"], 1) == (found.gone, found.over)

    # t:c is denied by now: it stays not in the roster.
    roster = after(roster, Listing(), "t:a", "t:b")
    later = compare(roster, [], NOW + 2 * SECOND)
    assert ["t:a"] == later.gone
    assert STAMP == roster.items["t:a"].gone_at
    assert [] == compare(roster, listing("a").entries(), NOW).gone[:-1]


def test_what_comes_back_is_sent_again_only_if_it_differs() -> None:
    """A page that was missing for a run changes nothing."""
    roster = after(after(EMPTY, listing("a")), Listing(), "t:a")
    back = compare(roster, listing("a").entries(), NOW)

    assert ["path:p"] == [entry["identifier"] for entry in back.changed]
    assert None is after(roster, listing("a")).items["t:a"].gone_at


def test_what_is_enabled_again_is_told_and_not_lifted() -> None:
    """A list does not end a suspension; its event has to."""
    disabled = Listing()
    disabled.add(Identifier("t", "a"), suspended="account")
    found = compare(after(EMPTY, disabled), listing("a").entries(), NOW)

    assert ["t:a"] == found.enabled
    told = ReportedEntries((), found.enabled, STAMP)
    kept = updated(after(EMPTY, disabled), listing("a"), told)
    assert ["t:a"] == compare(kept, listing("a").entries(), NOW).enabled
    assert [] == compare(after(EMPTY, disabled), disabled.entries(), NOW).enabled


@pytest.mark.parametrize("text", ["", "{}", "[]", "x", '{"rescind_roster": 2}'])
def test_another_file_is_no_roster(text: str) -> None:
    """It is refused, not overwritten."""
    with pytest.raises(ListingError, match="not a roster"):
        from_text(text)

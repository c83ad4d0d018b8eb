"""What was listed the last time: so a second run sends changes, and tells what went.

A roster holds names, fingerprints of the entries and their expiry; no secret is in an
entry. What the system lists no more is told on every run until Rescind denies it or it
has expired: that an item is gone does not say that it was revoked.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import define, field, frozen

from streams.model.times import sound_time
from streams.sources.adopting.listing import ListingError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from streams.sources.adopting.listing import Entry, Listing

FORM: Final = 1
# Said anew in each run where the system does not tell since when.
_FLEETING: Final = frozenset({"suspended_at"})


@frozen
class Item:
    """An entry of the roster.

    Attributes:
        print: fingerprint of what was declared.
        expires_at: RFC 3339; None for no expiry.
        gone_at: since when the system lists it no more; None while it does.
        implied: it was only named by others.
        suspended: it was declared as suspended.
    """

    print: str
    expires_at: str | None = None
    gone_at: str | None = None
    implied: bool = False
    suspended: bool = False


@define
class Roster:
    """What was declared of one system, by name.

    Attributes:
        listed: which list it is; a roster serves one list.
        authority: in whose name it was declared.
    """

    listed: str
    authority: str
    items: dict[str, Item] = field(factory=dict)


@frozen
class RosterDifference:
    """A list held against the roster.

    Attributes:
        changed: entries that are new or say something else.
        same: how many say what they said.
        gone: names that are listed no more and have not expired.
        over: how many are listed no more and need no word: expired, or only named.
        enabled: names that were suspended when they were declared and are not now.
    """

    changed: list[Entry]
    same: int
    gone: list[str]
    over: int
    enabled: list[str]


def compare(roster: Roster, entries: Iterable[Entry], now: int) -> RosterDifference:
    """Hold a list against the roster.

    Args:
        roster: of the last run; an empty one on the first.
        entries: of the list.
        now: the clock (ns).
    """
    listed = {entry["identifier"]: entry for entry in entries}
    changed = [
        entry
        for name, entry in listed.items()
        if name not in roster.items or roster.items[name].print != fingerprint(entry)
    ]
    missing = [name for name in roster.items if name not in listed]
    gone = [name for name in missing if not _over(roster.items[name], now)]
    same = len(listed) - len(changed)
    enabled = [
        name
        for name, entry in listed.items()
        if name in roster.items
        and roster.items[name].suspended
        and "suspended" not in entry
    ]
    return RosterDifference(changed, same, gone, len(missing) - len(gone), enabled)


@frozen
class ReportedEntries:
    """Entries that a run reported, and the next one has to report again.

    Attributes:
        gone: names that are listed no more and not denied.
        enabled: names that are listed as enabled and suspended still.
        at: the time, RFC 3339.
    """

    gone: Collection[str]
    enabled: Collection[str]
    at: str


def updated(roster: Roster, listing: Listing, told: ReportedEntries) -> Roster:
    """Roster of the next run.

    Args:
        roster: of this run.
        listing: all of which is declared by now.
        told: what stays to be told.
    """
    items = {
        (name := entry["identifier"]): Item(
            fingerprint(entry),
            entry.get("expires_at"),
            implied=name in listing.implied,
            suspended="suspended" in entry or name in told.enabled,
        )
        for entry in listing.entries()
    }
    for name in told.gone:
        was = roster.items[name]
        items[name] = attrs.evolve(was, gone_at=was.gone_at or told.at)
    return Roster(roster.listed, roster.authority, items)


def fingerprint(entry: Entry) -> str:
    """Fingerprint of what an entry says."""
    said = {name: value for name, value in entry.items() if name not in _FLEETING}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def to_text(roster: Roster) -> str:
    """Write a roster, an item a line."""
    lines = [
        json.dumps([name, *attrs.astuple(item)])
        for name, item in sorted(roster.items.items())
    ]
    head = json.dumps({"rescind_roster": FORM, "listed": roster.listed,
                       "authority": roster.authority})  # fmt: skip
    return "\n".join([head, *lines]) + "\n"


def from_text(text: str) -> Roster:
    """Read a roster.

    Raises:
        ListingError: it is none.
    """
    head, *lines = text.splitlines() or [""]
    try:
        plain: Mapping[str, Any] = json.loads(head)
        if plain["rescind_roster"] != FORM:
            raise ValueError(FORM)
        roster = Roster(str(plain["listed"]), str(plain["authority"]))
        for line in lines:
            name, *values = json.loads(line)
            roster.items[str(name)] = Item(*values)
    except (ValueError, KeyError, TypeError) as error:
        raise ListingError("not a roster: name another file") from error
    return roster


def _over(item: Item, now: int) -> bool:
    expires = sound_time(item.expires_at)
    return item.implied or (expires is not None and expires <= now)

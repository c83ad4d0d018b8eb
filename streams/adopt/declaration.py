"""Declare to a server what a list or a system says, and keep its roster."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from agents_registry.identifiers import REUSABLE_KINDS, VOCABULARY
from streams.adopt.roster import (
    ReportedEntries,
    Roster,
    compare,
    from_text,
    to_text,
    updated,
)
from streams.clients.rescind import ClientError
from streams.model.declared_entry import LISTS
from streams.model.times import rfc3339
from streams.outbound.answers import UnreadableAnswerError
from streams.process.whole_file import write_private
from streams.sources.adopting.listing import ListingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.adopt.roster import RosterDifference
    from streams.clients.rescind import Client
    from streams.sources.adopting.listing import Entry, Listing

BATCH: Final = 1000  # entries of one request
BATCH_BYTES: Final = 1 << 19
LONGEST: Final = 1000  # characters of an audit record
OPERATORS: Final = "operators"
# What later events of a system move, where it is the one that said it.
_MOVES: Final = frozenset({"expires_at", "owners", "scope", "suspended"})
FOR_GOOD: Final = (
    "owners, expiry, scope and suspension that the operators say stay in force beside "
    "what the system says later; name its authority with --authority"
)
_NAMES: Final = tuple(
    name for name in LISTS if name not in ("owners", "labels", "scope")
)


@frozen
class DeclareOptions:
    """How a listing is declared.

    Attributes:
        authority: in whose name.
        system: which list of which system it is; a roster serves one.
        files: that it was read from.
        roster: file that remembers the list; None: everything is sent.
    """

    authority: str = OPERATORS
    system: str = ""
    files: tuple[Path, ...] = ()
    roster: Path | None = None

    @property
    def listed(self) -> str:
        """Say where the list is from, for the audit record."""
        names = ", ".join(each.name for each in self.files)
        return ": ".join(filter(None, (self.system, names)))[:LONGEST]


@frozen
class ListingDeclaration:
    """A listing beside its roster: what of it a server has to be told.

    Attributes:
        listing: all of it was read before any is sent.
        order: how it is declared.
        roster: of the run before.
        difference: what changed since.
        now: time of the comparison (ns).
    """

    listing: Listing
    order: DeclareOptions
    roster: Roster
    difference: RosterDifference
    now: int

    @classmethod
    def of(cls, listing: Listing, order: DeclareOptions) -> ListingDeclaration:
        """Compare a listing with its roster.

        Raises:
            ListingError: the roster is of another list.
            OSError: the roster cannot be read.
        """
        now = time.time_ns()  # noqa: TID251 - a command
        roster = _roster(order)
        return cls(listing, order, roster, compare(roster, listing.entries(), now), now)

    @property
    def notes(self) -> list[str]:
        """Sentences for the person."""
        for_good = self.order.authority == OPERATORS and any(
            _MOVES & entry.keys() for entry in self.listing.entries()
        )
        return [*self.listing.notes, *([FOR_GOOD] if for_good else ())]

    def send(self, server: Client, asked: Client) -> dict[str, Any]:
        """Declare what changed, write the roster, and report both.

        Args:
            server: takes the declarations.
            asked: knows whether names that changed are allowed.

        Raises:
            ClientError: the server refuses or is not there.
            OSError: the roster cannot be written.
        """
        difference, roster = self.difference, self.order.roster
        total = send(server, difference.changed, self.order)
        gone = [name for name in difference.gone if _allows(asked, name) is not False]
        enabled = [n for n in difference.enabled if _allows(asked, n) is not True]
        if roster is not None:
            # Of a name that can be given again nobody can see later that it was ended.
            again = [n for n in gone if n.partition(":")[0] not in REUSABLE_KINDS]
            told = ReportedEntries(again, enabled, rfc3339(self.now) or "")
            text = to_text(updated(self.roster, self.listing, told))
            write_private(roster, text)
        return {
            **total,
            "same": difference.same,
            "gone": gone,
            "enabled": enabled,
            "left_out": dict(+self.listing.left_out),
            "repeated": self.listing.repeated,
            "notes": self.listing.notes,
        }


def _roster(order: DeclareOptions) -> Roster:
    """Read the roster; an empty one where there is none yet."""
    empty = Roster(order.system, order.authority)
    if order.roster is None:
        return empty
    if not order.roster.parent.is_dir():  # told before anything is declared
        raise ListingError(f"{order.roster}: there is no such folder")
    if not order.roster.exists():
        return empty
    try:
        found = from_text(order.roster.read_text("utf-8"))
    except UnreadableAnswerError as error:
        raise ListingError(f"{order.roster}: {error}") from error
    if (found.listed, found.authority) != (empty.listed, empty.authority):
        was = f"{found.listed} as {found.authority}"
        raise ListingError(f"{order.roster} is the roster of {was}: name another file")
    return found


def send(client: Client, entries: list[Entry], order: DeclareOptions) -> dict[str, Any]:
    """Declare entries in requests of bounded size.

    Returns:
        Counts ``accepted`` and ``facts``, and the ``token`` of the last request.

    Raises:
        ClientError: the server refuses or is not there; the text says how many
            entries are declared.
    """
    total: dict[str, Any] = {"accepted": 0, "facts": 0, "token": None}
    more = {"authority": order.authority, "listed": order.listed}
    told = {name: value for name, value in more.items() if value}
    for batch in _batches(entries):
        try:
            answer = client.post("adopt", {"credentials": batch, **told})
        except ClientError as error:
            start = total["accepted"]
            done = f"; the first {start} are declared, and adopt can be repeated"
            raise ClientError(f"{error}{done if start else ''}", error.code) from error
        total = {
            "accepted": total["accepted"] + answer["accepted"],
            "facts": total["facts"] + answer["facts"],
            "token": answer["token"],
        }
    return total


def unknown_kinds(entries: Iterable[Entry]) -> list[str]:
    """Kinds of names in entries that are not built in."""
    names = (name for each in entries for name in (each["identifier"], *_others(each)))
    return sorted({name.partition(":")[0] for name in names} - VOCABULARY.keys())


def _others(entry: Entry) -> list[str]:
    return [name for key in (*_NAMES, "owners") for name in entry.get(key) or ()]


def _batches(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Cut a list into requests well below the longest body that servers take."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(json.dumps(entry))
        if len(batch) == BATCH or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _allows(client: Client, name: str) -> bool | None:
    """Whether the server allows a name; None where it cannot say."""
    with suppress(ClientError):
        return bool(client.get("why", name)["allowed"])
    return None

"""The work of ``rescind adopt``: a listing in, orders to the server out."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import frozen

from agents_registry.identifiers import REUSABLE_KINDS, VOCABULARY
from streams.adopt.listing import ListingError
from streams.adopt.roster import (
    Roster,
    ToldRoster,
    compare,
    from_text,
    to_text,
    updated,
)
from streams.cli.declarations import read
from streams.cli.plain_text import clean, count, to_stderr
from streams.clients.rescind import ClientError
from streams.model.times import rfc3339
from streams.stages.ingest.declared import LISTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streams.adopt.listing import Entry, Listing
    from streams.adopt.roster import RosterDifference
    from streams.clients.rescind import Client

DONE: Final = 0
BATCH: Final = 1000  # entries of one request
BATCH_BYTES: Final = 1 << 19
LONGEST: Final = 1000  # characters of an audit record
SHOWN: Final = 20  # names of what is gone
OPERATORS: Final = "operators"
# What later events of a system move, where it is the one that said it.
_MOVES: Final = frozenset({"expires_at", "owners", "scope", "suspended"})
FOR_GOOD: Final = (
    "owners, expiry, scope and suspension that the operators say stay in force beside "
    "what the system says later; name its authority with --authority"
)
_TOLD: Final = {
    "gone": "listed before, gone now, and not ended by Rescind; revoke what is over",
    "enabled": "suspended before and listed as enabled now; the event that enabled it "
    "has to end the suspension, a list does not",
}
_NAMES: Final = tuple(name for name in LISTS if name not in ("owners", "scope"))


@frozen
class DeclareOptions:
    """How a listing is declared.

    Attributes:
        authority: in whose name.
        system: which list of which system it is; a roster serves one.
        files: that it was read from.
        dry_run: print what would be declared, and ask no server.
        roster: file that remembers the list; None: everything is sent.
        output: ``table`` or ``json``.
        worker: on Kafka, URL of who knows the realm; None: the server itself.
    """

    authority: str = OPERATORS
    system: str = ""
    files: tuple[Path, ...] = ()
    dry_run: bool = False
    roster: Path | None = None
    output: str = "table"
    worker: str | None = None

    @property
    def listed(self) -> str:
        """Say where the list is from, for the audit record."""
        names = ", ".join(each.name for each in self.files)
        return ": ".join(filter(None, (self.system, names)))[:LONGEST]


def adopt_file(client: Callable[[], Client], path: Path, order: DeclareOptions) -> int:
    """Declare the credentials of a person's list."""
    entries = read(path)
    for kind in sorted(_kinds(entries) - VOCABULARY.keys()):
        _note(f"no built-in kind is called {kind}: do the settings declare it?")
    if order.dry_run:
        _print_lines(entries)
        return DONE
    total = _send(client(), entries, order)
    if order.output == "json":
        sys.stdout.write(json.dumps(total) + "\n")
    else:
        sys.stdout.write(_declared(total) + "\n")
    return DONE


def adopt(client: Callable[[], Client], listing: Listing, order: DeclareOptions) -> int:
    """Declare what a system lists; all of it was read before any is sent.

    Args:
        client: gives that of the server; a dry run needs none.
        listing: what was read.
        order: how.

    Raises:
        ClientError: the server refuses or is not there.
        ListingError: the roster is of another list.
        OSError: the roster cannot be read or written.
    """
    entries = listing.entries()
    now = time.time_ns()  # noqa: TID251 - a command
    roster = _roster(order)
    difference = compare(roster, entries, now)
    for note in listing.notes:
        _note(note)
    if order.authority == OPERATORS and any(_MOVES & entry.keys() for entry in entries):
        _note(FOR_GOOD)
    if order.dry_run:
        _print_lines(difference.changed)
        _note(_would(difference, listing))
        return DONE
    server = client()
    total = _send(server, difference.changed, order)
    knowing = server if order.worker is None else attrs.evolve(server, url=order.worker)
    gone = [name for name in difference.gone if _allows(knowing, name) is not False]
    enabled = [
        name for name in difference.enabled if _allows(knowing, name) is not True
    ]
    if order.roster is not None:
        stamp = rfc3339(now) or ""
        # Of a name that can be given again nobody can see later that it was ended.
        again = [n for n in gone if n.partition(":")[0] not in REUSABLE_KINDS]
        told = ToldRoster(again, enabled, stamp)
        _write(order.roster, to_text(updated(roster, listing, told)))
    report = {
        **total,
        "same": difference.same,
        "gone": gone,
        "enabled": enabled,
        "left_out": dict(+listing.left_out),
        "repeated": listing.repeated,
        "notes": listing.notes,
    }
    text = json.dumps(report) if order.output == "json" else _report(report)
    sys.stdout.write(text + "\n")
    return DONE


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
    except ListingError as error:
        raise ListingError(f"{order.roster}: {error}") from error
    if (found.listed, found.authority) != (empty.listed, empty.authority):
        was = f"{found.listed} as {found.authority}"
        raise ListingError(f"{order.roster} is the roster of {was}: name another file")
    return found


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(f"{path.name}.new")
    with os.fdopen(
        os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
    ) as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    beside.replace(path)


def _send(
    client: Client, entries: list[Entry], order: DeclareOptions
) -> dict[str, Any]:
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


def _kinds(entries: Iterable[Entry]) -> set[str]:
    names = (name for each in entries for name in (each["identifier"], *_others(each)))
    return {name.partition(":")[0] for name in names}


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
    """Tell whether the server allows a name; None where it cannot say."""
    with suppress(ClientError):
        return bool(client.get("why", name)["allowed"])
    return None


def _report(report: dict[str, Any]) -> str:
    lines = [_declared(report)]
    if report["same"]:
        lines.append(f"{count(report['same'], 'credential')} said the same as before.")
    for reason, number in sorted(report["left_out"].items()):
        lines.append(f"Left out {number}: {clean(reason)}.")
    for key, said in _TOLD.items():
        names = report[key]
        if names:
            lines.append(f"{count(len(names), 'credential')} {said}:")
            lines += [f"  {clean(name)}" for name in names[:SHOWN]]
        if len(names) > SHOWN:
            lines.append(f"  ... and {len(names) - SHOWN} more; see --output json")
    return "\n".join(lines)


def _declared(total: dict[str, Any]) -> str:
    declared = count(total["accepted"], "credential")
    return f"Declared {declared} ({count(total['facts'], 'fact')})."


def _would(difference: RosterDifference, listing: Listing) -> str:
    out = sum(listing.left_out.values())
    return (
        f"would declare {count(len(difference.changed), 'credential')}; "
        f"{difference.same} said the same before, {out} left out, "
        f"{len(difference.gone)} gone since"
    )


def _print_lines(entries: Iterable[Entry]) -> None:
    for entry in entries:
        sys.stdout.write(json.dumps(entry) + "\n")


def _note(text: object) -> None:
    to_stderr("adopt", text)

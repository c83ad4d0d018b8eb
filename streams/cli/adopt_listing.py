"""The work of ``rescind adopt``: a list or listing in, orders to the server out."""

from __future__ import annotations

import csv
import json
import os
import sys
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
from streams.cli.options import knowing
from streams.cli.output import clean, count, to_stderr
from streams.clients.rescind import ClientError
from streams.model.declared_entry import FIELDS, LISTS
from streams.model.times import rfc3339
from streams.outbound.answers import UnreadableAnswerError
from streams.sources.adopting.listing import ListingError
from streams.stages.ingest.declared import DeclarationError, facts_of_list
from streams.stages.ingest.ingress import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streams.adopt.roster import RosterDifference
    from streams.clients.rescind import Client
    from streams.sources.adopting.listing import Entry, Listing

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


COMMA: Final = "a comma is missing"
_BOOLEANS: Final = {
    "": False, "false": False, "no": False, "0": False,
    "true": True, "yes": True, "1": True,
}  # fmt: skip
# Where a list is only checked nothing is said on anybody's behalf.
_NOBODY: Final = Origin(authority="", realm="", received_at=0)


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
        worker: URL of who is asked about names (deprecated); None: the server itself.
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
    entries = read_list(path)
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
    asked = knowing("adopt", server, order.worker)
    gone = [name for name in difference.gone if _allows(asked, name) is not False]
    enabled = [name for name in difference.enabled if _allows(asked, name) is not True]
    if order.roster is not None:
        stamp = rfc3339(now) or ""
        # Of a name that can be given again nobody can see later that it was ended.
        again = [n for n in gone if n.partition(":")[0] not in REUSABLE_KINDS]
        told = ReportedEntries(again, enabled, stamp)
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
    except UnreadableAnswerError as error:
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
    """Whether the server allows a name; None where it cannot say."""
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


def read_list(path: Path) -> list[dict[str, Any]]:
    """Read and check a list of declared credentials.

    CSV has a line of column names, of which ``identifier`` is needed; several values
    of one column are separated by ``;``. JSON is a list of objects with the fields of
    `streams.stages.ingest.declared.facts_of_list`.

    Raises:
        ValueError: something cannot be read; the text names the line.
        OSError: the file cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")  # spreadsheets begin with a byte order mark
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text; save it as UTF-8") from error
    parse = _json if text.lstrip().startswith(("[", "{")) else _csv
    entries = []
    for line, entry in parse(text, str(path)):
        try:
            facts_of_list([entry], _NOBODY)
        except DeclarationError as error:
            what = str(error).removeprefix("entry 1: ")
            raise ValueError(f"{path}, line {line}: {what}") from error
        entries.append(entry)
    if not entries:
        raise ValueError(f"{path}: there are no credentials in it")
    return entries


def _csv(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        heads = [head.strip() for head in next(rows, [])]
        if "identifier" not in heads or set(heads) - FIELDS:
            wrong = sorted(set(heads) - FIELDS)
            known = ", ".join(sorted(FIELDS))
            told = f"no column is called {wrong[0]!r}" if wrong else "no identifier"
            message = f"{name}, line 1: {told}; name the columns by {known}"
            raise ValueError(message)
        for head in heads:
            if heads.count(head) > 1:
                text = f"{name}, line 1: two columns are called {head!r}: keep one"
                raise ValueError(text)
        before = rows.line_num
        for row in rows:
            line, before = before + 1, rows.line_num
            if any(cell.strip() for cell in row):
                yield line, _entry(heads, row, f"{name}, line {line}")
    except csv.Error as error:
        raise ValueError(f"{name}, line {rows.line_num}: not CSV: {error}") from error


def _entry(heads: list[str], row: list[str], where: str) -> dict[str, Any]:
    if len(row) != len(heads):
        message = f"{where}: {len(row)} columns instead of {len(heads)}"
        raise ValueError(message)
    entry: dict[str, Any] = {}
    for head, cell in zip(heads, map(str.strip, row), strict=True):
        if head == "root":
            if cell.lower() not in _BOOLEANS:
                raise ValueError(f"{where}: root is true or false")
            entry[head] = _BOOLEANS[cell.lower()]
        elif head in LISTS:
            values = [value.strip() for value in cell.split(";")]
            if any(values):
                entry[head] = [value for value in values if value]
        elif cell:
            entry[head] = cell
    return entry


def _json(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """Yield the entries of a list with the lines that they begin on."""
    decoder = json.JSONDecoder()
    place = _skip(text, 0)
    if text[place] != "[":
        raise ValueError(f"{name}, line 1: JSON is a list of objects, [{{...}}, ...]")
    place = _skip(text, place + 1)
    line, counted = 1, 0
    try:
        while text[place : place + 1] != "]":
            line += text.count("\n", counted, place)
            counted = place
            entry, end = decoder.raw_decode(text, place)
            yield line, entry
            place = _skip(text, end)
            if text[place : place + 1] == ",":
                place = _skip(text, place + 1)
            elif text[place : place + 1] != "]":
                raise json.JSONDecodeError(COMMA, text, place)
    except json.JSONDecodeError as error:
        why = COMMA if error.msg == COMMA else "look at commas, quotes, brackets"
        if not text[error.pos :].strip():
            why = "it breaks off"
        message = f"{name}, line {error.lineno}: not JSON: {why}"
        raise ValueError(message) from error


def _skip(text: str, place: int) -> int:
    while text[place : place + 1].isspace():
        place += 1
    return place

"""The form in which a table leaves its process: sections of columns and of rows.

It says nothing of this code or this machine: docs/table-format.md describes it, so that
a guard of any language can start from a table. Whatever changes the sections, what they
mean, or what the same facts make of them, makes a new version of it.

A section is a column (numbers side by side, little-endian), the names, or rows as JSON.
Long rows are in several sections of one name, one after the other.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from agents_registry.steps import restless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from agents_registry.steps import Rest

Bytes: TypeAlias = bytes | bytearray

VERSION: Final = 1
LIMITED: Final = 2  # of a table with labels, or with causes that have an end or kinds
ROWS: Final = "rows"
AT_ONCE: Final = 5_000  # rows in one section: other threads get their turn
COLUMNS: Final = {
    "lineage.names": "names",
    "lineage.flags": "u8",
    "lineage.relation": "u8",
    "lineage.ring": "i32",
    "lineage.parent": "i32",
    "lineage.issued": "i64",
    "lineage.expires": "i64",
    "lineage.first_child": "i32",
    "lineage.next_child": "i32",
    "expiry.authority": "u16",
    "expiry.version": "i64",
}
OTHERS: Final = frozenset({
    "lineage.kinds", "lineage.more_parents", "lineage.reissued", "lineage.created",
    "lineage.creators", "lineage.more_children", "expiry.authorities", "expiry.shared",
    "causes", "lifts", "owners", "scopes", "owned", "emptied", "holders", "attributes",
    "devices", "tenants", "withdrawn", "distrusts", "horizon", "copies", "claims",
})  # fmt: skip
OPTIONAL: Final = frozenset({"labels"})
_PLAIN_CAUSE: Final = 13  # entries of the row of a cause without limits
# What follows from other sections: a reader may pass over it.
DERIVED: Final = frozenset({
    "lineage.created", "lineage.more_children", "owned", "holders",
})  # fmt: skip
_WIDTHS: Final = {"u8": 1, "u16": 2, "i32": 4, "i64": 8}
_PIECE: Final = 1 << 20  # bytes looked through before other threads get their turn
_END: Final = b"\xff"
# Columns are as they lie in memory.
SPOKEN: Final = (VERSION, LIMITED) if sys.byteorder == "little" else ()


class Section(NamedTuple):
    """A part of a table, and its length in bytes."""

    name: str
    type: str
    size: int


def pack(
    plain: Mapping[str, Any], dumps: Callable[[Any], bytes]
) -> tuple[list[Section], list[bytes]]:
    """Sections of what `Registry.dump` gave, and the bytes of each.

    Args:
        plain: the dump.
        dumps: gives JSON.
    """
    sections, pieces = [], []
    for name, of in plain.items():
        column = COLUMNS.get(name)
        for part in (of,) if column else _cut(of):
            pieces.append(part if column else _told(part, dumps))
            sections.append(Section(name, column or ROWS, len(pieces[-1])))
    return sections, pieces


def version_of(plain: Mapping[str, Any]) -> int:
    """Version of the form that a dump needs: older readers read the older one."""
    is_limited = any(len(row) > _PLAIN_CAUSE for row in plain["causes"])
    return LIMITED if is_limited or not OPTIONAL.isdisjoint(plain) else VERSION


def unpack(
    sections: Iterable[Section],
    content: Callable[[int], Bytes],
    loads: Callable[[Bytes], Any] = json.loads,
    passed: frozenset[str] = frozenset(),
    rest: Rest = restless,
) -> dict[str, Any]:
    """Return what `Registry.load` takes.

    Args:
        sections: as `pack` gave them.
        content: gives the next bytes, so many.
        loads: reads JSON.
        passed: sections that are not read, of `DERIVED`: a single row of them may be as
            long as the table.
        rest: called now and then.

    Raises:
        ValueError: a section is missing, unknown, or not what it should be.
    """
    plain: dict[str, Any] = {}
    there = set()
    for name, kind, size in sections:
        rest()
        there.add(name)
        piece = content(size)
        if kind != COLUMNS.get(name, ROWS) or (name in COLUMNS and name in plain):
            raise ValueError(f"section {name} of {kind}")
        if name in passed:
            continue
        if kind != ROWS:
            plain[name] = piece
        elif name in plain:
            plain[name] += loads(piece)
        else:
            plain[name] = loads(piece)
    if there - OPTIONAL != COLUMNS.keys() | OTHERS:
        raise ValueError(f"sections {sorted(there ^ (COLUMNS.keys() | OTHERS))}")
    names = _count(plain["lineage.names"], rest)
    for name, kind in COLUMNS.items():
        wanted = (
            names if name.startswith("lineage.") else len(plain["expiry.version"]) // 8
        )
        if kind in _WIDTHS and len(plain[name]) != wanted * _WIDTHS[kind]:
            raise ValueError(f"section {name} of {len(plain[name])} bytes")
    return plain


def _told(of: Any, dumps: Callable[[Any], bytes]) -> bytes:
    """Rows as JSON, those that are long in pieces: other threads get their turn."""
    if not isinstance(of, list) or not any(map(_is_long, of)):
        return dumps(of)
    rows = (_told_long(row, dumps) if _is_long(row) else dumps(row) for row in of)
    return b"[" + b",".join(rows) + b"]"


def _is_long(row: Any) -> bool:
    """Whether a row is a number and a list of very many."""
    return (
        isinstance(row, tuple | list)
        and len(row) == 2  # noqa: PLR2004 - as said
        and isinstance(row[1], list)
        and len(row[1]) > AT_ONCE
    )


def _told_long(row: Any, dumps: Callable[[Any], bytes]) -> bytes:
    parts = b",".join(dumps(part)[1:-1] for part in _cut(row[1]))
    return b"[" + dumps(row[0]) + b",[" + parts + b"]]"


def _count(names: Bytes, rest: Rest) -> int:
    count = 0
    for start in range(0, len(names), _PIECE):
        rest()
        count += names.count(_END, start, start + _PIECE)
    return count


def copied(of: Any) -> Any:
    """Copy of a part of a dump; the lists in its rows are the table's own."""
    if not isinstance(of, list):
        return of
    return [(row[0], list(row[1])) if isinstance(row[1], list) else row for row in of]


def _cut(of: Any) -> Iterator[Any]:
    if not isinstance(of, list) or len(of) <= AT_ONCE:
        yield of
        return
    for start in range(0, len(of), AT_ONCE):
        yield of[start : start + AT_ONCE]

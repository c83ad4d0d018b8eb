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
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

VERSION: Final = 1
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
_WIDTHS: Final = {"u8": 1, "u16": 2, "i32": 4, "i64": 8}
_PIECE: Final = 1 << 20  # bytes looked through before other threads get their turn
_END: Final = b"\xff"
# Columns are as they lie in memory.
SPOKEN: Final = (VERSION,) if sys.byteorder == "little" else ()


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
            pieces.append(part if column else dumps(part))
            sections.append(Section(name, column or ROWS, len(pieces[-1])))
    return sections, pieces


def unpack(
    sections: Iterable[Section],
    content: Callable[[int], bytes],
    loads: Callable[[bytes], Any] = json.loads,
) -> dict[str, Any]:
    """Return what `Registry.load` takes.

    Args:
        sections: as `pack` gave them.
        content: gives the next bytes, so many.
        loads: reads JSON.

    Raises:
        ValueError: a section is missing, unknown, or not what it should be.
    """
    plain: dict[str, Any] = {}
    for name, kind, size in sections:
        piece = content(size)
        if kind != COLUMNS.get(name, ROWS) or (name in COLUMNS and name in plain):
            raise ValueError(f"section {name} of {kind}")
        if kind != ROWS:
            plain[name] = piece
        elif name in plain:
            plain[name] += loads(piece)
        else:
            plain[name] = loads(piece)
    if plain.keys() != COLUMNS.keys() | OTHERS:
        raise ValueError(f"sections {sorted(plain.keys() ^ (COLUMNS.keys() | OTHERS))}")
    names = _count(plain["lineage.names"])
    for name, kind in COLUMNS.items():
        wanted = (
            names if name.startswith("lineage.") else len(plain["expiry.version"]) // 8
        )
        if kind in _WIDTHS and len(plain[name]) != wanted * _WIDTHS[kind]:
            raise ValueError(f"section {name} of {len(plain[name])} bytes")
    return plain


def _count(names: bytes) -> int:
    pieces = range(0, len(names), _PIECE)
    return sum(names.count(_END, start, start + _PIECE) for start in pieces)


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

"""Many facts as one row: their ids side by side, the rest packed together.

The rest is compressed: the facts of a realm repeat names, schemas and authorities, and
these are most of what a row for each of them takes. An id is a hash and stands beside
it as it is, so that a fact is searched for without unpacking any.

A block has a place for each offset from its start on. A place without a fact belongs to
one that was pruned, or that stays a row.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from streams.engines.embedded.short_rows import ID

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACES: Final = 250
TAILS: Final = 255
MARK: Final = 4  # bytes of an entry's hash, by which a changed fact is named
FORMAT: Final = 1
_LEVEL: Final = 6
_GONE: Final = 255  # in the place of a tail
_NOBODY: Final = bytes(ID)
_HEAD: Final = struct.Struct(">BHBH")
_SIZE: Final = struct.Struct(">I")


class BlockError(sqlite3.DatabaseError):
    """A block of facts was changed, or is of a later version."""


class PlacedFact(NamedTuple):
    """A fact of a block.

    Attributes:
        key: as a row would have it, in bytes.
        value: record of the log.
        mark: the first bytes of its entry's hash.
    """

    key: bytes
    value: bytes
    mark: bytes


def tail_of(key: bytes) -> bytes:
    """Return all of a key but its id: many facts share it."""
    return key[:1] + key[1 + ID :]


def pack(facts: Mapping[int, PlacedFact], places: int) -> tuple[bytes, bytes]:
    """Make ids and body of a block.

    Args:
        facts: by their places, from 0; of at most `TAILS` different tails.
        places: how many, with those that hold no fact.
    """
    tails: dict[bytes, int] = {}
    codes, ids = bytearray([_GONE]) * places, [_NOBODY] * places
    for place, (key, _, _) in facts.items():
        codes[place] = tails.setdefault(tail_of(key), len(tails))
        ids[place] = key[1 : 1 + ID]
    there = [facts[place] for place in sorted(facts)]
    sizes = [len(fact.value) for fact in there]
    head = _HEAD.pack(FORMAT, places, len(tails), len(there))
    told = b"".join(_SIZE.pack(len(tail)) + tail for tail in tails)
    marks = b"".join([fact.mark for fact in there])
    values = b"".join([fact.value for fact in there])
    body = (head, told, codes, marks, struct.pack(f">{len(sizes)}I", *sizes), values)
    return b"".join(ids), zlib.compress(b"".join(body), _LEVEL)


def unpack(ids: bytes, body: bytes) -> dict[int, PlacedFact]:
    """Facts of a block by their places.

    Raises:
        BlockError: it is none, or one of a later version.
    """
    facts = {}
    content = _opened(ids, body)
    mark, marks = 0, content.marks
    for place, code, value in content.values:
        kind, rest = content.tails[code]
        key = kind + ids[place * ID : place * ID + ID] + rest
        facts[place] = PlacedFact(key, value, marks[mark : mark + MARK])
        mark += MARK
    return facts


def unpack_values(ids: bytes, body: bytes) -> list[tuple[int, bytes]]:
    """Places and values of the facts of a block, which is quicker.

    Raises:
        BlockError: it is none, or one of a later version.
    """
    return [(place, value) for place, _, value in _opened(ids, body).values]


class _Content(NamedTuple):
    """What is in a body; `values` are places, codes of tails, and values."""

    tails: list[tuple[bytes, bytes]]
    marks: bytes
    values: list[tuple[int, int, bytes]]


def _opened(ids: bytes, body: bytes) -> _Content:
    try:
        return _content(ids, zlib.decompress(body))
    except (zlib.error, struct.error, IndexError, ValueError) as error:
        raise BlockError("a block of facts cannot be read") from error


def _content(ids: bytes, body: bytes) -> _Content:
    version, places, count, there = _HEAD.unpack_from(body)
    if version != FORMAT or len(ids) != places * ID:
        raise BlockError("a block of facts was changed, or is of a later version")
    at, tails = _HEAD.size, []
    for _ in range(count):
        (size,) = _SIZE.unpack_from(body, at)
        at += _SIZE.size + size
        tail = body[at - size : at]
        tails.append((tail[:1], tail[1:]))
    codes, at = body[at : at + places], at + places
    marks, at = body[at : at + MARK * there], at + MARK * there
    sizes, at = struct.unpack_from(f">{there}I", body, at), at + _SIZE.size * there
    filled = [(place, code) for place, code in enumerate(codes) if code != _GONE]
    if len(filled) != there or at + sum(sizes) != len(body):
        raise BlockError("a block of facts was cut off")
    if there and max(code for _, code in filled) >= count:
        raise BlockError("a block of facts was changed")
    ends = accumulate(sizes, initial=at)
    values = [
        (place, code, body[start:end])
        for (place, code), (start, end) in zip(filled, pairwise(ends), strict=True)
    ]
    return _Content(tails, marks, values)

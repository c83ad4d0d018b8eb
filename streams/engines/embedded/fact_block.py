"""Many facts as one row: their keys side by side, their values packed together.

The values are compressed: the facts of a realm repeat names, schemas and authorities,
and these are most of what a row for each of them takes. Keys stand beside them as they
are, so that a fact is searched for without unpacking any.

A block has a place for each offset from its start on, and as many as it has ids:
nothing else says where it ends. A place without a fact belongs to one that was pruned,
or that stays a row. What does not fit together to the last byte is no block: values
have the checksum of zlib, and keys one of their own. Blocks of the first form have none
of their keys; see `block_proof`.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeGuard

from agents_registry.facts import Distrust, Withdraw
from streams.engines.embedded.short_rows import HOURS, ID, KINDS, LEAST

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACES: Final = 250
MOST_BYTES: Final = 128 << 10  # of values: who reads one fact unpacks them all
MOST_TAILS: Final = 255
TAIL_BYTES: Final = 32 << 10  # of all tails
# Above these a fact stays a row: bytes of a value and of a key.
LARGE: Final = 16 << 10
LONG: Final = 1 << 10
STORED_BYTES: Final = 2 * MOST_BYTES  # of a row in the file, whatever its values are
FORMAT: Final = 2
FIRST_FORMAT: Final = 1  # without a checksum of keys
# They are few, and each guard that starts asks for all of them: they stay rows.
STAY: Final = frozenset(KINDS.index(kind) for kind in (Withdraw.NAME, Distrust.NAME))
_LEVEL: Final = 6
_GONE: Final = 255  # in the place of a tail
_NOBODY: Final = bytes(ID)
_HEAD: Final = struct.Struct(">BB")
_SUM: Final = struct.Struct(">I")
_SIZE: Final = struct.Struct(">H")


class BlockError(sqlite3.DatabaseError):
    """Blocks of facts were changed, or are of a later version."""


class PlacedFact(NamedTuple):
    """A fact of a block.

    Attributes:
        key: as a row would have it, in bytes.
        value: record of the log.
    """

    key: bytes
    value: bytes


class FactBlock(NamedTuple):
    """A block as the file has it.

    Attributes:
        ids: of its facts, one for each place.
        tails: what else is in their keys, and which place has which.
        body: their values.
    """

    ids: bytes
    tails: bytes
    body: bytes

    @classmethod
    def of(cls, *columns: Any) -> Self:
        """Take a row of the file.

        Raises:
            BlockError: it is none of a block.
        """
        if not all(isinstance(each, bytes) and each for each in columns):
            raise BlockError("a block of facts is not there, or is too large")
        block = cls(*columns)
        if len(block.ids) % ID or block.places > PLACES:
            raise BlockError("a block of facts has another length")
        return block

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return sum(map(len, self))

    @property
    def places(self) -> int:
        """How many offsets it covers."""
        return len(self.ids) // ID

    @property
    def is_summed(self) -> bool:
        """Whether its keys have a checksum."""
        return self.tails[:1] != bytes([FIRST_FORMAT])


def tail_of(key: bytes) -> bytes:
    """Return all of a key but its id: many facts share it."""
    return key[:1] + key[1 + ID :]


def is_packable(key: Any, value: Any) -> TypeGuard[bytes]:
    """Whether a fact of a key and a value may be in a block."""
    return (
        isinstance(key, bytes)
        and isinstance(value, bytes)
        and LEAST <= len(key) <= LONG
        and key[0] < len(KINDS)
        and key[0] not in STAY
        and key[1 : 1 + ID] != _NOBODY
        and len(value) <= LARGE
    )


def pack(facts: Mapping[int, PlacedFact], places: int) -> FactBlock:
    """Make a block.

    Args:
        facts: by their places, from 0; such as `is_packable` lets through, of
            `MOST_BYTES`, and `MOST_TAILS` of `TAIL_BYTES`, at most.
        places: how many, with those that hold no fact.
    """
    codes, ids = bytearray([_GONE]) * places, [_NOBODY] * places
    tails: dict[bytes, int] = {}
    for place, (key, _) in sorted(facts.items()):
        codes[place] = tails.setdefault(tail_of(key), len(tails))
        ids[place] = key[1 : 1 + ID]
    values = [facts[place].value for place in sorted(facts)]
    sizes = struct.pack(f">{len(values)}I", *map(len, values))
    told = b"".join(_SIZE.pack(len(tail)) + tail for tail in tails)
    head, rest, joined = _HEAD.pack(FORMAT, len(tails)), codes + told, b"".join(ids)
    summed = _SUM.pack(_sum_of(joined, head, rest))
    body = zlib.compress(sizes + b"".join(values), _LEVEL)
    return FactBlock(joined, head + summed + rest, body)


def hold_keys(block: FactBlock) -> None:
    """Compare the keys of a block with their checksum, where it has one.

    Raises:
        BlockError: they are not those that were written, or of a later version.
    """
    told = block.tails
    if not block.is_summed:
        return
    first = _HEAD.size + _SUM.size
    if told[:1] != bytes([FORMAT]) or len(told) < first:
        raise BlockError("a block of facts was changed, or is of a later version")
    (summed,) = _SUM.unpack_from(told, _HEAD.size)
    if summed != _sum_of(block.ids, told[: _HEAD.size], told[first:]):
        raise BlockError("a block of facts has other keys than were written")


def keys_of(block: FactBlock) -> dict[int, bytes]:
    """Keys of the facts by their places; unpacks nothing.

    Raises:
        BlockError: they do not fit together, or are of a later version.
    """
    codes, tails = _tails(block)
    ids, keys = block.ids, {}
    for place, code in enumerate(codes):
        told = ids[place * ID : place * ID + ID]
        if (code == _GONE) is not (told == _NOBODY):
            raise BlockError("a block of facts has an id for no fact, or none for one")
        if code != _GONE:
            kind, rest = tails[code]
            keys[place] = kind + told + rest
    return keys


def unpack(block: FactBlock) -> dict[int, PlacedFact]:
    """Facts of a block by their places.

    Raises:
        BlockError: it is none, or one of a later version.
    """
    keys = keys_of(block)
    values = _values(block.body, len(keys))
    return {
        place: PlacedFact(key, value)
        for (place, key), value in zip(keys.items(), values, strict=True)
    }


def _sum_of(ids: bytes, head: bytes, rest: bytes | bytearray) -> int:
    return zlib.crc32(rest, zlib.crc32(ids, zlib.crc32(head)))


def _tails(block: FactBlock) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Code of each place, and the tails: the kind, and what stands behind the id."""
    hold_keys(block)
    first = _HEAD.size + (_SUM.size if block.is_summed else 0)
    told, at = block.tails, first + block.places
    if len(told) < at:
        raise BlockError("a block of facts was changed, or is of a later version")
    codes, count = told[first:at], told[1]
    tails: list[tuple[bytes, bytes]] = []
    while len(tails) < count and at + _SIZE.size <= len(told):
        (size,) = _SIZE.unpack_from(told, at)
        at += _SIZE.size + size
        tail = told[at - size : at]
        if not 1 + HOURS <= size == len(tail) or tail[0] >= len(KINDS):
            raise BlockError("a block of facts has a key that is none")
        if tail[0] in STAY:
            raise BlockError("a block of facts hides one that takes others back")
        tails.append((tail[:1], tail[1:]))
    used = {*codes} - {_GONE}
    if at != len(told) or used != {*range(count)} or len({*tails}) != count:
        raise BlockError("a block of facts has other keys than facts")
    return codes, tails


def _values(body: bytes, count: int) -> list[bytes]:
    most = struct.calcsize(f">{count}I") + MOST_BYTES
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(body, most + 1)
        sizes = struct.unpack_from(f">{count}I", content)
    except (zlib.error, struct.error) as error:
        raise BlockError("a block of facts cannot be read") from error
    first = struct.calcsize(f">{count}I")
    ended = stream.eof and not stream.unused_data and len(content) <= most
    if not ended or first + sum(sizes) != len(content):
        raise BlockError("a block of facts was cut off, or something stands behind it")
    ends = accumulate(sizes, initial=first)
    return [content[start:end] for start, end in pairwise(ends)]

"""Names: the identifiers of a table as dense integers, in bytes side by side.

A name is held once: its value in UTF-8, a code for its kind, and the byte 0xFF, which
no UTF-8 has. So no name is the beginning of another one, and one comparison tells
whether it stands at a place. `BLOCK` names lie in one piece of memory.

The index has segments of `SLOTS` places. The lowest bits of a hash choose the segment,
the highest ones the first place in it; a name lies there or at the next place that was
free, as one more byte of its hash and its number. A segment that has `MOST` names is
split in two by one more bit, and nothing else moves: so a table, however large, never
takes longer to grow than that. Python's hash is keyed anew in each process: nobody can
choose names that meet. See docs/adr/0091-names-in-bytes.md.
"""

from __future__ import annotations

import re
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from agents_registry.identifiers import Identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

ABSENT: Final = -1
BLOCK: Final = 64
SLOTS: Final = 1024
MOST: Final = 768  # names in a segment
LAST: Final = SLOTS + 64  # a place that is always free: who looks on stops there
HASHES: Final = (1 << 30) - 35  # a prime: what is left of a hash is a short integer
SPARSEST: Final = 128  # names that a segment has on average, at least
RECENT: Final = 1024  # names that the facts of the same credential soon name again
_END: Final = 0xFF
_LONG: Final = 0x80  # codes of more than one byte have it in each
_PIECE: Final = 1 << 16  # bytes read before other threads get their turn
_NAME: Final = re.compile(rb"[^\xff]*\xff")


class _Segment:
    """Places of the names whose hashes agree in their lowest bits.

    Attributes:
        prints: by place, a byte of the hash; 0 where it is free.
        numbers: by place, the number of the name.
        used: places taken.
        bits: how many lowest bits agree.
    """

    __slots__ = ("bits", "numbers", "prints", "used")

    def __init__(self, bits: int) -> None:
        self.prints = bytearray(LAST + 1)
        self.numbers = array("i", bytes(4 * LAST))
        self.used = 0
        self.bits = bits


class NameTable:
    """Interned identifiers: numbers by name, and names by number."""

    def __init__(self, hashed: Callable[[bytes], int] = hash) -> None:
        """Start with none.

        Args:
            hashed: hash of a name; no sender may know it.
        """
        self._hashed = hashed
        self._kinds: list[str] = []
        self._endings: dict[str, bytes] = {}  # by kind, what its names end with
        self._blocks: list[bytes] = []
        self._starts = array("I")  # by number, where the name begins in its block
        self._segments = [_Segment(0)]
        self._mask = 0
        self._crowded: dict[bytes, int] = {}  # names without a place
        self._recent: dict[Identifier, int] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._starts)

    def find(self, identifier: Identifier) -> int:
        """Return the number of an identifier, ABSENT where it was not interned."""
        kind, value = identifier
        ending = self._endings.get(kind)
        return ABSENT if ending is None else self._look(_encoded(value) + ending)

    def intern(self, identifier: Identifier) -> int:
        """Return the number of an identifier, the next one where it is new."""
        number = self._recent.get(identifier)
        if number is not None:
            return number
        kind, value = identifier
        name = _encoded(value) + (self._endings.get(kind) or self._ending(kind))
        number = self._look(name)
        if number == ABSENT:
            number = self._add(name)
        if len(self._recent) == RECENT:
            self._recent.clear()
        self._recent[identifier] = number
        return number

    def identifier(self, number: int) -> Identifier:
        """Return the identifier of a number."""
        block, start = self._blocks[number // BLOCK], self._starts[number]
        name = block[start : block.find(_END, start)]
        text = name.decode("utf-8", "surrogatepass")
        return Identifier(self._kinds[ord(text[-1])], text[:-1])

    def kind(self, number: int) -> str:
        """Return the kind of a number's identifier, in a third of the time of both."""
        block = self._blocks[number // BLOCK]
        code = block[block.find(_END, self._starts[number]) - 1]
        return self._kinds[code] if code < _LONG else self.identifier(number).kind

    def encoded(self, number: int) -> bytes:
        """Name of a number as it lies in memory and in a dump, with its end."""
        block, start = self._blocks[number // BLOCK], self._starts[number]
        return block[start : block.find(_END, start) + 1]

    @property
    def kinds(self) -> Sequence[str]:
        """Kinds by their codes."""
        return self._kinds

    def dump(self) -> dict[str, Any]:
        """Kinds by their codes, and the names by their numbers, one after the other."""
        return {"kinds": list(self._kinds), "names": b"".join(self._blocks)}

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Take up what `dump` gave; nothing may be interned yet."""
        for kind in plain["kinds"]:
            self._ending(kind)
        names = plain["names"]
        pieces = range(0, len(names), _PIECE)
        count = sum(names.count(_END, start, start + _PIECE) for start in pieces)
        bits = (count // MOST).bit_length()
        self._segments = [_Segment(bits) for _ in range(1 << bits)]
        self._mask = (1 << bits) - 1
        for block in _blocks_of(names):
            first = len(self._starts)
            self._blocks.append(b"".join(block))
            self._starts.extend(accumulate(map(len, block[:-1]), initial=0))
            self._put(zip(block, range(first, first + BLOCK), strict=False))

    def _ending(self, kind: str) -> bytes:
        code = chr(len(self._kinds)).encode("utf-8", "surrogatepass")
        self._kinds.append(kind)
        self._endings[kind] = ending = code + bytes([_END])
        return ending

    def _look(self, name: bytes) -> int:
        place = self._hashed(name) % HASHES
        segment = self._segments[place & self._mask]
        prints, own, at = segment.prints, place >> 12 & 0xFF or 1, place >> 20
        while found := prints[at]:
            if found == own:
                number = segment.numbers[at]
                block = self._blocks[number // BLOCK]
                if block.startswith(name, self._starts[number]):
                    return number
            at += 1
        return self._crowded.get(name, ABSENT)

    def _add(self, name: bytes) -> int:
        number, blocks = len(self._starts), self._blocks
        if not number % BLOCK:
            blocks.append(b"")
        self._starts.append(len(blocks[-1]))
        blocks[-1] += name
        self._put(((name, number),))
        return number

    def _put(self, names: Iterable[tuple[bytes, int]]) -> None:
        """Take places for the numbers of new names."""
        hashed, segments = self._hashed, self._segments
        for name, number in names:
            place = hashed(name) % HASHES
            segment = segments[place & self._mask]
            if segment.used == MOST:
                self._split(segment, place)
                segment = segments[place & self._mask]
            prints, at = segment.prints, place >> 20
            while prints[at]:
                at += 1
            if at == LAST or segment.used == MOST:
                self._crowded[name] = number
                continue
            segment.numbers[at] = number  # first: another thread may be looking
            prints[at] = place >> 12 & 0xFF or 1
            segment.used += 1

    def _split(self, full: _Segment, place: int) -> None:
        """Put two segments in the place of one, unless the hash does not spread names.

        Args:
            full: the segment.
            place: of a name that belongs in it.
        """
        segments, bit = self._segments, 1 << full.bits
        if bit > self._mask:
            if len(segments) * SPARSEST > len(self):
                return
            segments *= 2
            self._mask = len(segments) - 1
        first = place & bit - 1
        for start in (first, first | bit):
            half = _Segment(full.bits + 1)
            for at in range(start, len(segments), 2 * bit):
                segments[at] = half
        self._put(self._names_of(full))

    def _names_of(self, segment: _Segment) -> Iterator[tuple[bytes, int]]:
        blocks, starts = self._blocks, self._starts
        for taken, number in zip(segment.prints, segment.numbers, strict=False):
            if taken:
                block, start = blocks[number // BLOCK], starts[number]
                yield block[start : block.find(_END, start) + 1], number


def _encoded(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:  # half a surrogate pair, out of JSON
        return value.encode("utf-8", "surrogatepass")


def _blocks_of(names: bytes) -> Iterator[list[bytes]]:
    """Yield the names of each block."""
    start = 0
    block: list[bytes] = []
    while start < len(names):
        end = names.find(_END, start + _PIECE) + 1 or len(names)
        block += _NAME.findall(names, start, end)
        start = end
        while len(block) >= BLOCK:
            yield block[:BLOCK]
            del block[:BLOCK]
    if block:
        yield block

"""Names: the identifiers of a table as dense integers, in bytes side by side.

A name is held once: its value in UTF-8, a code for its kind, and the byte 0xFF, which
no UTF-8 has. So no name is the beginning of another one, and one comparison tells
whether it stands at a place. `BLOCK` names lie in one piece of memory, or more where a
table was taken up.

The index has segments, chosen by the lowest bits of a hash. In a segment, names with
the same highest byte of the hash make a chain; another byte of it tells most of them
apart, and says by its bits where a name goes when the segment is split. One that has
`MOST` names is split in two by one more bit, and nothing else moves: so a table,
however large, never takes longer to grow than that. Python's hash is keyed anew in each
process: nobody can choose names that meet. See docs/adr/0091-names-in-bytes.md.

A table that is taken up has only the numbers of each segment at first; `chain` makes
the chains, in whatever thread, while others ask and names come. Until then whoever asks
for a name looks at all names of its segment. So a start takes half of the time. See
docs/adr/0144-chains-of-names-are-made-behind-the-start.md.
"""

from __future__ import annotations

import re
from array import array
from io import BytesIO
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any, Final

from agents_registry.identifiers import MAX_VALUE_BYTES, Identifier
from agents_registry.name_segments import BYTE, HIGHEST, NameSegment
from agents_registry.steps import rested, restless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agents_registry.steps import Rest

ABSENT: Final = -1
BLOCK: Final = 64
MOST: Final = 255  # names in a segment: a byte tells them apart
FULL: Final = 190  # that one has on average at the start, at most
SPARSEST: Final = 32  # names that a segment has on average, at least
MOST_TEXTS: Final = 4096  # that were found: who presents one mostly does again
RECENT: Final = 1024  # names that the facts of the same credential soon name again
_LAST_BIT: Final = 7  # of a byte
_END: Final = 0xFF
_LONG: Final = 0x80  # codes of more than one byte have it in each
_PIECE: Final = 1 << 14  # bytes read before other threads get their turn
_NAME: Final = re.compile(rb"[^\xff]*\xff")


class NameTable:
    """Interned identifiers: numbers by name, and names by number.

    Attributes:
        recent: numbers of names that facts named last.
        texts: numbers of texts that were found last.
    """

    def __init__(self, hashed: Callable[[bytes], int] = hash) -> None:
        """Start with none.

        Args:
            hashed: hash of a name; no sender may know it.
        """
        self._hashed = hashed
        self._kinds: list[str] = []
        self._endings: dict[str, bytes] = {}  # by kind, what its names end with
        self._blocks: list[bytes | bytearray] = []  # the last one grows
        self._starts = array("I")  # by number, where the name begins in its block
        self._segments = [NameSegment.empty(0)]
        self._mask = 0
        self._crowded: dict[bytes, int] = {}  # names without a place
        self._unchained: set[int] = set()  # ids of the numbers of segments
        self.recent: dict[Identifier, int] = {}
        self.texts: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._starts)

    def find(self, identifier: tuple[str, str]) -> int:
        """Return the number of an identifier, ABSENT where it was not interned."""
        kind, value = identifier
        ending = self._endings.get(kind)
        if ending is None:
            return ABSENT
        try:
            name = value.encode() + ending
        except UnicodeEncodeError:
            name = _encoded(value) + ending
        place = self._hashed(name)
        segment = self._segments[place & self._mask]
        heads, nexts, numbers, splits, bits = segment
        own, split = place >> HIGHEST & BYTE, place >> (bits & -8) & BYTE
        at = head = heads[own]
        while at:
            if splits[at] == split:
                number = numbers[at]
                start = self._starts[number]
                block = self._blocks[number // BLOCK]
                if block[start : start + len(name)] == name:
                    return number
            at = nexts[at]
        if splits[0] or heads[own] != head:
            return self._missed(name, segment)
        return self._crowded.get(name, ABSENT) if self._crowded else ABSENT

    def find_text(self, text: str) -> int:
        """Return the number of a ``kind:value``; ABSENT may also mean "read it"."""
        kind, _, value = text.partition(":")
        # Anything else than ASCII may be longer than it looks.
        if not (kind and 0 < len(value) <= MAX_VALUE_BYTES and value.isascii()):
            return ABSENT
        number = self.find((kind, value))
        if number != ABSENT:
            if len(self.texts) >= MOST_TEXTS:
                self.texts.clear()
            self.texts[text] = number
        return number

    def intern(self, identifier: Identifier) -> int:
        """Return the number of an identifier, the next one where it is new."""
        number = self.recent.get(identifier)
        if number is not None:
            return number
        # As `find` does it: to call that and to ask for its segment again takes longer
        # than all the rest.
        kind, value = identifier
        ending = self._endings.get(kind) or self._ending(kind)
        try:
            name = value.encode() + ending
        except UnicodeEncodeError:
            name = _encoded(value) + ending
        place = self._hashed(name)
        segment = self._segments[place & self._mask]
        heads, nexts, numbers, splits, bits = segment
        own, split = place >> HIGHEST & BYTE, place >> (bits & -8) & BYTE
        at = head = heads[own]
        while at:
            if splits[at] == split:
                number = numbers[at]
                start = self._starts[number]
                block = self._blocks[number // BLOCK]
                if block[start : start + len(name)] == name:
                    break
            at = nexts[at]
        else:
            if splits[0] or heads[own] != head:
                number = self._missed(name, segment)
            else:
                number = self._crowded.get(name, ABSENT) if self._crowded else ABSENT
            if number == ABSENT:
                number = self._add(name)
                at = len(numbers)
                if at > MOST or splits[0]:
                    self._put(place, number, name)
                else:
                    numbers.append(number)
                    splits.append(split)
                    nexts.append(heads[own])
                    heads[own] = at  # last: another thread may be looking
        if len(self.recent) == RECENT:
            self.recent.clear()
        self.recent[identifier] = number
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
        return bytes(block[start : block.find(_END, start) + 1])

    @property
    def kinds(self) -> Sequence[str]:
        """Kinds by their codes."""
        return self._kinds

    def dump(self) -> dict[str, Any]:
        """Kinds by their codes, and the names by their numbers, one after the other."""
        names, last = BytesIO(), None
        for block in self._blocks:
            if block is not last:  # a piece that was taken up holds several
                names.write(block)
            last = block
        return {"kinds": list(self._kinds), "names": names.getvalue()}

    def restore(self, plain: Mapping[str, Any], rest: Rest = restless) -> None:
        """Take up what `dump` gave, without chains; nothing may be interned yet."""
        for kind in plain["kinds"]:
            self._ending(kind)
        names, count = plain["names"], 0
        for start in range(0, len(names), _PIECE):
            rest()
            count += names.count(_END, start, start + _PIECE)
        bits = (count // FULL).bit_length()
        self._mask = mask = (1 << bits) - 1
        numbers = [array("i", (0,)) for _ in rested(range(1 << bits), rest)]
        adds = [each.append for each in rested(numbers, rest)]
        for piece, told in _pieces_of(names):
            rest()
            first = len(self._starts)
            self._starts.extend(accumulate(map(len, told[:-1]), initial=0))
            self._blocks += repeat(piece, -(-len(told) // BLOCK))
            for number, place in enumerate(map(self._hashed, told), first):
                adds[place & mask](number)
        if count % BLOCK:
            self._blocks[-1] = bytearray(self._blocks[-1])
        self._segments = segments = list[NameSegment]()
        self._unchained.update(map(id, rested(numbers, rest)))
        further: list[int] = []  # for which their segments have no place
        for each in rested(numbers, rest):
            further += each[MOST + 1 :]
            del each[MOST + 1 :]
            segments.append(NameSegment.unchained(each, bits))
        for number in rested(further, rest):
            name = self.encoded(number)
            self._put(self._hashed(name), number, name)

    def chain(self, rest: Rest = restless) -> None:
        """Make the chains of all segments; any thread may.

        Args:
            rest: called now and then, so that other threads can have their turn.
        """
        for segment in rested([*self._segments], rest):
            if segment.splits[0]:
                rest()
                self._chain(segment)

    def _chain(self, segment: NameSegment) -> None:
        """Make the chains of a segment, where no other thread is doing so."""
        _, _, numbers, _, _ = segment
        try:
            self._unchained.remove(id(numbers))
        except KeyError:
            return
        segment.chain(map(self._hashed, map(self.encoded, numbers[1:])))

    def _missed(self, name: bytes, segment: NameSegment) -> int:
        """Look for a name that no chain led to, at whatever moment chains are made."""
        starts, blocks = self._starts, self._blocks
        for number in segment.numbers[1:]:
            if blocks[number // BLOCK].startswith(name, starts[number]):
                return number
        return self._crowded.get(name, ABSENT)

    def _ending(self, kind: str) -> bytes:
        code = chr(len(self._kinds)).encode("utf-8", "surrogatepass")
        self._kinds.append(kind)
        self._endings[kind] = ending = code + bytes([_END])
        return ending

    def _add(self, name: bytes) -> int:
        starts, blocks = self._starts, self._blocks
        number = len(starts)
        if number % BLOCK:
            block = blocks[-1]
        else:
            blocks[-1:] = (*map(bytes, blocks[-1:]), block := bytearray())
        starts.append(len(block))
        block += name
        return number

    def _put(self, place: int, number: int, name: bytes) -> None:
        """Index a new name by its hash."""
        segment = self._segments[place & self._mask]
        heads, nexts, numbers, splits, bits = segment
        at = len(numbers)
        if splits[0]:
            self._chain(segment)
        if splits[0]:  # another thread makes its chains
            self._crowded[name] = number
        elif at <= MOST:
            own = place >> HIGHEST & BYTE
            numbers.append(number)
            splits.append(place >> (bits & -8) & BYTE)
            nexts.append(heads[own])
            heads[own] = at  # last: another thread may be looking
        elif self._split(place):
            self._put(place, number, name)
        else:
            self._crowded[name] = number

    def _split(self, place: int) -> bool:
        """Put two segments in the place of the one of a hash.

        Returns:
            False where the hash does not spread names.
        """
        segments = self._segments
        full = segments[place & self._mask]
        bit = 1 << full.bits
        if bit > self._mask:
            if len(segments) * SPARSEST > len(self):
                return False
            segments *= 2
            self._mask = len(segments) - 1
        first = place & bit - 1
        for start, half in zip((first, first | bit), self._halves(full), strict=True):
            for at in range(start, len(segments), 2 * bit):
                segments[at] = half
        return True

    def _halves(self, full: NameSegment) -> tuple[NameSegment, NameSegment]:
        heads, nexts, numbers, splits, bits = full
        halves = NameSegment.empty(bits + 1), NameSegment.empty(bits + 1)
        by = bits % 8
        for own, head in enumerate(heads):
            at = head
            while at:
                split = splits[at]
                into = halves[split >> by & 1]
                new_heads, new_nexts, new_numbers, new_splits, _ = into
                new_nexts.append(new_heads[own])
                new_heads[own] = len(new_numbers)
                new_numbers.append(numbers[at])
                new_splits.append(split)
                at = nexts[at]
        if by == _LAST_BIT:
            for half in halves:
                half.splits[1:] = (
                    self._hashed(self.encoded(number)) >> bits + 1 & BYTE
                    for number in half.numbers[1:]
                )
        return halves


def _encoded(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:  # half a surrogate pair, out of JSON
        return value.encode("utf-8", "surrogatepass")


def _pieces_of(names: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield pieces of whole blocks with the names of each; the last has the rest."""
    start, size = 0, _PIECE
    while start < len(names):
        end = names.find(_END, start + size) + 1 or len(names)
        piece = bytes(memoryview(names)[start:end])
        told = _NAME.findall(piece)
        whole = len(told) // BLOCK * BLOCK
        if not whole and end < len(names):  # long names
            size += _PIECE
            continue
        if whole:
            piece = piece[: len(piece) - sum(map(len, told[whole:]))]
            del told[whole:]
        yield piece, told
        start += len(piece)

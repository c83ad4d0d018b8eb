"""Segments of the index of names; see `agents_registry.names`."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

HIGHEST: Final = 56  # of the bits of a hash, the first of its highest byte
BYTE: Final = 0xFF


class NameSegment(NamedTuple):
    """Names whose hashes agree in their lowest bits; place 0 is no name's.

    Attributes:
        heads: by the highest byte of a hash, the place of the last name that has it.
        nexts: by place, that of the name before it in its chain; 0 ends the chain.
        numbers: by place, that of the name.
        splits: by place, the byte of the hash that holds the first bit that may differ;
            at place 0, whether the chains are still to be made.
        bits: how many agree.
    """

    heads: bytearray
    nexts: bytearray
    numbers: array[int]
    splits: bytearray
    bits: int

    @classmethod
    def empty(cls, bits: int) -> NameSegment:
        """Make one without names."""
        return cls(bytearray(256), bytearray(1), array("i", (0,)), bytearray(1), bits)

    @classmethod
    def unchained(cls, numbers: array[int], bits: int) -> NameSegment:
        """Make one that knows no more than its numbers; the first is no name's."""
        return cls(bytearray(256), bytearray(1), numbers, bytearray((1,)), bits)

    def chain(self, places: Iterable[int]) -> None:
        """Make the chains.

        Args:
            places: hashes of all names, in the order of their numbers.
        """
        heads, nexts, splits = bytearray(256), bytearray(), bytearray()
        for at, place in enumerate(places, 1):
            own = place >> HIGHEST & BYTE
            nexts.append(heads[own])
            heads[own] = at
            splits.append(place >> (self.bits & -8) & BYTE)
        # In this order: another thread may be looking.
        self.nexts[1:] = nexts
        self.splits[1:] = splits
        self.heads[:] = heads
        self.splits[0] = 0

"""What a table says of numbers is checked before it is put in force.

A number that is no place, or a ring that does not come back, would meet a check: it
would raise there, never end, or read the value of another node. The lengths of columns
were checked before (`agents_registry.table_form`). Each call of C looks at one piece,
so that other threads get their turn.
"""

from __future__ import annotations

from array import array
from itertools import chain, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from agents_registry.lineage import (
    CAUSED,
    LABELLED,
    MANY_PARENTS,
    NONE,
    OWNED,
    RELATIONS,
    SCOPED,
)
from agents_registry.registers import SHARED
from agents_registry.steps import rested, restless

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from agents_registry.steps import Rest

_PIECE: Final = 1 << 14  # numbers looked at in one call
_MASK: Final = _PIECE - 1
_ONE_BYTE: Final = 0x80  # a code below it is one byte of UTF-8
_FEW: Final = 16  # kinds
_RELATIONS: Final = bytes(range(len(RELATIONS)))
_END: Final = b"\xff"
_ENDED: Final = bytes.maketrans(_END, b"\0")
_last: Final = itemgetter(-1)


def check_bounds(plain: Mapping[str, Any], rest: Rest = restless) -> None:
    """Check the names, the rings and the numbers of a table.

    Args:
        plain: what `table_form.unpack` gave.
        rest: called now and then.

    Raises:
        ValueError: one of them is not as docs/table-format.md says.
        TypeError, LookupError: a row has another shape.
    """
    count = len(plain["lineage.flags"])
    _names(plain["lineage.names"], len(plain["lineage.kinds"]), rest)
    _ring(plain["lineage.ring"], count, rest)
    for name in ("parent", "first_child", "next_child"):
        for piece in _pieces(plain[f"lineage.{name}"], "i", rest):
            if piece.count(NONE) < len(piece):
                _within(name, piece, NONE, count)
    _children(plain, rest)
    _expiry(plain, count, rest)
    for start in range(0, count, _PIECE):
        rest()
        relations = plain["lineage.relation"][start : start + _PIECE]
        if relations.translate(None, _RELATIONS):
            raise ValueError("unknown relations")
    _rows(plain, count, rest)
    _flags(plain, rest)


def _names(names: bytes, kinds: int, rest: Rest) -> None:
    if names and not names.endswith(_END):
        raise ValueError("a name without its end")
    endings = [bytes((code, *_END)) for code in range(min(kinds, _FEW))]
    start = 0
    while start < len(names):
        rest()
        end = names.find(_END, start + _PIECE) + 1 or len(names)
        piece, start = names[start:end], end
        piece.translate(_ENDED).decode("utf-8", "surrogatepass")
        # Few kinds are counted in less time than names are cut.
        if sum(map(piece.count, endings)) == piece.count(_END):
            continue
        told = piece.split(_END)[:-1]
        codes = set(map(_last, told))
        if max(codes) >= _ONE_BYTE:
            codes = {ord(each.decode("utf-8", "surrogatepass")[-1]) for each in told}
        _within("kinds", codes, 0, kinds)


def _ring(ring: bytes, count: int, rest: Rest) -> None:
    """Each number once: then whoever walks it comes back to where the walk began."""
    met = bytearray(count)
    start = 0
    for piece in _pieces(ring, "i", rest):
        own = range(start, start + len(piece))
        start = own.stop
        # Names of a node mostly came one after the other.
        if sorted(piece) == [*own]:
            met[own.start : own.stop] = b"\1" * len(own)
            continue
        _within("ring", piece, 0, count)
        for number in piece:
            met[number] = 1
    if met.count(1) != count:
        raise ValueError("a ring that is none")


def _children(plain: Mapping[str, Any], rest: Rest) -> None:
    """Each node once below its first parent: who looks there misses none, and ends.

    Of what is missed nothing that is kept would be undone.
    """
    parents, nexts = (
        memoryview(plain[f"lineage.{name}"]).cast("i")
        for name in ("parent", "next_child")
    )
    left = len(parents)
    for piece in _pieces(plain["lineage.parent"], "i", rest):
        left -= piece.count(NONE)
    number = 0
    for piece in _pieces(plain["lineage.first_child"], "i", rest):
        childless = piece.count(NONE) == len(piece)
        for parent, first in () if childless else enumerate(piece, number):
            child = first
            while child >= 0:
                if parents[child] != parent or not left:
                    raise ValueError("a child of another one")
                left -= 1
                if not left & _MASK:
                    rest()
                child = nexts[child]
        number += len(piece)
    if left:
        raise ValueError("children are missing")


def _expiry(plain: Mapping[str, Any], count: int, rest: Rest) -> None:
    authorities = len(plain["expiry.authorities"])
    if len(plain["expiry.authority"]) > 2 * count:
        raise ValueError("expiries of no name")
    for piece in _pieces(plain["expiry.authority"], "H", rest):
        _within("authority", set(piece) - {SHARED}, 0, authorities + 1)


def _rows(plain: Mapping[str, Any], count: int, rest: Rest) -> None:
    def rows(name: str) -> Iterator[Any]:
        return rested(plain.get(name, ()), rest)

    for name, number in (("lineage.reissued", 0), ("expiry.shared", 0), ("scopes", 0),
                         ("emptied", 0), ("devices", 0), ("tenants", 0),
                         ("causes", 1), ("lifts", 1)):  # fmt: skip
        _each(name, (row[number] for row in rows(name)), count)
    for name in (
        "lineage.creators",
        "lineage.created",
        "lineage.more_children",
        "owned",
    ):
        _each(name, _flat((row[0], *row[1]) for row in rows(name)), count)
    for name in ("lineage.more_parents", "attributes", "holders"):
        told = ((row[0], *(other for other, _ in row[1])) for row in rows(name))
        _each(name, _flat(told), count)
    for name in ("owners", "labels"):
        told = ((row[0], *_flat(row[3])) for row in rows(name))
        _each(name, _flat(told), count)
    further = _flat(row[1] for row in rows("lineage.more_parents"))
    _each("relations", (relation for _, relation in further), len(RELATIONS))


def _flags(plain: Mapping[str, Any], rest: Rest) -> None:
    """Check that flags tell of every row: what is passed over may be a denial."""
    flags = plain["lineage.flags"]
    for flag, name, number in (
        (MANY_PARENTS, "lineage.more_parents", 0), (CAUSED, "causes", 1),
        (CAUSED, "attributes", 0), (OWNED, "owners", 0), (SCOPED, "scopes", 0),
    ):  # fmt: skip
        told = rested(plain[name], rest)
        if not all(flags[row[number]] & flag for row in told):
            raise ValueError(f"a row of {name} without its flag")
    labelled = {row[0] for row in rested(plain.get("labels", ()), rest) if any(row[3])}
    for flag, count in (
        (MANY_PARENTS, len(plain["lineage.more_parents"])), (LABELLED, len(labelled)),
    ):  # fmt: skip
        others = bytes(each for each in range(256) if not each & flag)
        if len(flags.translate(None, others)) != count:
            raise ValueError("parents are missing")
    if not all(flags[node] & LABELLED for node in rested(labelled, rest)):
        raise ValueError("a row of labels without its flag")


def _flat(of: Iterable[Iterable[Any]]) -> Iterator[Any]:
    return chain.from_iterable(of)


def _each(name: str, numbers: Iterable[Any], end: int) -> None:
    rest = iter(numbers)
    while piece := list(islice(rest, _PIECE)):
        if set(map(type, piece)) != {int}:
            raise TypeError(f"{name}: no number")
        _within(name, piece, 0, end)


def _within(name: str, numbers: Collection[int], start: int, end: int) -> None:
    if numbers and not start <= min(numbers) <= max(numbers) < end:
        raise ValueError(f"{name}: no number below {end}")


def _pieces(column: bytes, code: str, rest: Rest) -> Iterator[array[int]]:
    size = _PIECE * array(code).itemsize
    for start in range(0, len(column), size):
        rest()
        yield array(code, column[start : start + size])

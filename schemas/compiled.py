"""Compile a reader for each schema of a fact: from bytes to the fact, in one function.

A generic reader asks the file object for every byte and builds a dict on the way; a
million facts are recovered three times as fast by a function that knows the fields.
It reads what is usual and raises `Unusual` for everything else (a symbol that it does
not know, a negative length, a value that no fact may hold, bytes left over): then the
generic reader of the codec decides, so that the two can never disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from agents_registry.facts import FACTS, SELDOM, Effect, Reach, Relation
from agents_registry.identifiers import LABEL, MAX_VALUE_BYTES, Identifier
from agents_registry.limits_of_causes import SELECTING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agents_registry.facts import Fact

    Reader = Callable[[bytes], Fact]

HEADER_SIZE: Final = 5
COMMON: Final = (
    "authority", "event_id", "version", "stamped", "received_at", "ingress_key",
    "settings",
)  # fmt: skip
LOCAL: Final = frozenset({"data", "known", "i", "n", "head", "tail", "made", "_"})
NAMING: Final = frozenset({
    "node", "child", "parent", "first", "second", "target", "attribute",
})  # fmt: skip
ENUMS: Final[dict[str, Any]] = {"relation": Relation, "effect": Effect, "reach": Reach}
LONG_BYTES: Final = 9  # of a time in ns; two of three in an event are the same
REMEMBERED: Final = 1 << 16


class Unusual(Exception):  # noqa: N818 - no error: the generic reader looks at it
    """The generic reader must decide what this is."""


class Compiler:
    """Makes readers that share what they remember.

    The facts of one event begin with the same bytes: the fields that every fact has.
    They are read once, and recognised for the facts that follow.
    """

    def __init__(self) -> None:
        self._longs: dict[bytes, int] = {}
        self._last: list[Any] = [(b"\xff" * 16, 0)]

    def reader(self, name: str, schema: dict[str, Any]) -> Reader | None:
        """Compile the reader of a schema.

        Args:
            name: of the fact.
            schema: the newest one of that name.

        Returns:
            None where it is no fact's, or has fields of which this knows nothing.
        """
        kind = FACTS.get(name)
        fields = {field["name"]: field["type"] for field in schema["fields"]}
        if kind is None or tuple(fields)[: len(COMMON)] != COMMON:
            return None
        if not LOCAL.isdisjoint(fields):
            return None
        if not {a.name for a in attrs.fields(kind)}.issuperset(fields):
            return None  # the generic reader leaves out what a fact cannot say
        try:
            unsaid = _unsaid(kind, fields)
            lines = list(_lines(fields, unsaid))
        except LookupError:
            return None
        space: dict[str, Any] = {
            "Identifier": Identifier,
            "Unusual": Unusual,
            "fact": kind,
            "open_fact": _opened(kind),
            **{f"{n}_default": of for n, of in unsaid.items()},
            "label_of": _label_of,
            "last": self._last,
            "long_of": _long_of,
            "longs": self._longs,
            "strings_of": _strings_of,
            "tuple_of": tuple.__new__,
            **{f"{n}_symbols": _symbols(n, fields[n]) for n in ENUMS if n in fields},
        }
        exec("\n".join(lines), space)  # noqa: S102 - made here, of our own schemas
        made: Reader = space["read"]
        return made


def _opened(kind: type[Fact]) -> type[Fact]:
    """Class of a fact without its locks, laid out alike.

    Setting fields through the locks of a frozen class takes longer than to read them.
    A fact that is filled by this class becomes one of its own class at once.
    """
    # Of setting and deleting both, else the interpreter still asks for each field.
    free = {n: getattr(object, n) for n in ("__init__", "__setattr__", "__delattr__")}
    return type(kind.__name__, kind.__bases__, {"__slots__": kind.__slots__, **free})


def _unsaid(kind: type[Fact], fields: dict[str, Any]) -> dict[str, Any]:
    """Values of the fields that a schema does not have.

    Raises:
        LookupError: a field is checked, must be said, or is made anew for each fact.
    """
    unsaid = {}
    for attribute in attrs.fields(kind):
        if attribute.validator or attribute.converter:
            raise LookupError(attribute.name)
        if attribute.name not in fields:
            if attribute.default is attrs.NOTHING or hasattr(
                attribute.default, "factory"
            ):
                raise LookupError(attribute.name)
            unsaid[attribute.name] = attribute.default
    return unsaid


def _lines(fields: dict[str, Any], unsaid: Iterable[str]) -> Iterator[str]:
    """Source of a reader."""
    common = ", ".join(COMMON)
    yield "def read(data):"
    yield "    known = last[0]"
    yield f"    if data.startswith(known[0], {HEADER_SIZE}):"
    yield f"        _, i, {common} = known"
    yield "    else:"
    yield f"        i = {HEADER_SIZE}"
    for name in COMMON:
        yield from _indented(_field(name, fields[name]), 8)
    yield f"        last[0] = (data[{HEADER_SIZE}:i], i, {common})"
    for name in tuple(fields)[len(COMMON) :]:
        yield from _indented(_field(name, fields[name]), 4)
    for name in SELDOM:
        if name in fields:  # what has one is checked as it is made
            yield f"    if {name} not in (None, ()): raise Unusual"
    if "where" in fields:
        yield f"    if target[0] in {SELECTING!r}: raise Unusual"
    yield "    if i != len(data):"
    yield "        raise Unusual"
    yield "    made = open_fact()"
    yield from (f"    made.{name} = {name}" for name in fields)
    yield from (f"    made.{name} = {name}_default" for name in unsaid)
    yield "    made.__class__ = fact"
    yield "    return made"


def _field(name: str, kind: Any) -> list[str]:
    """Lines that read one field at ``i`` and move ``i`` behind it.

    Raises:
        LookupError: nothing is known of such a field.
    """
    if isinstance(kind, list):
        null, inner = kind
        if null != "null":
            raise LookupError(name)
        return [
            "n = data[i]; i += 1",
            "if n == 0:",
            f"    {name} = None",
            "elif n == 2:",
            *_indented(_field(name, inner), 4),
            "else:",
            "    raise Unusual",
        ]
    if isinstance(kind, dict):
        kind = kind["type"]
    lines = _KINDS[kind]
    if kind == "string" and name in NAMING:
        lines = lines + _NAME
    if kind == "array":
        lines = lines + _ITEMS[name]
    return [line.replace("$", name) for line in lines]


def _indented(lines: list[str], width: int) -> list[str]:
    return [" " * width + line for line in lines]


_KINDS: Final = {
    "string": [
        "n = data[i]; i += 1",
        "if n & 129:",  # longer than 63 bytes, or negative
        "    n, i = long_of(data, i - 1, longs)",
        "    if n < 0: raise Unusual",
        "else:",
        "    n >>= 1",
        "$ = data[i:i + n].decode(); i += n",
    ],
    "long": [
        "n = data[i]",
        "if n < 128:",
        "    $ = (n >> 1) ^ -(n & 1); i += 1",
        "else:",
        f"    $ = longs.get(data[i:i + {LONG_BYTES}])",
        "    if $ is None:",
        "        $, i = long_of(data, i, longs)",
        "    else:",
        f"        i += {LONG_BYTES}",
    ],
    "boolean": [
        "n = data[i]; i += 1",
        "if n > 1: raise Unusual",
        "$ = n == 1",
    ],
    "enum": [
        "n = data[i]; i += 1",
        "if n & 129: raise Unusual",
        "$ = $_symbols[n >> 1]",
        "if $ is None: raise Unusual",
    ],
    "array": ["$, i = strings_of(data, i, longs)"],
}  # fmt: skip
_NAME: Final = [
    'head, _, tail = $.partition(":")',
    f"if not head or not tail or n > {MAX_VALUE_BYTES}: raise Unusual",
    "$ = tuple_of(Identifier, (head, tail))",  # what its own maker does, in one step
]
_ITEMS: Final = {
    "where": ["$ = tuple(map(Identifier.parse, $))"],
    "labels": ["$ = tuple(map(label_of, $))"],
    "owners": ["$ = tuple(map(Identifier.parse, $))"],
    "scopes": ["$ = tuple($)"],
    "kinds": ["$ = tuple($)"],
}


def _symbols(name: str, kind: dict[str, Any]) -> tuple[Any, ...]:
    """Members of an enum by their numbers, None for what has no word."""
    words = {member.value: member for member in ENUMS[name]}
    return tuple(words.get(symbol) for symbol in kind["symbols"])


def _label_of(text: str) -> Identifier:
    """Read a label; what is none is checked as the fact is made."""
    label = Identifier.parse(text)
    if not label.kind.startswith(LABEL):
        raise Unusual
    return label


def _long_of(data: bytes, start: int, longs: dict[bytes, int]) -> tuple[int, int]:
    """Read a long; give it and where it ends. Times are remembered by their bytes."""
    number = shift = 0
    at = start
    while (byte := data[at]) > 127:  # noqa: PLR2004 - the high bit: more follows
        number |= (byte & 127) << shift
        shift += 7
        at += 1
    at += 1
    if at - start > LONG_BYTES:
        raise Unusual
    number |= byte << shift
    number = (number >> 1) ^ -(number & 1)
    if at - start == LONG_BYTES:
        if len(longs) >= REMEMBERED:
            longs.clear()
        longs[data[start:at]] = number
    return number, at


def _strings_of(data: bytes, at: int, longs: dict[bytes, int]) -> tuple[list[str], int]:
    """Read an array of strings in one block; give it and where it ends."""
    found: list[str] = []
    count, at = _long_of(data, at, longs)
    if count < 0:
        raise Unusual
    for _ in range(count):
        length, at = _long_of(data, at, longs)
        if not 0 <= length <= len(data):
            raise Unusual
        found.append(data[at : at + length].decode())
        at += length
    if count and data[at]:
        raise Unusual
    return found, at + bool(count)

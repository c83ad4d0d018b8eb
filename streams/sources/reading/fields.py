"""Read the fields of a decoded event, whatever their type; nothing here raises."""

from __future__ import annotations

from typing import Any, Final

import orjson

from agents_registry.facts import Relation
from agents_registry.identifiers import MAX_VALUE_BYTES, Identifier
from streams.model.records import Parent, Tie

_EMPTY: Final[dict[str, Any]] = {}
# Exporters add blanks and a final dot to names, and write any dash.
_DASHES: Final = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")


def mapping(value: Any) -> dict[str, Any]:
    """Value when it is an object, else an empty one."""
    return value if type(value) is dict else _EMPTY


def listed(value: Any) -> list[Any]:
    """Value when it is a list, else an empty one."""
    return value if type(value) is list else []


def text(value: Any) -> str | None:
    """Value when it is a text with something in it."""
    return value if type(value) is str and value else None


def number(value: Any) -> str | None:
    """Id that some exporters write as a number and others as a text."""
    if type(value) is int:
        return str(value) if value > 0 else None
    return value if type(value) is str and value.strip("0 ") else None


def nested(value: Any) -> Any:
    """Value within a JSON string; another value, or no JSON, as it is."""
    if type(value) is not str:
        return value
    try:
        return orjson.loads(value.encode(errors="replace"))
    except orjson.JSONDecodeError:
        return value


def plain(name: str) -> str:
    """Name without case, outer blanks, a final dot; any dash becomes "-"."""
    return name.strip().removesuffix(".").rstrip().translate(_DASHES).casefold()


def identifier(kind: str, value: Any) -> Identifier | None:
    """Return the identifier, or None where the value is no legal one."""
    if type(value) is not str or not 0 < len(value) <= MAX_VALUE_BYTES:
        return None
    if not value.isascii() and len(value.encode(errors="replace")) > MAX_VALUE_BYTES:
        return None
    return Identifier(kind, value)


def named(*identifiers: Identifier | None) -> tuple[Identifier, ...]:
    """Return the identifiers that are there, each once."""
    if len(identifiers) == 1:  # most often; it cannot come twice
        first = identifiers[0]
        return () if first is None else (first,)
    return tuple(dict.fromkeys(filter(None, identifiers)))


def requires(*parents: Identifier | None) -> tuple[Parent, ...]:
    """Parents that are named, each once, as ``requires`` edges."""
    return tuple([Parent(*parent, Relation.REQUIRES) for parent in named(*parents)])


def tied(child: Identifier | None, parent: Identifier | None) -> tuple[Tie, ...]:
    """Hang one identifier on another, where both are there."""
    if child is None or parent is None:
        return ()
    return (Tie(child, parent, Relation.REQUIRES),)

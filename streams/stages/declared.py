"""Declared credentials: the first day's baseline, said by an operator.

What exists already when Rescind starts was never seen being issued. A list of it
makes those credentials known, gives them parents and owners, and says which of them
are roots, i.e. have no parent at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents_registry.facts import (
    Alias,
    Edge,
    Fact,
    Node,
    OwnerSet,
    Relation,
    Renewal,
    ScopeSet,
)
from agents_registry.identifiers import Identifier
from streams.stages.admission import MAX_ALIASES, MAX_PARENTS
from streams.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from streams.stages.ingress import Origin

FIELDS: Final = frozenset({
    "identifier", "issued_at", "expires_at", "aliases", "parents", "owners", "scope",
    "root",
})  # fmt: skip

# The lists of an entry; the longest allowed, as for what sources state.
LISTS: Final = {
    "aliases": MAX_ALIASES - 1,
    "parents": MAX_PARENTS,
    "owners": None,
    "scope": None,
}


class DeclarationError(ValueError):
    """An entry of the list cannot be read; the text names the entry and the field."""


def facts_of_list(
    entries: Iterable[Any],
    origin: Origin,
    read: Callable[[str], Identifier] = Identifier.parse,
) -> tuple[Fact, ...]:
    """Give the facts of a list of declared credentials.

    An entry has ``identifier`` (``kind:value``) and optionally ``issued_at`` and
    ``expires_at`` (RFC 3339), ``aliases``, ``owners`` and ``parents`` (lists of
    identifiers), ``scope`` (list of texts) and ``root``.

    Args:
        entries: of the list, as JSON gives them.
        origin: who declares them.
        read: reads an identifier, or raises ValueError.

    Raises:
        DeclarationError: an entry has an unknown field or an unreadable value.
    """
    facts: list[Fact] = []
    for number, entry in enumerate(entries, 1):
        try:
            facts += _entry(_typed(entry), origin, read)
        except (ValueError, TypeError) as error:
            raise DeclarationError(f"entry {number}: {error}") from error
    return tuple(facts)


def _typed(entry: Any) -> Mapping[str, Any]:
    """Give an entry back when its fields have the types that they must have.

    ``"false"`` is a text and true to Python: a wrong type is refused, not converted.
    """
    if not isinstance(entry, dict):
        raise TypeError("an entry is an object")
    unknown = set(entry) - FIELDS
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    if not isinstance(entry.get("identifier"), str):
        raise TypeError("identifier is missing: write it as kind:value")
    if not isinstance(entry.get("root", False), bool):
        raise TypeError("root is true or false")
    for name, most in LISTS.items():
        values = entry.get(name)
        if values is None:
            continue
        if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
            raise TypeError(f"{name} is a list of texts")
        if most is not None and len(values) > most:
            raise ValueError(f"{name}: at most {most}")
    return entry


def _entry(
    entry: Mapping[str, Any], origin: Origin, read: Callable[[str], Identifier]
) -> Iterator[Fact]:
    common: Any = {
        "authority": origin.authority,
        "version": origin.received_at,
        "received_at": origin.received_at,
        "ingress_key": origin.ingress_key,
        "settings": origin.settings,
    }
    node = read(entry["identifier"])
    issued_at = _time(entry.get("issued_at"))
    yield Node(node=node, issued_at=issued_at, root=entry.get("root", False), **common)
    for other in map(read, entry.get("aliases") or ()):
        yield Node(node=other, issued_at=issued_at, **common)
        yield Alias(first=node, second=other, **common)
    for parent in map(read, entry.get("parents") or ()):
        yield Edge(child=node, parent=parent, relation=Relation.REQUIRES, **common)
    owners = tuple(map(read, entry.get("owners") or ()))
    if owners:
        yield OwnerSet(node=node, owners=owners, **common)
    expires_at = _time(entry.get("expires_at"))
    if expires_at is not None:
        yield Renewal(node=node, expires_at=expires_at, **common)
    if entry.get("scope") is not None:
        yield ScopeSet(node=node, scopes=tuple(entry["scope"]), **common)


def _time(value: Any) -> int | None:
    if value is None or value == "":
        return None
    time = parse_time(value)
    if time is None:
        raise ValueError(f"{value!r} is not a time: write it as RFC 3339")
    return time

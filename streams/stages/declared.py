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
from streams.times import AbsurdTimeError, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from streams.stages.ingress import Origin

FIELDS: Final = frozenset({
    "identifier", "issued_at", "expires_at", "aliases", "parents", "owners", "scope",
    "root",
})  # fmt: skip


class DeclarationError(ValueError):
    """An entry of the list cannot be read; the text names the entry and the field."""


def facts_of_list(
    entries: Iterable[Mapping[str, Any]], origin: Origin
) -> tuple[Fact, ...]:
    """Give the facts of a list of declared credentials.

    An entry has ``identifier`` (``kind:value``) and optionally ``issued_at`` and
    ``expires_at`` (RFC 3339), ``aliases``, ``owners`` and ``parents`` (lists of
    identifiers), ``scope`` (list of texts) and ``root``.

    Raises:
        DeclarationError: an entry has an unknown field or an unreadable value.
    """
    facts: list[Fact] = []
    for number, entry in enumerate(entries, 1):
        try:
            facts += _entry(entry, origin)
        except (ValueError, TypeError, AttributeError, AbsurdTimeError) as error:
            raise DeclarationError(f"entry {number}: {error}") from error
    return tuple(facts)


def _entry(entry: Mapping[str, Any], origin: Origin) -> Iterator[Fact]:
    unknown = set(entry) - FIELDS
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    common: Any = {
        "authority": origin.authority,
        "version": origin.received_at,
        "received_at": origin.received_at,
        "ingress_key": origin.ingress_key,
        "settings": origin.settings,
    }
    node = Identifier.parse(entry.get("identifier", ""))
    issued_at = _time(entry.get("issued_at"))
    yield Node(node=node, issued_at=issued_at, root=bool(entry.get("root")), **common)
    for other in _identifiers(entry, "aliases"):
        yield Node(node=other, issued_at=issued_at, **common)
        yield Alias(first=node, second=other, **common)
    for parent in _identifiers(entry, "parents"):
        yield Edge(child=node, parent=parent, relation=Relation.REQUIRES, **common)
    owners = tuple(_identifiers(entry, "owners"))
    if owners:
        yield OwnerSet(node=node, owners=owners, **common)
    expires_at = _time(entry.get("expires_at"))
    if expires_at is not None:
        yield Renewal(node=node, expires_at=expires_at, **common)
    if entry.get("scope") is not None:
        yield ScopeSet(node=node, scopes=tuple(map(str, entry["scope"])), **common)


def _identifiers(entry: Mapping[str, Any], name: str) -> Iterator[Identifier]:
    values = entry.get(name) or ()
    if isinstance(values, str):
        raise TypeError(f"{name} is a list of identifiers")
    for value in values:
        yield Identifier.parse(value)


def _time(value: Any) -> int | None:
    if value is None or value == "":
        return None
    time = parse_time(value)
    if time is None:
        raise ValueError(f"{value!r} is not a time: write it as RFC 3339")
    return time

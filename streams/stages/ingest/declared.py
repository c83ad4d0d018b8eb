"""Declared credentials: the first day's baseline, said by an operator.

What exists already when Rescind starts was never seen being issued. A list of it
makes those credentials known, gives them parents and owners, and says which of them
are roots, i.e. have no parent at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from agents_registry.facts import (
    Cause,
    Edge,
    Effect,
    Fact,
    LabelSet,
    Node,
    OwnerSet,
    Renewal,
    ScopeSet,
)
from agents_registry.identifiers import Identifier
from streams.model.declared_entry import FIELDS, LISTS, PARENTS, TIMES
from streams.model.times import typed_time
from streams.stages.ingest.ingress import named_together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from streams.stages.ingest.ingress import Common, Origin


class DeclarationError(ValueError):
    """An entry of the list cannot be read; the text names the entry and the field."""


def facts_of_list(
    entries: Iterable[Any],
    origin: Origin,
    read: Callable[[str], Identifier] = Identifier.parse,
) -> tuple[Fact, ...]:
    """Facts of a list of declared credentials.

    An entry has ``identifier`` (``kind:value``) and optionally

    - ``issued_at`` and ``expires_at`` (RFC 3339),
    - ``labels`` (as ``label.team:payments``); an empty list takes all away,
    - ``aliases``, ``owners`` and ``parents`` (lists of identifiers), and
      ``ends_with_parent``, ``ends_with_parent_always`` and ``created_by``, which are
      parents of the relation of that name,
    - ``scope`` (list of texts) and ``root``,
    - ``suspended``, the aspect that a restore must name, and ``suspended_at``,
    - ``not_before``: what was issued under it until then is dead,
    - ``changed_at``: since when its owners, expiry and scope are as they are.

    An entry that has ``issued_at`` or ``changed_at`` gives the same facts whenever it
    is declared; owners, expiry and scope without ``changed_at`` are said now, and win
    over what was said before.

    Args:
        entries: of the list, as JSON gives them.
        origin: who declares them.
        read: reads an identifier, or raises ValueError.

    What ends or suspends comes first and what makes a name known comes last: no reader
    ever sees a credential without what limits it, wherever the list is cut.

    Raises:
        DeclarationError: an entry has an unknown field or an unreadable value.
    """
    facts: list[Fact] = []
    for number, entry in enumerate(entries, 1):
        try:
            facts += _entry(_typed(entry), origin, read)
        except (ValueError, TypeError) as error:
            raise DeclarationError(f"entry {number}: {error}") from error
    return tuple(sorted(facts, key=_grants))


def _grants(fact: Fact) -> int:
    return int(isinstance(fact, Node)) - isinstance(fact, Cause)


def _typed(entry: Any) -> Mapping[str, Any]:
    """Entry, once its fields have the types that they must have.

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
    if not isinstance(entry.get("suspended") or "", str):
        raise TypeError("suspended is a text: what a restore must name")
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
    times = {name: _time(entry.get(name)) for name in TIMES}
    node, issued_at = read(entry["identifier"]), times["issued_at"]
    changed = times["changed_at"]
    stated = changed if issued_at is None else issued_at
    # What has no order among its copies; a stamped version is not part of its name.
    lasting = _common(origin, stated, stamped=stated is None)
    standing = _common(origin, changed)
    yield Node(node=node, issued_at=issued_at, root=entry.get("root", False), **lasting)
    for other in map(read, entry.get("aliases") or ()):
        yield Node(node=other, issued_at=issued_at, **lasting)
        yield named_together(node, other, cast("Common", lasting))
    for name, relation in PARENTS.items():
        for parent in map(read, entry.get(name) or ()):
            yield Edge(child=node, parent=parent, relation=relation, **lasting)
    owners = tuple(map(read, entry.get("owners") or ()))
    if owners:
        yield OwnerSet(node=node, owners=owners, **standing)
    if entry.get("labels") is not None:
        labels = tuple(map(Identifier.parse, entry["labels"]))
        yield LabelSet(node=node, labels=labels, **standing)
    if times["expires_at"] is not None:
        yield Renewal(node=node, expires_at=times["expires_at"], **standing)
    if entry.get("scope") is not None:
        yield ScopeSet(node=node, scopes=tuple(entry["scope"]), **standing)
    yield from _causes(node, entry.get("suspended"), times, origin)


def _causes(
    node: Identifier,
    suspended: str | None,
    times: Mapping[str, int | None],
    origin: Origin,
) -> Iterator[Cause]:
    """Causes that limit an entry already; an event that restores it comes later."""
    if suspended:
        since = _common(origin, times["suspended_at"])
        yield Cause(
            target=node,
            effect=Effect.SUSPEND,
            at=since["version"],
            aspect=suspended,
            **since,
        )
    if times["not_before"] is not None:
        since = _common(origin, times["not_before"])
        yield Cause(
            target=node,
            effect=Effect.NOT_BEFORE,
            at=since["version"],
            not_before=times["not_before"],
            **since,
        )


def _common(
    origin: Origin, version: int | None, *, stamped: bool = False
) -> dict[str, Any]:
    return {
        "authority": origin.authority,
        "version": origin.received_at if version is None else version,
        "stamped": stamped,
        "received_at": origin.received_at,
        "ingress_key": origin.ingress_key,
        "settings": origin.settings,
    }


def _time(value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        return typed_time(value)
    except ValueError as error:
        raise ValueError(f"{value!r} {error}") from error

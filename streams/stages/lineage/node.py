"""What is stated about one node: names, owners, scopes, labels, and its own causes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents_registry.causes import reference
from agents_registry.identifiers import class_of
from agents_registry.inventory import labels_of
from agents_registry.lineage import KNOWN, NONE, ROOT, UNKNOWN_TIME
from agents_registry.presentation import Presented
from agents_registry.verdict import judging
from streams.model.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

SHOWN: Final = 100  # of names, owners, causes and scopes


def stating(
    registry: Registry, identifier: Identifier, now: int
) -> Steps[dict[str, Any]]:
    """Say what is stated about a node; the table must not change meanwhile.

    Args:
        registry: the table.
        identifier: one of its names.
        now: ns.
    """
    lineage = registry.lineage
    of, node = class_of(identifier.kind, lineage.vocabulary), lineage.find(identifier)
    names = [] if node == NONE else lineage.others(node)
    flags = 0
    for name in names:
        flags |= lineage.flags[name]
    causes = yield from _causes(registry, names, now)
    return {
        "identifier": str(identifier),
        "kind": identifier.kind,
        "class": None if of is None else of.value,
        "known": node != NONE,
        "declared": bool(flags & KNOWN),
        "root": bool(flags & ROOT),
        "names": _first(sorted(str(lineage.identifier(name)) for name in names)),
        "names_total": len(names),
        "issued_at": _earliest(lineage.issued[name] for name in names),
        "expires_at": _earliest(lineage.expires[name] for name in names),
        "owners": (yield from _owners(registry, names, now)),
        "owners_gone": any(name in registry.emptied for name in names),
        "scopes": _scopes(registry, names),
        "labels": _first([*map(str, labels_of(registry, identifier))]),
        "devices": _first(sorted(_all(registry.devices, names))),
        "tenants": _first(sorted(_all(registry.tenants, names))),
        "causes": _first(causes),
        "causes_total": len(causes),
    }


def _first(found: list[Any]) -> list[Any]:
    return found[:SHOWN]


def _all(of: Mapping[int, set[str]], names: Iterable[int]) -> set[str]:
    return {each for name in names for each in of.get(name, ())}


def _earliest(times: Iterable[int]) -> str | None:
    at = min(times, default=UNKNOWN_TIME)
    return None if at == UNKNOWN_TIME else rfc3339(at)


def _owners(
    registry: Registry, names: Iterable[int], now: int
) -> Steps[list[dict[str, Any]]]:
    """Owner sets in force, each with the authority that stated it."""
    found = []
    for authority, owners in _stated(registry.owners, names):
        judged = []
        for owner in sorted(map(registry.lineage.identifier, owners))[:SHOWN]:
            verdict = yield from judging(registry, Presented((owner,)), now=now)
            judged.append(
                {
                    "identifier": str(owner),
                    "allowed": verdict.allowed,
                    "reason": verdict.reason.value,
                }
            )
        found.append(
            {"authority": authority, "owners": judged, "owners_total": len(owners)}
        )
    return _first(found)


def _scopes(registry: Registry, names: Iterable[int]) -> list[dict[str, Any]]:
    return _first(
        [
            {
                "authority": authority,
                "scopes": _first(sorted(scopes)),
                "scopes_total": len(scopes),
            }
            for authority, scopes in _stated(registry.scopes, names)
        ]
    )


def _stated(register: Any, names: Iterable[int]) -> Iterator[tuple[str, Any]]:
    """Yield the statements in force about a node, by their authorities."""
    for name in names:
        for authority, tied in sorted(register.by_authority(name)):
            for content in tied:
                yield authority, content


def _causes(
    registry: Registry, names: Iterable[int], now: int
) -> Steps[list[dict[str, Any]]]:
    """Causes on a node itself, the latest first, with what became of each."""
    rows: list[tuple[int, str, RecordedCause]] = []
    for name in names:
        for cause in registry.causes_of(name):
            yield
            rows.append((cause.at, cause.fact_id, cause))
    rows.sort(reverse=True)
    found = []
    for _, _, cause in rows:
        yield
        told = reference(registry, cause)
        found.append(
            {
                "id": told.fact_id,
                "target": str(told.target),
                "effect": told.effect.value,
                "reach": told.reach.value,
                "authority": told.authority,
                "aspect": cause.aspect or None,
                "at": rfc3339(told.at),
                "not_before": rfc3339(cause.mark) if cause.mark else None,
                "until": None if told.until is None else rfc3339(told.until),
                "scopes": _first(list(cause.scopes)),
                "state": _state(registry, cause, now),
            }
        )
    return found


def _state(registry: Registry, cause: RecordedCause, now: int) -> str:
    if registry.causes.in_force(cause, now=now):
        return "in_doubt" if registry.causes.ambiguous(cause) else "in_force"
    return "over" if cause.is_over(None, now) else "lifted"

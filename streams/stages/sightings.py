"""What is told of a use, as it goes into a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents_registry.lineage import NONE
from streams.findings import FindingKind
from streams.stages.episodes import Sighting
from streams.stages.posture_rules import owner_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.verdict import Death
    from streams.findings import Finding
    from streams.stages.episodes import Doubt
    from streams.stages.uses import Seen


def of_use(
    kind: FindingKind, use: Seen, why: Death, first: int, times: int
) -> Sighting:
    """Give what is told of a dead credential's use.

    Args:
        kind: that it is.
        use: the last one of those that are told together.
        why: it is dead.
        first: when the first of them was (ns).
        times: how many they are.
    """
    return _of(
        kind,
        use,
        first,
        times,
        via=why.via,
        path=why.path,
        cause=why.cause.fact_id,
        cause_at=why.cause.at,
        cause_effect=why.cause.effect.value,
    )


def of_failure(lag: Finding, doubt: Doubt) -> Sighting:
    """Give the failure that a use turned out to be; it was told as something less."""
    return Sighting(
        kind=FindingKind.ENFORCEMENT_FAILURE,
        presented=lag.presented,
        point=lag.point,
        outcome=lag.outcome,
        via=lag.via,
        path=lag.path,
        cause=lag.cause,
        cause_at=lag.cause_at,
        cause_effect=lag.cause_effect,
        owner=lag.owner,
        count=doubt.times,
        first_seen=doubt.first,
        last_seen=doubt.evidence.at,
        event_ids=() if doubt.event_id is None else (doubt.event_id,),
    )


def of_unknown(use: Seen, first: int, times: int) -> Sighting:
    """Give what is told of a use of what nobody declared; as `of_use` takes it."""
    return _of(FindingKind.UNKNOWN_CREDENTIAL, use, first, times)


def of_beyond(use: Seen, detail: str, first: int, times: int) -> Sighting:
    """Give what is told of a use beyond its scopes; as `of_use` takes it."""
    return _of(FindingKind.SCOPE_VIOLATION, use, first, times, detail=detail)


def owner_among(names: Iterable[Identifier], registry: Registry) -> str | None:
    """Give who owns what was presented, as the facts know it."""
    lineage = registry.lineage
    nodes = map(lineage.find, names)
    owners = (owner_of(registry, lineage.others(n)) for n in nodes if n != NONE)
    return next(filter(None, owners), None)


def _of(kind: FindingKind, use: Seen, first: int, times: int, **more: Any) -> Sighting:
    return Sighting(
        kind=kind,
        presented=use.identifiers[0],
        point=use.point,
        outcome=use.outcome,
        owner=use.owner,
        count=times,
        first_seen=first,
        last_seen=use.at,
        event_ids=() if use.event_id is None else (use.event_id,),
        **more,
    )

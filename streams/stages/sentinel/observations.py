"""What is told of a use, as it goes into a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from agents_registry.identifiers import Identifier
from agents_registry.lineage import NONE
from streams.model.findings import FindingKind
from streams.stages.access.agent_kinds import WORKLOADS, is_account, is_agent
from streams.stages.access.caller import Caller
from streams.stages.posture.rules import owner_of
from streams.stages.sentinel.acted import AgentUse
from streams.stages.sentinel.acting import levels_above
from streams.stages.sentinel.episode import Sighting
from streams.stages.sentinel.evidence import GUARD
from streams.stages.sentinel.messages import ORDERER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.death import Death
    from agents_registry.registry import Registry
    from streams.model.findings import Finding
    from streams.stages.access.uses import AccessEvent
    from streams.stages.sentinel.episode import Doubt
    from streams.stages.sentinel.revocation_offsets import Accepted


def of_use(
    kind: FindingKind,
    use: AccessEvent,
    why: Death,
    first: int,
    times: int,
    **more: Any,
) -> Sighting:
    """Details of a dead credential's use.

    Args:
        kind: that it is.
        use: the last one of those that are told together.
        why: it is dead.
        first: when the first of them was (ns).
        times: how many they are.
        more: what else is told of it, by the fields of a sighting.
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
        **more,
    )


def of_failure(lag: Finding, doubt: Doubt) -> Sighting:
    """Failure that a use turned out to be; it was told as something less."""
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
        told_at=lag.told_at,
        late_by=GUARD,
        ended_by=lag.ended_by,
        authority=lag.authority,
        reason=lag.reason,
        agent=lag.agent,
        address=lag.address,
        user_agent=lag.user_agent,
        owner=lag.owner,
        count=doubt.times,
        first_seen=doubt.first,
        last_seen=doubt.evidence.at,
        event_ids=() if doubt.event_id is None else (doubt.event_id,),
    )


def of_unknown(use: AccessEvent, first: int, times: int) -> Sighting:
    """Details of a use of an undeclared credential; arguments as `of_use`."""
    return _of(FindingKind.UNKNOWN_CREDENTIAL, use, first, times)


def of_agent(agent: Identifier, use: AccessEvent, first: int, times: int) -> AgentUse:
    """Details of a use by an undeclared agent; arguments as `of_use`."""
    by, presented = use.caller or Caller(), use.identifiers[0]
    return AgentUse(
        agent=agent,
        point=use.point,
        credential="" if presented == agent else str(presented),
        first=first,
        last=use.at,
        times=times,
        event_ids=() if use.event_id is None else (use.event_id,),
        address=by.address,
        user_agent=by.user_agent,
        owner=use.owner,
    )


def of_beyond(use: AccessEvent, detail: str, first: int, times: int) -> Sighting:
    """Details of a use beyond its scopes; arguments as `of_use`."""
    return _of(FindingKind.SCOPE_VIOLATION, use, first, times, detail=detail)


def with_end(sighting: Sighting, ended: Accepted) -> Sighting:
    """Add who ended what a signal tells of, why, and when that was told here."""
    ambiguous = sighting.kind is FindingKind.LIFT_AMBIGUOUS
    event_ids = (ended.event_id,) if ambiguous and ended.event_id else ()
    return evolve(
        sighting,
        ended_by=ended.actor,
        authority=ended.authority,
        reason=ended.reason,
        told_at=ended.at,
        event_ids=sighting.event_ids or event_ids,
    )


def with_orderer(sighting: Sighting, registry: Registry) -> Sighting:
    """Add whose the one is who ordered an end that reaches beyond its limit."""
    by = sighting.ended_by or ""
    if sighting.kind is not FindingKind.BLAST_LIMIT or ":" not in by:
        return sighting
    try:
        owner = owner_among((Identifier.parse(by),), registry)
    except ValueError:  # the name of a person that has a colon in it
        return sighting
    if owner is None:
        return sighting
    return evolve(sighting, detail=sighting.detail + ORDERER.format(by, owner))


def owner_among(names: Iterable[Identifier], registry: Registry) -> str | None:
    """Owner of what was presented, as the facts know it."""
    lineage = registry.lineage
    nodes = map(lineage.find, names)
    owners = (owner_of(registry, lineage.others(n)) for n in nodes if n != NONE)
    return next(filter(None, owners), None)


def agent_among(names: Iterable[Identifier], registry: Registry) -> str | None:
    """Agent that something presented is, or hangs on: the nearest.

    Where there is none the nearest account or workload acts.
    """
    met = [name for level in levels_above([*names], registry) for name in level]
    agents = (name for name in met if is_agent(name.kind))
    workloads = (
        name for name in met if is_account(name.kind) or name.kind in WORKLOADS
    )
    found = next(agents, None) or next(workloads, None)
    return None if found is None else str(found)


def _of(
    kind: FindingKind, use: AccessEvent, first: int, times: int, **more: Any
) -> Sighting:
    by = use.caller or Caller()
    return Sighting(
        agent=by.agent,
        address=by.address,
        user_agent=by.user_agent,
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

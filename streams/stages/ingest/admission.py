"""Decide which facts of a batch of records get in, and say why the others do not.

Asymmetry in every doubt: of a record with a refused or illegal part, what can only
deny (its cause, its edges) still gets in where that is entitled; what could allow
(node, owners, expiry, scope, lift) is refused with it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from attrs import Factory, define, frozen

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Fact,
    Holds,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Renewal,
    ScopeSet,
)
from agents_registry.identifiers import MAX_VALUE_BYTES, Identifier
from agents_registry.presentation import MOST_IDENTIFIERS
from streams.model.declared_entry import (
    MAX_ALIASES,
    MAX_LABELS,
    MAX_OWNERS,
    MAX_PARENTS,
)
from streams.model.findings import FindingKind
from streams.model.records import Access, DeadLetter, Lifecycle
from streams.stages.access.uses import AccessEvent, seen
from streams.stages.ingest.entitlement import Grant, entitled, only_denies, targets
from streams.stages.ingest.ingress import (
    Origin,
    facts_of,
    shown_agents,
    told,
    unreadable_ending,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.model.records import Record

MAX_TIES: Final = 512  # a path of 256 bytes has 127 steps, and an event a few paths
MAX_EVENT_ID: Final = 1024  # characters; the ids of vendors have 64
TOO_LONG: Final = (
    f"value_too_long: an identifier has more than {MAX_VALUE_BYTES} bytes; "
    "look at the event at the source"
)
TOO_MANY: Final = (
    f"too_many: more than {MAX_ALIASES} names, {MAX_PARENTS} parents, {MAX_OWNERS} "
    f"owners, {MAX_LABELS} labels or {MAX_TIES} further edges; look at the event at "
    "the source"
)
TOO_MANY_PRESENTED: Final = (
    f"too_many: a use presents more than {MOST_IDENTIFIERS} identifiers; "
    "look at the line at the source"
)
TOO_MANY_EDGES: Final = (
    f"too_many: a use tells of more than {MAX_PARENTS} parents or {MAX_TIES} further "
    "edges, which are left out; look at the line at the source"
)
UNAUTHORISED: Final = (
    "unauthorised: {} may not speak of {}; grant it in the settings, or distrust it"
)


@frozen
class Entitlements:
    """What an authority may say; ``restorer`` when its speaker holds that role."""

    grants: tuple[Grant, ...]
    restorer: bool = False


@define
class Admission:
    """What gets in, and what is kept of the rest.

    Attributes:
        signals: what the sentinel makes findings of, JSON-ready.
    """

    facts: list[Fact] = Factory(list)
    accesses: list[AccessEvent] = Factory(list)
    dead_letters: list[DeadLetter] = Factory(list)
    signals: list[dict[str, Any]] = Factory(list)
    lifecycle: int = 0

    @property
    def accepted(self) -> int:
        """Count the records that were taken in."""
        return self.lifecycle + len(self.accesses)


def admit(
    records: Iterable[Record],
    origin: Origin,
    rights: Entitlements,
    *,
    fresh: str,
    point: str = "",
    stated: Callable[[Access], bool] = lambda _: False,
) -> Admission:
    """Turn a batch of records into what may be written.

    Args:
        records: of one request or file, in its order.
        origin: where they came from.
        rights: of the authority.
        fresh: a unique id of this batch, for events without id and time.
        point: the enforcement point of accesses that do not name one.
        stated: tells that the lineage of such a use is in the log already.
    """
    admission = Admission()
    for position, given in enumerate(records):
        record = _named_shortly(given)
        if isinstance(record, DeadLetter):
            admission.dead_letters.append(record)
        elif isinstance(record, Access):
            if _admit_access(record, origin, admission, point) and not stated(record):
                _admit_lineage(record, origin, rights, admission)
        else:
            fresh_id = f"{fresh}/{position}"
            _admit_lifecycle(record, origin, rights, admission, fresh_id)
    return admission


def _named_shortly(record: Record) -> Record:
    """Record whose event has an id that fits everywhere, the same each time."""
    event_id = record.event_id
    if event_id is None or len(event_id) <= MAX_EVENT_ID:
        return record
    digest = hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()
    return record._replace(event_id=f"sha256:{digest}")


def _admit_access(
    record: Access, origin: Origin, admission: Admission, point: str
) -> bool:
    """Take a use in for the sentinel; tell whether it could be."""
    if not record.identifiers or not all(map(_legal, record.identifiers)):
        admission.dead_letters.append(_letter(record, TOO_LONG))
        return False
    if len(record.identifiers) > MOST_IDENTIFIERS:
        admission.dead_letters.append(_letter(record, TOO_MANY_PRESENTED))
        return False
    received_at = origin.received_at
    admission.accesses.append(seen(record, point=point, received_at=received_at))
    return True


def _admit_lineage(
    record: Access, origin: Origin, rights: Entitlements, admission: Admission
) -> None:
    """Read lineage off a use; what the log's owner may not state is left out."""
    if not _few_edges(record):
        admission.dead_letters.append(_letter(record, TOO_MANY_EDGES))
        return
    admission.facts += _stateable(facts_of(record, origin), rights)


def _refused(record: Lifecycle, reason: str, *, taken: bool) -> str:
    """Say what was refused, why, and whether a part of it got in that denies."""
    right = reason.removeprefix("unauthorised: ").partition("; ")[0]
    part = "what of it can only deny was" if taken else "nothing of it was"
    return f"{record.event_type}: {right}; {part} taken in"


def _stateable(facts: Iterable[Fact], rights: Entitlements) -> list[Fact]:
    return [f for f in facts if entitled(f, rights.grants) and _is_legal(f)]


def _few_edges(record: Lifecycle | Access) -> bool:
    return len(record.parents) <= MAX_PARENTS and len(record.ties) <= MAX_TIES


def _admit_lifecycle(
    record: Lifecycle,
    origin: Origin,
    rights: Entitlements,
    admission: Admission,
    fresh_id: str,
) -> None:
    admission.lifecycle += 1
    if unreadable_ending(record):
        name = Identifier("source", record.source)
        detail = f"{record.event_type} names nothing that can be read"
        _signal(
            admission, FindingKind.REVOCATION_NOT_APPLIED, name, record, origin, detail
        )
        return
    if record.effect == "leak" and record.identifiers:
        leaked = record.identifiers[0]
        _signal(admission, FindingKind.LEAK, leaked, record, origin, "")
    facts = facts_of(record, origin, fresh_id=fresh_id)
    reason = _refusal(record, facts, origin, rights)
    if reason is None:
        admission.facts += facts
        admission.facts += _stateable(shown_agents(record, origin), rights)
        return
    kept = [fact for fact in facts if _may_stay(fact, record, rights)]
    admission.facts += kept
    admission.dead_letters.append(_letter(record, reason))
    target = record.identifiers[0]
    if reason.startswith("unauthorised"):
        detail = _refused(record, reason, taken=bool(kept))
        _signal(admission, FindingKind.UNAUTHORISED, target, record, origin, detail)
    lost = any(isinstance(fact, Cause) and fact not in kept for fact in facts)
    if lost and not reason.startswith("unauthorised"):
        name = target if _legal(target) else Identifier("source", record.source)
        _signal(
            admission, FindingKind.REVOCATION_NOT_APPLIED, name, record, origin, reason
        )


def _refusal(
    record: Lifecycle, facts: Iterable[Fact], origin: Origin, rights: Entitlements
) -> str | None:
    """Say why a record does not get in whole; None when it does."""
    for fact in facts:
        if not _is_legal(fact):
            return TOO_LONG
        if not entitled(fact, rights.grants, restorer=rights.restorer):
            kinds = sorted({target.kind for target in targets(fact) or ()})
            return UNAUTHORISED.format(origin.authority, ", ".join(kinds))
    few = len(record.identifiers) <= MAX_ALIASES and len(record.owners) <= MAX_OWNERS
    few = few and len(record.labels or ()) <= MAX_LABELS
    return None if few and _few_edges(record) else TOO_MANY


def _may_stay(fact: Fact, record: Lifecycle, rights: Entitlements) -> bool:
    if not only_denies(fact) or not _is_legal(fact):
        return False
    if not entitled(fact, rights.grants):
        return False
    few = len(record.identifiers) <= MAX_ALIASES and _few_edges(record)
    return few or isinstance(fact, Cause)


def _is_legal(fact: Fact) -> bool:
    return all(map(_legal, _named(fact)))


def _named(fact: Fact) -> tuple[Identifier, ...]:
    """Every identifier in a fact of a record."""
    match fact:
        case Node() | Renewal() | ScopeSet():
            return (fact.node,)
        case OwnerSet():
            return (fact.node, *fact.owners)
        case LabelSet():
            return (fact.node, *fact.labels)
        case Edge():
            return (fact.child, fact.parent)
        case Alias():
            return (fact.first, fact.second)
        case Holds():
            return (fact.node, fact.attribute)
        case Cause() | Lift():
            return (fact.target,)
    return ()


def _legal(identifier: Identifier) -> bool:
    return 0 < len(identifier.value.encode(errors="replace")) <= MAX_VALUE_BYTES


def _letter(record: Lifecycle | Access, reason: str) -> DeadLetter:
    return DeadLetter(
        record.source,
        record.offset,
        0,
        reason,
        record.event_id,
        record.event_type,
        record.occurred_at,
    )


def _signal(
    admission: Admission,
    kind: FindingKind,
    presented: Identifier,
    record: Lifecycle,
    origin: Origin,
    detail: str,
) -> None:
    at = origin.received_at if record.occurred_at is None else record.occurred_at
    if not _legal(presented):
        presented = Identifier("source", record.source)
    admission.signals.append({
        "kind": kind.value,
        "presented": list(presented),
        "point": record.source,
        "at": at,
        "event_ids": [record.event_id] if record.event_id else [],
        "detail": detail,
        "ended_by": _actor(kind, record),
        "authority": origin.authority,
        "reason": told(record.reason),
    })  # fmt: skip


def _actor(kind: FindingKind, record: Lifecycle) -> str | None:
    """Actor of an event; a refused one is believed nothing."""
    refused = kind is FindingKind.UNAUTHORISED
    return None if refused or not record.actor else told(str(record.actor[0]))

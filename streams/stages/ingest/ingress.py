"""Turn canonical records into facts, and decide which of them get in.

Everything here is a function of the record and of where it came from: a redelivery
gives the same facts, so repeats collapse in the log. What must be denied when in
doubt stays in: a cause is taken even where the rest of its record is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

from attrs import frozen

from agents_registry.facts import (
    STAMP_UNCERTAINTY,
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Holds,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Reach,
    Renewal,
    ScopeSet,
)
from agents_registry.identifiers import (
    ATTRIBUTE,
    REUSABLE_KINDS,
    VOCABULARY,
    Identifier,
)
from agents_registry.secret_shapes import without_secrets
from streams.model.records import ENDING_EFFECTS, Access, Lifecycle
from streams.stages.access.agent_kinds import may_act

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.identifiers import Identifier


# One name, issued again and again: its end is a suspend, which the next issue lifts.
# A revoke would end every later password, a not_before too (the earliest issue counts).
REISSUED_KINDS: Final = frozenset({"aws.login_profile"})
REISSUED: Final = "issued"
MOST_TOLD: Final = 200  # characters of a reason, or of the name of an actor


@frozen
class Origin:
    """Where a record came from, as the ingress credential tells; never the payload.

    Attributes:
        authority: who speaks.
        realm: the organisation, the unit of order and isolation.
        received_at: when it was accepted (ns).
        ingress_key: id of the ingress credential.
        settings: version of the entitlement settings.
        issuer_log: the log's owner issues the credentials that it shows in use (as
            CloudTrail does), so a use makes them known, and who acts with them.
    """

    authority: str
    realm: str
    received_at: int
    ingress_key: str = ""
    settings: int = 0
    issuer_log: bool = False


class Common(TypedDict):
    """The fields that all facts of one event share."""

    authority: str
    event_id: str | None
    version: int
    stamped: bool
    received_at: int
    ingress_key: str
    settings: int


def facts_of(
    record: Lifecycle | Access, origin: Origin, *, fresh_id: str | None = None
) -> tuple[Fact, ...]:
    """Facts that a record states, in a fixed order.

    A refused call (``outcome`` denied) states nothing. A leak states nothing
    either: it is a finding, which policy may turn into a suspend.

    Args:
        record: what a source read.
        origin: where it came from.
        fresh_id: id for an event that has neither an id nor a time of its own; such
            an event is never taken for a repeat.
    """
    if record.outcome == "denied" or not record.identifiers:
        return ()
    if isinstance(record, Access):
        return tuple(_of_use(record, origin))
    return tuple(_of_lifecycle(record, origin, fresh_id))


def unreadable_ending(record: Lifecycle) -> bool:
    """Whether a record surely ends something and names nothing to end."""
    return (
        record.effect in ENDING_EFFECTS
        and record.outcome != "denied"
        and not record.identifiers
    )


def said_by(
    origin: Origin, *, event_id: str | None = None, occurred_at: int | None = None
) -> Common:
    """Fields of every fact on its speaker and its times.

    Args:
        origin: of the request.
        event_id: of the event.
        occurred_at: by the clock of who says it (ns); without one ingress stamps it.
    """
    return {
        "authority": origin.authority,
        "event_id": event_id,
        "version": origin.received_at if occurred_at is None else occurred_at,
        "stamped": occurred_at is None,
        "received_at": origin.received_at,
        "ingress_key": origin.ingress_key,
        "settings": origin.settings,
    }


def _of_lifecycle(
    record: Lifecycle, origin: Origin, fresh_id: str | None
) -> Iterator[Fact]:
    event_id = record.event_id
    if event_id is None and record.occurred_at is None:
        event_id = fresh_id
    common = said_by(origin, event_id=event_id, occurred_at=record.occurred_at)
    primary = record.identifiers[0]
    if record.effect == "issue":
        yield from _issued(record, common)
    yield from _lineage(record, common, derived=False)
    if record.owners:
        yield OwnerSet(node=primary, owners=record.owners, **common)
    if record.expires_at is not None and record.effect in ("issue", None):
        yield Renewal(node=primary, expires_at=record.expires_at, **common)
    if record.scope is not None and record.effect == "issue":
        yield ScopeSet(node=primary, scopes=record.scope, **common)
    if record.labels is not None and record.effect in ("issue", None):
        yield LabelSet(node=primary, labels=record.labels, **common)
    yield from _held(record, common)
    aspect = _lifted(record, primary)
    for target in _targets(record):
        if aspect is not None:
            yield Lift(target=target, aspect=aspect, **common)
        elif record.effect in ENDING_EFFECTS:
            yield _cause(record, target, common)


def _issued(record: Lifecycle, common: Common) -> Iterator[Fact]:
    own = record.issued_at
    for identifier in record.identifiers:
        yield Node(
            node=identifier,
            issued_at=record.occurred_at if own is None else own,
            derived=not record.known,
            device=record.device,
            tenant=record.tenant,
            **common,
        )


def _targets(record: Lifecycle) -> tuple[Identifier, ...]:
    """Target of a record's ending: its primary identifier.

    Readers match an attribute by its very hash, so each of its hashes is a target.
    """
    names = record.identifiers
    return names if names[0].kind.startswith(ATTRIBUTE) else names[:1]


def _held(record: Lifecycle, common: Common) -> Iterator[Fact]:
    """Attributes that a node holds.

    The facts can only deny, so a version that ingress stamped is the earliest that it
    may be, and repeats may collapse.
    """
    if common["stamped"]:
        common = common.copy()
        common["version"] -= STAMP_UNCERTAINTY
        common["event_id"] = None
    for attribute in record.attributes:
        yield Holds(node=record.identifiers[0], attribute=attribute, **common)


def _lineage(
    record: Lifecycle | Access, common: Common, *, derived: bool
) -> Iterator[Fact]:
    primary, *others = record.identifiers
    for other in others:
        yield named_together(primary, other, common)
    for parent in record.parents:
        yield Edge(
            child=primary,
            parent=parent.identifier,
            relation=parent.relation,
            derived=derived,
            **common,
        )
    for tie in record.ties:
        yield Edge(
            child=tie.child,
            parent=tie.parent,
            relation=tie.relation,
            derived=derived,
            **common,
        )


def named_together(
    first: Identifier, second: Identifier, common: Common
) -> Alias | Edge:
    """Fact that two identifiers name one node.

    A name that its owner may give again is never another name of an id: the id
    requires it, one way.
    """
    if second.kind in REUSABLE_KINDS:
        return Edge(child=first, parent=second, **common)
    if first.kind in REUSABLE_KINDS:
        return Edge(child=second, parent=first, **common)
    return Alias(first=first, second=second, **common)


def _lifted(record: Lifecycle, target: Identifier) -> str | None:
    """Aspect of the suspend that a record ends, None where it ends none."""
    if record.effect == "restore":
        return record.aspect
    again = record.effect == "issue" and target.kind in REISSUED_KINDS
    # A broken clock lifts nothing.
    return REISSUED if again and record.occurred_at is not None else None


def _cause(record: Lifecycle, target: Identifier, common: Common) -> Cause:
    at = common["version"]
    effect, reach = cause_effect(record, target)
    aspect = record.aspect
    if target.kind in REISSUED_KINDS and record.effect != "suspend":
        aspect = REISSUED
    return Cause(
        target=target,
        effect=effect,
        reach=reach,
        at=at,
        not_before=record.not_before if effect is Effect.NOT_BEFORE else None,
        aspect=aspect if effect in (Effect.SUSPEND, Effect.NARROW) else "",
        scopes=(record.scope or ()) if effect is Effect.NARROW else (),
        device=record.device,
        tenant=record.tenant,
        actor=told(str(record.actor[0])) if record.actor else None,
        reason=told(record.reason or record.event_type),
        **common,
    )


def told(text: str | None) -> str | None:
    """Text of a source as a fact holds it: short, printable, without secrets."""
    if text is None:
        return None
    if not text.isprintable():
        text = "".join(each if each.isprintable() else " " for each in text)
    return without_secrets(text.strip())[:MOST_TOLD] or None


def cause_effect(record: Lifecycle, target: Identifier) -> tuple[Effect, Reach]:
    """Effect of an ending event on its target.

    The end of a reusable name is a not_before, never a revoke: its owner may give
    the name again (DESIGN, "not_before T").
    """
    match record.effect:
        case "suspend":
            return Effect.SUSPEND, Reach.SUBTREE
        case "narrow":
            return Effect.NARROW, Reach.SUBTREE
        case "not_before":
            return Effect.NOT_BEFORE, Reach.SUBTREE
    if target.kind in REISSUED_KINDS:
        return Effect.SUSPEND, Reach.SUBTREE
    if target.kind in REUSABLE_KINDS or target.kind.startswith(ATTRIBUTE):
        return Effect.NOT_BEFORE, Reach.SUBTREE
    if record.effect == "rotate":
        return Effect.REVOKE, Reach.SELF
    return Effect.REVOKE, Reach(record.reach)


def _of_use(record: Access, origin: Origin) -> Iterator[Fact]:
    """Read lineage off an allowed use.

    The facts carry no event id and a stamped version: every further use of the same
    credential states the same facts, and they must collapse.
    """
    common = said_by(origin)
    for identifier in record.identifiers:
        yield Node(
            node=identifier,
            issued_at=record.issued_at,
            derived=not origin.issuer_log,
            **common,
        )
    yield from shown_agents(record, origin)
    yield from _lineage(record, common, derived=True)


def shown_agents(record: Lifecycle | Access, origin: Origin) -> Iterator[Node]:
    """Facts that declare the acting agents; see `shown_names`."""
    for name in shown_names(record, origin):
        yield Node(node=name, **said_by(origin))


def shown_names(record: Lifecycle | Access, origin: Origin) -> Iterator[Identifier]:
    """Acting agents that the words of the issuer's own log declare.

    That is whoever made the call, and what its credential hangs on. A kind of a mapping
    is taken for one that may act: its credentials are its log's own, too. What ends
    something makes nobody known: a cause gets in over a quota, alone in its event.
    """
    if not origin.issuer_log or record.outcome == "denied":
        return
    if isinstance(record, Lifecycle) and record.effect in ENDING_EFFECTS:
        return
    above = (parent.identifier for parent in record.parents)
    for name in dict.fromkeys((*record.actor, *above)):
        known = name in record.identifiers
        if not known and (may_act(name.kind) or name.kind not in VOCABULARY):
            yield name

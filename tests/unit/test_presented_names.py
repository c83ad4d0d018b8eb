"""Every name that is presented is judged, and every actor, wherever it stands."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.facts import (
    SECOND,
    Cause,
    Edge,
    Effect,
    Fact,
    Node,
    OwnerSet,
    Renewal,
)
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import Policy, judge

pytestmark = pytest.mark.unit

SAID: dict[str, Any] = {"authority": "v", "version": SECOND, "received_at": SECOND}
NAMES = tuple(Identifier("vault.accessor", f"n{number}") for number in range(5))
SUBJECT = Identifier("agent.id", "subject")
DEAD = Identifier("vault.accessor", "dead")
STRANGE = Identifier("vault.accessor", "strange")
NOW = 100 * SECOND


def end(target: Identifier) -> Cause:
    """End an identifier."""
    return Cause(target=target, effect=Effect.REVOKE, at=SECOND, **SAID)


# Facts by which a credential dies for each reason, and how the verdict calls it.
ENDS: dict[str, tuple[Reason, list[Fact]]] = {
    "itself": (Reason.REVOKED, [end(DEAD)]),
    "by its parent": (
        Reason.REVOKED,
        [Edge(child=DEAD, parent=SUBJECT, **SAID), end(SUBJECT)],
    ),
    "expired": (
        Reason.EXPIRED,
        [Renewal(node=DEAD, expires_at=2 * SECOND, **SAID)],
    ),
    "by its owner": (
        Reason.NO_LIVING_OWNER,
        [OwnerSet(node=DEAD, owners=(SUBJECT,), **SAID), end(SUBJECT)],
    ),
}
PLACES = range(len(NAMES) + 1)


def living(*more: Fact) -> Registry:
    """Give a table in which all names are known credentials."""
    nodes = [Node(node=name, issued_at=SECOND, **SAID) for name in (*NAMES, DEAD)]
    return Registry.build([*nodes, *more])


def among(name: Identifier, place: int) -> tuple[Identifier, ...]:
    """Put a name at a place among those that live."""
    return (*NAMES[:place], name, *NAMES[place:])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ENDS)
def test_one_dead_name_among_many_denies(how: str, place: int) -> None:
    """First or last; without it the others live."""
    reason, facts = ENDS[how]
    table = living(*facts)
    alone = judge(table, Presented(NAMES), now=NOW)
    presented = judge(table, Presented(among(DEAD, place)), now=NOW)

    assert alone.allowed
    assert (False, reason) == (presented.allowed, presented.reason)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", sorted(ENDS.keys() - {"expired"}))
def test_one_dead_actor_among_many_denies(how: str, place: int) -> None:
    """The expiry of an actor ends nothing: it passes over edges that say so alone."""
    reason, facts = ENDS[how]
    presented = Presented(NAMES[:1], chain=among(DEAD, place))
    acting = judge(living(*facts), presented, now=NOW)

    assert (False, reason) == (acting.allowed, acting.reason)


@pytest.mark.parametrize("place", PLACES)
def test_one_unknown_credential_among_many_denies(place: int) -> None:
    """Unless its kind may be unknown; then it is reported."""
    table, presented = living(), Presented(among(STRANGE, place))
    lenient = Policy({STRANGE.kind: "allow_and_report"})
    strict = judge(table, presented, now=NOW)
    reported = judge(table, presented, now=NOW, policy=lenient)

    assert (False, Reason.UNKNOWN_CREDENTIAL) == (strict.allowed, strict.reason)
    assert (True, 1) == (reported.allowed, len(reported.report))

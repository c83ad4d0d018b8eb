"""What an issuer's own log makes known: what is presented, and who acts with it."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.facts import Node, Relation
from agents_registry.identifiers import Identifier
from streams.model.records import Access, Lifecycle, Parent
from streams.services.intake import Deduplicator, IntakeBatch
from streams.stages.ingest.admission import Entitlements, admit
from streams.stages.ingest.entitlement import Grant
from streams.stages.ingest.ingress import Origin

pytestmark = pytest.mark.unit

KEY = Identifier("aws.access_key", "AKIA")
USER, BOT = Identifier("aws.user", "u"), Identifier("agent.id", "bot")
OWN, PERSON = Identifier("gateway.robot", "r"), Identifier("person.id", "p")
ABOVE = Identifier("vault.accessor", "parent")
OURS = Origin("aws", "r", 5, issuer_log=True)


def parents(*names: Identifier) -> tuple[Parent, ...]:
    """Give parents that are required."""
    return tuple(Parent(*each, Relation.REQUIRES) for each in names)


def use(**values: Any) -> Access:
    """Give an allowed use of the key."""
    fields = {"outcome": "allowed", "parents": parents(USER, OWN, PERSON, ABOVE)}
    return Access("s", "e", "call", 4, (KEY,), 0, **(fields | values))


def issue(**values: Any) -> Lifecycle:
    """Give an issue of the key."""
    fields = {"outcome": "allowed", "parents": parents(USER, PERSON)}
    return Lifecycle("s", "e", "new", "issue", 4, (KEY,), 0, **(fields | values))


EVERYTHING = (Grant("*"),)


def known(
    record: Access | Lifecycle, origin: Origin = OURS, grants: Any = EVERYTHING
) -> set[Identifier]:
    """Give what a record makes known."""
    taken = admit([record], origin, Entitlements(grants), fresh="f")
    assert not taken.dead_letters
    assert not taken.signals
    nodes = [fact for fact in taken.facts if isinstance(fact, Node)]
    return {fact.node for fact in nodes if not fact.derived}


def test_a_use_makes_known_who_acts() -> None:
    """Whoever made the call, and what the key hangs on: no person, no credential."""
    assert known(use(actor=(BOT, KEY))) == {KEY, USER, OWN, BOT}
    assert known(issue(actor=(BOT,))) == {KEY, USER, BOT}


def test_a_refused_use_and_the_log_of_another_make_nobody_known() -> None:
    """Who only uses a credential declares nothing."""
    assert known(use(outcome="denied")) == set()
    assert known(use(actor=(BOT,)), Origin("gateway", "r", 5)) == set()
    assert known(issue(actor=(BOT,)), Origin("gateway", "r", 5)) == {KEY}


def test_what_its_owner_may_not_speak_of_stays_unknown() -> None:
    """That is no finding: the line names it, and states nothing."""
    grants = (Grant("aws.*"),)
    assert known(use(actor=(BOT,)), grants=grants) == {KEY, USER}
    assert known(issue(actor=(BOT,)), grants=grants) == {KEY, USER}


def test_another_caller_of_the_same_key_is_made_known_too() -> None:
    """Lines that state the same are left out, and these do not."""
    stated, found = Deduplicator(), []
    for actor in (BOT, BOT, USER):
        record = use(actor=(actor,), parents=())
        delivery = IntakeBatch([record], OURS, Entitlements(EVERYTHING))
        prepared = stated.prepare(delivery, "f")
        stated.remember(prepared)
        nodes = [e.fact.node for e in prepared.encoded if isinstance(e.fact, Node)]
        found.append(nodes)
    assert found == [[KEY, BOT], [], [KEY, USER]]

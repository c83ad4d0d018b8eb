"""Statements on made-up credentials, as the records that ingress writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents_registry.facts import Cause, Edge, Effect, Node, Relation, Renewal
from agents_registry.identifiers import Identifier
from bench.credentials import LATER, NOW, SHORT
from streams.engines.kafka.records.codec import Outgoing, fact_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.facts import Fact

TEAM: Final = 100  # credentials below one parent
LIVES: Final = 10  # one in so many is revoked


def credential(number: int) -> Identifier:
    """Name a credential."""
    return Identifier("vault.accessor", SHORT.accessor(number))


def born(number: int) -> Iterator[Fact]:
    """Give what a credential's issue states: a node, its parent, its expiry."""
    at = NOW + number
    common: dict[str, Any] = {
        "authority": "vault", "event_id": f"issue-{number}", "version": at,
        "received_at": at, "ingress_key": "bench", "settings": 1,
    }  # fmt: skip
    node = credential(number)
    yield Node(node=node, issued_at=at, **common)
    parent = Identifier("agent.id", f"agent-{number // TEAM}")
    relation = Relation.ENDS_WITH_PARENT
    yield Edge(child=node, parent=parent, relation=relation, **common)
    yield Renewal(node=node, expires_at=LATER, **common)


def ended(number: int) -> Cause:
    """Give what a credential's revocation states."""
    at = NOW + number + 1
    return Cause(
        authority="vault", event_id=f"revoke-{number}", version=at, received_at=at,
        ingress_key="bench", settings=1, target=credential(number),
        effect=Effect.REVOKE, at=at,
    )  # fmt: skip


def lives(numbers: range) -> Iterator[Fact]:
    """Give births, and the end of one in ten."""
    for number in numbers:
        yield from born(number)
        if number % LIVES == 0:
            yield ended(number)


def records(facts: Iterator[Fact], realm: str, partitions: int) -> list[Outgoing]:
    """Give the records of facts of a realm."""
    return [fact_record(realm, fact, partitions) for fact in facts]

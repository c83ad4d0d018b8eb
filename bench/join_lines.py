"""Made-up access lines over known credentials, one in a hundred of them revoked."""

from __future__ import annotations

import secrets
from random import Random
from typing import TYPE_CHECKING, Any, Final

import orjson

from agents_registry.facts import Cause, Effect, Node
from agents_registry.identifiers import Identifier
from bench.credentials import NOW, SHORT
from streams.engines.kafka.records.accesses import access_records
from streams.stages.access.uses import AccessEvent
from streams.stages.ingest.ingress import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.facts import Fact
    from streams.engines.kafka.records.codec import Outgoing

REVOKED: Final = 100  # one credential in so many
SECOND: Final = 1_000_000_000
POINT: Final = "payments-api"


def credential(number: int) -> Identifier:
    """Name a credential."""
    return Identifier("vault.accessor", SHORT.accessor(number))


def known(count: int) -> Iterator[Fact]:
    """Give the facts that make credentials known, and end one in a hundred."""
    for number in range(count):
        said: dict[str, Any] = {
            "authority": "vault", "event_id": f"e{number}", "version": NOW + number,
            "received_at": NOW + number, "ingress_key": "bench", "settings": 1,
        }  # fmt: skip
        name = credential(number)
        yield Node(node=name, issued_at=NOW, **said)
        if number % REVOKED == 0:
            yield Cause(target=name, effect=Effect.REVOKE, at=NOW, **said)


def uses(count: int, known: int, random: Random, start: int) -> list[AccessEvent]:
    """Give uses of credentials drawn evenly, each with an event's id.

    Args:
        count: of the uses.
        known: how many credentials there are.
        random: draws.
        start: when the first one was, ns; they are 10 us apart.
    """
    return [
        AccessEvent(
            (credential(random.randrange(known)),),
            POINT,
            "allowed",
            start + number * 10_000,
            secrets.token_hex(16),
        )
        for number in range(count)
    ]


def bad(number: int, at: int) -> AccessEvent:
    """Give a use of the credential that was revoked as the given one."""
    name = credential(number * REVOKED)
    return AccessEvent((name,), POINT, "allowed", at, secrets.token_hex(16))


def blocks(lines: Iterable[AccessEvent], realm: str, end: int) -> list[Outgoing]:
    """Give the records that ingress writes of some uses.

    Args:
        lines: the uses.
        realm: whose they are.
        end: of the realm's facts.
    """
    origin = Origin("vault", realm, NOW, "bench", 1)
    return list(access_records(lines, origin, end, 1, secrets.token_hex(8)))


def plain(use: AccessEvent) -> dict[str, Any]:
    """Give a use as a peer reads it."""
    return {
        "credential": use.identifiers[0].value, "point": use.point,
        "outcome": use.outcome, "at": use.at, "event_id": use.event_id,
    }  # fmt: skip


def as_json(use: AccessEvent) -> bytes:
    """Give a use as the value of a peer's record."""
    return orjson.dumps(plain(use))

"""What the tests of guards on Kafka share: a writer with a heart, and its facts."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from attrs import define

from agents_registry.facts import Cause, Edge, Effect, Node
from agents_registry.identifiers import Identifier
from enforcement import Token
from enforcement.kafka import KafkaGuard
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.clock.heartbeats import Heart
from streams.engines.kafka.records.codec import fact_record
from streams.engines.kafka.records.genesis import read_geneses
from tests.integration.serving import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from agents_registry.facts import Fact
    from streams.engines.kafka.records.codec import Genesis
    from streams.settings.kafka import KafkaSettings

NOW = 1_700_000_000 * 10**9
PARENT = Identifier("vault.accessor", "parent")
CHILD = Identifier("vault.accessor", "child")
OTHER = Identifier("vault.accessor", "other")
THIRD = Identifier("vault.accessor", "third")


def said(key: str = "i1", authority: str = "vault") -> dict[str, Any]:
    """Give what every fact says of itself."""
    return {
        "authority": authority,
        "version": NOW,
        "received_at": NOW,
        "ingress_key": key,
    }


def node(identifier: Identifier) -> Node:
    """Say that an identifier exists."""
    return Node(**said(), node=identifier, issued_at=NOW)


def revoke(identifier: Identifier) -> Cause:
    """Say that an identifier is revoked."""
    return Cause(**said(), target=identifier, effect=Effect.REVOKE, at=NOW)


EDGE = Edge(**said(), child=CHILD, parent=PARENT)
FAMILY: tuple[Fact, ...] = (node(PARENT), node(CHILD), EDGE, node(OTHER))


@define
class Writer:
    """Accepts facts, and beats."""

    kafka: KafkaSettings
    geneses: Mapping[int, Genesis]
    publisher: Publisher

    async def say(self, *facts: Fact, realm: str = "default") -> Token:
        """Write facts of one event; give the token once they are acked."""
        records = [fact_record(realm, each, self.kafka.partitions) for each in facts]
        topic = self.kafka.topic("facts")
        (acked,) = await self.publisher.publish(topic, [records])
        genesis = self.geneses[acked.partition].genesis
        return Token(genesis, acked.partition, acked.end)


@asynccontextmanager
async def writing(
    kafka: KafkaSettings, *, beats: bool = True, seconds: float = 60.0
) -> AsyncIterator[Writer]:
    """Run a writer until the context ends; the topics must be there.

    Args:
        kafka: of the cluster.
        beats: write heartbeats.
        seconds: to wait for an ack at most.
    """
    geneses = await read_geneses(kafka)
    async with Publisher(kafka, seconds) as publisher, asyncio.TaskGroup() as tasks:
        heart = Heart(kafka.topic("facts"), "w0", geneses, lambda: NOW)
        beating = tasks.create_task(heart.run(publisher)) if beats else None
        try:
            yield Writer(kafka, geneses, publisher)
        finally:
            if beating is not None:
                beating.cancel()


def guard_of(kafka: KafkaSettings, **more: Any) -> KafkaGuard:
    """Give a guard of a cluster, not yet entered."""
    given = {"name": f"g{secrets.token_hex(4)}", "live_sessions": True, **more}
    return KafkaGuard(kafka.client(), prefix=kafka.prefix, **given)


async def allowing(guard: KafkaGuard, identifier: Identifier = CHILD) -> None:
    """Wait until a guard allows."""
    await until(lambda: guard.check(identifier).allowed)

"""What ingress writes: the facts of an event together, acked before its uses."""

from __future__ import annotations

import asyncio
import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from streams.engines.kafka.client.publisher import Acked
from streams.engines.kafka.ingress.bulk import PIECE, Bulk, pieces
from streams.engines.kafka.ingress.fact_log import TopicFactLog
from streams.ports.fact_log import Encoded
from streams.services.ingest import Intake
from streams.services.intake import MANY, IntakeBatch, encode
from streams.settings.kafka import KafkaSettings
from streams.sources.aws.cloudtrail import CloudTrail
from streams.stages.ingest.admission import Entitlements
from streams.stages.ingest.declared import facts_of_list
from streams.stages.ingest.entitlement import Grant
from streams.stages.ingest.ingress import Origin
from tests.integration.serving import created_key, used_key
from tests.unit.kept_bodies import BodiesInMemory

pytestmark = pytest.mark.unit

KEY = "AKIAEXAMPLE000000001"
EVENTS = [
    created_key(KEY, "bob", "2026-01-01T10:00:00Z", "e1"),
    used_key(KEY, "bob", "2026-01-01T13:00:00Z", "e4"),
]


class Publisher:
    """Notes what is written, and what is acked by then."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.said: list[tuple[str, Any]] = []

    async def send(self, topic: str, groups: Any) -> list[Any]:
        """Take records."""
        names = [[record.key for record in group] for group in groups]
        if names:
            self.said.append((topic, names))
        return []

    async def acks(self, _: Any) -> list[Acked]:
        """Ack."""
        self.said.append(("acked", None))
        return [Acked(0, 0, 9)]

    async def publish(self, topic: str, groups: Any) -> list[Acked]:
        """Write and ack."""
        return await self.acks(await self.send(topic, groups))


def topics_of(kafka: KafkaSettings, publisher: Any, geneses: Any) -> TopicFactLog:
    """Give the log of facts over a publisher."""
    return TopicFactLog(kafka, publisher, geneses, lambda: "id", BodiesInMemory())


class Paced(Publisher):
    """Notes how many facts are written together, and waits between them."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.done: list[Any] = []

    async def send(self, topic: str, groups: Any) -> list[Any]:
        """Take records."""
        del topic
        self.done.append(sum(map(len, groups)))
        return []

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        self.done.append("waited" if seconds > 0 else "free")


@pytest.mark.parametrize(
    ("count", "cause", "done"),
    [
        (PIECE, False, [PIECE]),
        (PIECE + 1, False, ["free", PIECE, "waited", 1]),
        (2 * PIECE + 1, False, ["free", PIECE, "waited", PIECE, "waited", 1]),
        # A cause stands first: its piece waits for nobody.
        (2 * PIECE, True, [PIECE, "free", PIECE, "waited", 1]),
    ],
)
async def test_bulk_facts_are_written_in_pieces_at_a_pace(
    count: int, done: list[Any], monkeypatch: pytest.MonkeyPatch, *, cause: bool
) -> None:
    """With the operator's act behind the last one."""
    # However long it takes to encode a piece, it takes none of the pace.
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 0.0)
    publisher = Paced()
    geneses: Any = {0: SimpleNamespace(genesis="g")}
    kafka = KafkaSettings(partitions=1, access_partitions=1)
    topics = topics_of(kafka, publisher, geneses)
    topics._bulk = Bulk(publisher.sleep)
    log = Intake(topics, lambda: "id")
    origin = Origin("operators", "default", 10**18, "op", 1)
    entries: list[dict[str, Any]] = [
        {"identifier": f"vault.accessor:a{number}"} for number in range(count)
    ]
    if cause:
        entries[7]["suspended"] = "lock"
    stated = facts_of_list(entries, origin)

    await log.facts(stated, origin, actor="op", action="adopt")

    with_act = [*done[:-1], done[-1] + 1]
    assert with_act == [each for each in publisher.done if each != 0]


async def test_many_facts_are_encoded_and_named_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Few are not: it takes longer to hand them over."""
    where: list[threading.Thread] = []

    def noted(*facts: Any) -> list[Encoded]:
        where.append(threading.current_thread())
        return encode(*facts)

    monkeypatch.setattr("streams.services.ingest.encode", noted)
    geneses: Any = {0: SimpleNamespace(genesis="g")}
    kafka = KafkaSettings(partitions=1, access_partitions=1)
    topics = topics_of(kafka, Publisher(), geneses)
    log = Intake(topics, lambda: "id")
    origin = Origin("operators", "default", 10**18, "op", 1)
    for count in (1, MANY + 1):
        entries = [{"identifier": f"vault.accessor:a{n}"} for n in range(count)]
        stated = facts_of_list(entries, origin)
        await log.facts(stated, origin, actor="op", action="adopt")

    small, large = where
    assert small is threading.main_thread()
    assert large is not threading.main_thread()


def test_a_piece_never_ends_within_an_event() -> None:
    """One that has more facts than a piece is a piece of its own."""
    small = [SimpleNamespace(fact=SimpleNamespace(event_id="e1"))] * (PIECE - 1)
    large = [SimpleNamespace(fact=SimpleNamespace(event_id="e2"))] * (PIECE + 1)
    alone = [SimpleNamespace(fact=SimpleNamespace(event_id=None))] * (PIECE + 1)
    given: Any = [*small, *large, *alone]

    made = [*pieces(given)]

    assert [PIECE - 1, PIECE + 1, PIECE, 1] == [*map(len, made)]
    assert given == [each for piece in made for each in piece]


async def test_facts_are_acked_before_the_uses_are_sent_and_an_event_is_whole() -> None:
    """A sentinel that reads the use finds what it hangs on; no reader half an event."""
    kafka = KafkaSettings(partitions=1, access_partitions=1)
    publisher = Publisher()
    geneses: Any = {0: SimpleNamespace(genesis="g")}
    ids = iter(map(str, range(100)))
    topics = topics_of(kafka, publisher, geneses)
    log = Intake(topics, lambda: next(ids))
    body = json.dumps({"Records": EVENTS}).encode()
    records = list(CloudTrail().records(body))
    origin = Origin("aws", "default", 10**18, "aws", 1, issuer_log=True)
    rights = Entitlements((Grant("aws.*"),))
    await log.records(IntakeBatch(records, origin, rights))
    facts, access = kafka.topic("facts"), kafka.topic("access")
    order = [topic for topic, _ in publisher.said]
    assert order.index(facts) < order.index("acked") < order.index(access)
    groups = dict(publisher.said)[facts]
    assert max(map(len, groups)) > 1
    assert all(groups)


async def test_a_flood_of_broken_requests_writes_few_dead_letters() -> None:
    """The answer counts each of them, and so does what is written at the end."""
    kafka = KafkaSettings(partitions=1, access_partitions=1)
    publisher = Publisher()
    geneses: Any = {0: SimpleNamespace(genesis="g")}
    ids = iter(map(str, range(10_000)))
    topics = topics_of(kafka, publisher, geneses)
    log = Intake(topics, lambda: next(ids))
    records = list(CloudTrail().records(b"no JSON"))
    for at in range(500):
        origin = Origin("aws", "default", at, "aws", 1)
        receipt = await log.records(IntakeBatch(records, origin, Entitlements(())))
        assert receipt.dead_letters == 1
    dlq = kafka.topic("dlq")
    assert [dlq] == [topic for topic, _ in publisher.said if topic == dlq]
    writing = asyncio.create_task(topics.letters.run(lambda: 500))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait([writing])
    assert [dlq] * 2 == [topic for topic, _ in publisher.said if topic == dlq]

"""Whatever bytes lie in a topic, a partition reads past them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.identifiers import extend
from agents_registry.steps import finish
from streams.engines.kafka.checkpoints.checkpoint import FactsFile
from streams.engines.kafka.checkpoints.uses_file import UsesFile
from streams.engines.kafka.facts.partition import Partition
from streams.engines.kafka.facts.registry import invalidations
from streams.engines.kafka.finding_records import read_finding
from streams.engines.kafka.records.accesses import access_records, signal_records
from streams.engines.kafka.records.codec import (
    Genesis,
    Heartbeat,
    fact_record,
    genesis_record,
    heartbeat_record,
)
from streams.engines.kafka.records.outputs import finding_record
from streams.engines.kafka.sentinel.owned_partition import OwnedPartition
from streams.sources.aws.cloudtrail import CloudTrail
from streams.stages.ingest.admission import Entitlements, admit
from streams.stages.ingest.entitlement import Grant
from streams.stages.ingest.ingress import Origin
from streams.stages.sentinel.tolerances import Tolerances
from tests.integration.serving import created_key, deleted_key, used_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streams.engines.kafka.records.codec import Outgoing

pytestmark = pytest.mark.property

NOW = 10**18
ROUNDS = 1000
KEY, AT = "AKIAEXAMPLE000000001", "2026-01-01T10:00:00Z"


def written() -> tuple[list[Outgoing], list[Outgoing]]:
    """Give good records of facts and of access."""
    events = [make(KEY, "bob", AT, make.__name__) for make in (
        created_key, deleted_key, used_key
    )]  # fmt: skip
    origin = Origin("aws", "default", NOW, "aws", 1, issuer_log=True)
    read = CloudTrail().records(json.dumps({"Records": events}).encode())
    admitted = admit(read, origin, Entitlements((Grant("aws.*"),)), fresh="x")
    genesis = Genesis(
        genesis="g", partition=0, partitions=4, created_at=1, created_by="x"
    )
    beat = Heartbeat(genesis="g", partition=0, writer="w", sequence=1, sent_at=1)
    leak = {
        "kind": "leak", "presented": ["aws.access_key", KEY], "at": 5, "point": "p",
        "event_ids": ["a"], "detail": "d",
    }  # fmt: skip
    facts = [fact_record("default", fact, 4) for fact in admitted.facts]
    return [*facts, genesis_record(genesis), heartbeat_record(beat)], [
        *access_records(admitted.accesses, origin, 5, 4, "f"),
        *signal_records([leak], origin, 4, "f"),
    ]


def spoiled(random: Random, data: bytes) -> bytes:
    """Change some bytes, cut some off, or give quite others."""
    kind = random.random()
    if kind < 0.1:
        return random.randbytes(random.randint(0, 60))
    if kind < 0.2:
        return data[: random.randint(0, len(data))]
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        changed[random.randrange(len(changed))] = random.randrange(256)
    if kind > 0.8:
        changed[:5] = b"\0" + random.randint(0, 27).to_bytes(4, "big")
    return bytes(changed)


def as_read(random: Random, offset: int, record: Outgoing) -> Any:
    """Give a spoiled record as the client does."""
    headers = [
        (name, value if random.random() < 0.9 else spoiled(random, value))
        for name, value in record.headers
    ]
    key: bytes | None = record.key
    if random.random() < 0.3:
        key = random.choice([None, spoiled(random, record.key)])
    value = None if random.random() < 0.03 else spoiled(random, record.value)
    return SimpleNamespace(
        offset=offset, key=key, value=value, headers=headers, timestamp=1
    )


@pytest.fixture
def file_of(tmp_path: Path) -> Iterator[Callable[[str], FactsFile]]:
    """Open files of facts; they are closed in the end."""
    with ExitStack() as stack:

        def opened(name: str) -> FactsFile:
            file = FactsFile(tmp_path / name, extend({}))
            stack.callback(file.close)
            return file

        yield opened


@pytest.mark.parametrize("seed", range(2))
def test_no_bytes_stop_a_partition(
    tmp_path: Path, seed: int, file_of: Callable[[str], FactsFile]
) -> None:
    """Tables, lists, findings and checkpoints are made of whatever can be read."""
    random = Random(seed)
    facts, accesses = written()
    partition = Partition(0, file_of("f"), extend({}), "g", b"k" * 32)
    tables = Partition(0, file_of("t"), extend({}), "g")
    tolerances = Tolerances(0, 0, NOW, NOW)
    file = UsesFile(tmp_path / "u.db")
    watched = OwnedPartition(file, tolerances, tables.realm, 0, b"k" * 32)
    poison = 0
    for offset in range(ROUNDS):
        partition.take([as_read(random, offset, random.choice(facts))])
        listed = finish(partition.slices())
        list(invalidations((partition, each) for each in listed))
        partition.finish(listed)
        access = watched.read(as_read(random, offset, random.choice(accesses)))
        finish(watched.advance([(offset, access)], NOW))
        findings = [finding_record(each, 4) for each in watched.unsaved.findings()]
        assert all(read_finding(f.value, f.headers) for f in findings)
        if offset % 100 == 99:
            poison += len(partition.poison) + len(watched.poison)
            partition.save()
            finish(watched.tidy(2 * NOW))
            watched.save()
    assert partition.position == ROUNDS
    assert poison > ROUNDS // 4
    again = Partition(0, file_of("f"), extend({}), "g")
    again.restore(0)
    assert again.realms.keys() <= partition.realms.keys()

"""Whoever writes to ``facts`` beats there: else its facts keep all others silent.

A record that is no heartbeat moves the end of its partition, and others take that for
one (`streams.engines.kafka.clock.beat_turns`). So each place that makes a producer
stands here, with who beats on it, or with what it writes instead.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.unit

PRODUCERS: Final = {"Publisher", "AIOKafkaProducer"}
BEATS: Final = {
    "streams/apps/builders/kafka_log.py",
    "streams/apps/migration.py",
    "streams/engines/kafka/process.py",
}
WRITES_NO_FACTS: Final = {
    "streams/apps/relay.py": "receipts",
    "streams/engines/kafka/client/publisher.py": "the producer of all the others",
    "streams/engines/kafka/notify/process.py": "what became of deliveries",
    "streams/engines/kafka/records/genesis.py": "the first record of a partition",
}


def calls(file: Path) -> set[str]:
    """Find the names that a module calls."""
    nodes = ast.walk(ast.parse(file.read_text("utf-8")))
    return {
        each.func.id
        for each in nodes
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
    }


def test_each_maker_of_a_producer_beats_or_writes_no_facts(repository: Path) -> None:
    """A new one is to be judged: does it write to ``facts``, and who beats then?"""
    makers = {
        file.relative_to(repository).as_posix(): found
        for file in (repository / "streams").rglob("*.py")
        if (found := calls(file)) & PRODUCERS
    }
    assert makers.keys() == BEATS | WRITES_NO_FACTS.keys()
    for name, found in makers.items():
        assert ("Heart" in found) is (name in BEATS), name

"""Bugs planted into the engine on Kafka, apart from the tests that need brokers."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from tests.planted.copies import Change

RECORDS: Final = "test_kafka_poison.py::test_each_bad_record_of_facts"
CRASH: Final = "test_kafka_poison.py::test_a_crash_between"
RAW: Final = "test_kafka_poison.py::test_each_bad_record_of_a_raw"
ANOTHER: Final = "test_kafka_genesis.py::test_a_checkpoint_of_another_log"
HEAD: Final = "test_kafka_genesis.py::test_a_log_without_its_head"
LISTED: Final = "test_kafka_lists.py::test_findings_and_dead"
STALE: Final = "test_kafka_genesis.py::test_a_stale_checkpoint"


@frozen
class CrashBug:
    """A wrong line, and the failpoint where it matters; none for a take-over.

    Attributes:
        first: of the runs that end there, where the script is one that shows it.
    """

    module: str
    right: str
    wrong: str
    point: str
    first: int = 0

    @property
    def change(self) -> Change:
        """The wrong line."""
        file = f"streams/engines/kafka/{self.module}.py"
        return Change(file, self.right, self.wrong)


@frozen
class InputBug:
    """A wrong line, and the test that must see it."""

    module: str
    right: str
    wrong: str
    test: str
    room: str = "engines/kafka"

    @property
    def change(self) -> Change:
        """The wrong line."""
        file = f"streams/{self.room}/{self.module}.py"
        return Change(file, self.right, self.wrong)


CRASHES: Final = {
    "commit before ack": CrashBug(
        "facts/registry",
        "            await self._publish(listed, poison)\n",
        "            for partition, each in listed:\n"
        "                partition.finish([each])\n"
        "            for partition in ours:\n"
        "                partition.save()\n"
        "            await self._commit(at_once=True)\n"
        "            await self._publish(listed, poison)\n"
        "            listed = []\n",
        "registry.published",
        first=1,
    ),
    "skip when recovered state says revoked": CrashBug(
        "facts/recovery",
        "        partition.position = max(partition.position, begin)\n",
        "        partition.position = max(partition.position, begin)\n"
        "        partition.relist = partition.target\n",
        "registry.applied",
    ),
    "record key = realm": CrashBug(
        "ingress/fact_log",
        "        key=encoded.key.encode(),\n",
        '        key=f"{realm}/{fact.NAME}".encode(),\n',
        "registry.saved",
    ),
    "a standby lists nothing again that its table knows": CrashBug(
        "facts/recovery",
        "            relist = int(committed.offset)\n",
        "            relist = partition.position\n",
        "",
    ),
}

INPUT: Final = {
    "a dead letter is left out": InputBug(
        "facts/registry",
        "letters(topic, partition.number, count, partition.poison)",
        "letters(topic, partition.number, count, partition.poison[1:])",
        RECORDS,
    ),
    "a partition stops at poison": InputBug(
        "facts/partition",
        "            if offset >= self.relist:\n",
        "            raise\n            if offset >= self.relist:\n",
        RECORDS,
    ),
    "a dead letter is named by its reader": InputBug(
        "records/dead_letters",
        "place.partition % partitions, str(place))",
        'place.partition % partitions, f"{place}/{id(record)}")',
        CRASH,
    ),
    "a raw record is named by chance": InputBug(
        "ingest",
        "self._fresh_id() if place is None else str(place)",
        "self._fresh_id()",
        RAW,
        room="services",
    ),
    "genesis is not compared": InputBug(
        "facts/recovery",
        "        if of != genesis:\n            return False\n",
        "",
        ANOTHER,
    ),
    "any genesis will do, wherever the log begins": InputBug(
        "records/genesis",
        "lost = {tp.partition: start for tp, start in starts.items() if start > 0}\n"
        "        left = {tp for tp in parts if ends[tp] > starts[tp] == 0}\n",
        "lost = dict[int, int]()\n"
        "        left = {tp for tp in parts if ends[tp] > starts[tp]}\n",
        HEAD,
    ),
    "a checkpoint is served as it is": InputBug(
        "facts/registry", " or not partition.ready:", ":", STALE
    ),
    "a list is told before it is read": InputBug(
        "client/partition_follower",
        "wait_for(lambda: self.position >= end)",
        "wait_for(lambda: True)",
        LISTED,
    ),
    "a status list is made of what was applied": InputBug(
        "ingress/current",
        "await self._guard.wait_for(token, WAIT_SECONDS)\n            and ",
        "",
        "test_kafka_status_lists.py::test_a_list_says_nothing_before",
    ),
}

CHANGES: Final = [
    *(bug.change for bug in CRASHES.values()),
    *(bug.change for bug in INPUT.values()),
]

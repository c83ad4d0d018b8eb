"""Move the log of an embedded server into the topics on Kafka, and prove it equal.

The server stands still meanwhile. Facts keep all that they are: content, ids, times,
authorities and who brought them. What lies in the topics already is not written again,
so a run that was killed is simply repeated. At the end the tables of both logs are
compared, row by row; only then the folder is marked as moved, and no server starts from
it any more: what it took in would be missing on Kafka.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any, Final

import orjson
from attrs import define, frozen

from agents_registry import inventory
from agents_registry.facts import Fact, copy_key
from agents_registry.registry import Registry
from schemas.codec import bundled, decode_fact
from streams.engines.embedded.backup_archive import DATABASE
from streams.engines.embedded.data_folder import MOVED_FILE, make_tables
from streams.engines.embedded.fact_rows import all_facts
from streams.engines.embedded.restore import alone
from streams.engines.kafka.client.log_reader import reading
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.clock.heartbeats import Heart
from streams.engines.kafka.ingress.compacted_store import CompactedStore
from streams.engines.kafka.records.accesses import access_records, signal_records
from streams.engines.kafka.records.codec import (
    fact_record,
    partition_of,
    read_entry,
    realm_of,
)
from streams.engines.kafka.records.layout import ACCESS, FACTS, SOURCES
from streams.engines.kafka.topics.topics import assert_layout
from streams.http.table_answers import table_row
from streams.observability.failpoints import failpoint
from streams.ports.keyed_store import (
    CURSOR,
    ENDING,
    ENDING_CAUSE,
    ENDING_ORDER,
    ORDER_PART,
    PENDING,
    PLACE,
    SCHEDULE,
    SCIM,
    SILENCE,
    STATUS_ENTRY,
    STATUS_LIST,
)
from streams.stages.access.uses import AccessEvent
from streams.stages.ingest.approvals import HELD
from streams.stages.ingest.ingress import Origin
from streams.stages.notify.state import DEAD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from pathlib import Path

    from agents_registry.identifiers import Vocabulary
    from streams.engines.kafka.records.codec import Genesis, Outgoing
    from streams.settings.kafka import KafkaSettings

PAGE: Final = 2_000  # facts that are written, and acked, at once
ACK_SECONDS: Final = 60.0
BY: Final = "migrate"  # whose blocks of accesses, and heartbeats, these are
# Credentials name their lists for as long as they live. The log is another one there,
# so no index of these lists is given any more.
MOVED_KINDS: Final = {
    CURSOR, ENDING, ENDING_CAUSE, ENDING_ORDER, ORDER_PART, PLACE, SCHEDULE, SCIM,
    SILENCE, STATUS_ENTRY, STATUS_LIST,
}  # fmt: skip


class MigrationError(Exception):
    """The log cannot be moved; the text says why, and what to do."""


@frozen
class Moved:
    """What was moved.

    Attributes:
        realm: whose log it is.
        genesis: of the partition that holds it now.
        facts: written now.
        there: facts that were there already.
        rows: of the table; the same on both sides.
        digest: SHA-256 of the table, the same on both sides.
    """

    realm: str
    genesis: str
    facts: int
    there: int
    rows: int
    digest: str


@define
class Migration:
    """One folder, and the topics that it is moved into."""

    folder: Path
    realm: str
    kafka: KafkaSettings
    vocabulary: Vocabulary
    clock: Callable[[], int]

    async def run(self, *, leave_alerts: bool = False) -> Moved:
        """Move all, compare, and mark the folder.

        Args:
            leave_alerts: those that wait for a receiver stay behind.

        Raises:
            MigrationError: the folder is not as it must be, or the tables differ.
            InUseError: a server runs on the folder.
            LayoutError: the topics are not as they must be.
            NotAckedError: the brokers did not take all; run it again.
            KafkaError: they cannot be reached, or refuse.
            SchemaError: a fact cannot be read.
        """
        if not (self.folder / DATABASE).is_file():
            message = f"there is no {self.folder / DATABASE}: name the data folder"
            raise MigrationError(message)
        with alone(self.folder), closing(sqlite3.connect(self.folder / DATABASE)) as db:
            make_tables(db)
            self._assert_ready(db, leave_alerts=leave_alerts)
            geneses = await assert_layout(self.kafka, [ACCESS, SOURCES])
            async with Publisher(self.kafka, ACK_SECONDS) as publisher:
                async with self._beating(geneses[self._number], publisher):
                    facts, there = await self._move_facts(db, publisher)
                failpoint("migrate.facts_written")
                await self._move_state(db, publisher)
                await self._move_accesses(db, publisher)
            failpoint("migrate.written")
            rows, digest = await self._compare(db)
            note = self.folder / MOVED_FILE
            note.write_text(
                f"this log was moved to {self.kafka.topic(FACTS)} on Kafka: start "
                "ingress there, not this server, whose revocations would be missing\n",
                "utf-8",
            )
        genesis = geneses[self._number].genesis
        return Moved(self.realm, genesis, facts, there, rows, digest)

    @property
    def _number(self) -> int:
        return partition_of(self.realm, self.kafka.partitions)

    def _assert_ready(self, db: sqlite3.Connection, *, leave_alerts: bool) -> None:
        meta = dict(db.execute("SELECT name, value FROM meta"))
        if meta.get("realm") != self.realm:
            raise MigrationError(
                f"{self.folder} is the log of realm {meta.get('realm')!r}, and the "
                f"settings say {self.realm!r}"
            )
        query = "SELECT count(*) FROM deliveries WHERE NOT key GLOB ?"
        (waiting,) = db.execute(query, (DEAD + "*",)).fetchone()
        if waiting and not leave_alerts:
            raise MigrationError(
                f"{waiting} alerts wait for a receiver: start the server until they "
                "are delivered, or leave them behind with --leave-alerts"
            )
        bodies = db.execute(
            "SELECT body FROM kept WHERE kind = ?", (PENDING,)
        ).fetchall()
        held = sum(orjson.loads(body)["kind"] == HELD for (body,) in bodies)
        if held:
            # Their sources had their answer: nobody would say them again.
            raise MigrationError(
                f"{held} revocations are held for their reach: start the server, and "
                "approve or reject them with `rescind approvals`"
            )

    @asynccontextmanager
    async def _beating(
        self, genesis: Genesis, publisher: Publisher
    ) -> AsyncIterator[None]:
        """Beat for the length of a block, as whoever writes facts must.

        Facts move the partition's end, and other writers take that for heartbeats.
        """
        topic = self.kafka.topic(FACTS)
        heart = Heart(topic, BY, {self._number: genesis}, self.clock)
        failed: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(heart.run(publisher))
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised below, in no group
                failed = error
            beating.cancel()
        if failed is not None:
            raise failed

    async def _move_facts(
        self, db: sqlite3.Connection, publisher: Publisher
    ) -> tuple[int, int]:
        """Write what is not there yet, in the order of the log."""
        present: set[bytes] = set()
        await _read(self.kafka, FACTS, self._number, lambda each: present.add(each.key))
        topic, written, there = self.kafka.topic(FACTS), 0, 0
        for page in _pages(_facts_of(db)):
            fresh = [
                fact_record(self.realm, fact, self.kafka.partitions)
                for fact in page
                if copy_key(self.realm, fact).encode() not in present
            ]
            await publisher.publish(topic, [[each] for each in fresh])
            written += len(fresh)
            there += len(page) - len(fresh)
        return written, there

    async def _move_state(self, db: sqlite3.Connection, publisher: Publisher) -> None:
        """Keep places in vendors' logs, what directories provisioned, status lists."""
        async with CompactedStore(
            self.kafka, self.realm, publisher, self.clock
        ) as kept:
            rows = db.execute("SELECT kind, name, body FROM kept")
            missing = (
                kept.put(kind, name, body)
                for kind, name, body in rows
                if kind in MOVED_KINDS and kept.get(kind, name) != body
            )
            while page := list(itertools.islice(missing, PAGE)):
                await asyncio.gather(*page)

    async def _move_accesses(
        self, db: sqlite3.Connection, publisher: Publisher
    ) -> None:
        """Write the uses that a later fact may still condemn, and what waits."""
        after = await _read(self.kafka, FACTS, self._number, lambda _: None)
        wanted = list(self._blocks(db, after))
        present: set[bytes] = set()
        for number in {each.partition for each in wanted}:
            await _read(self.kafka, ACCESS, number, lambda each: present.add(_id(each)))
        fresh = [each for each in wanted if _id(each) not in present]
        await publisher.publish(self.kafka.topic(ACCESS), [[each] for each in fresh])

    def _blocks(self, db: sqlite3.Connection, after: int) -> Iterator[Outgoing]:
        """Return the records, each with an id that is the same in every run."""
        (genesis,) = db.execute(
            "SELECT value FROM meta WHERE name = 'genesis'"
        ).fetchone()
        count = self.kafka.access_partitions
        query = "SELECT offset, received_at, block FROM access ORDER BY offset"
        for offset, received_at, block in db.execute(query):
            origin = Origin(BY, self.realm, received_at, BY)
            # An offset of the log that ends here says nothing of the new one.
            uses = [
                AccessEvent.from_plain(plain)._replace(applied=None)
                for plain in orjson.loads(block)
            ]
            fresh = f"{genesis}/access/{offset}"
            yield from access_records(uses, origin, after, count, fresh)
        query = (
            "SELECT offset, body FROM signals WHERE offset >= coalesce("
            "(SELECT position FROM positions WHERE stage = 'signals'), 0)"
            " ORDER BY offset"
        )
        for offset, body in db.execute(query):
            signal = orjson.loads(body)
            origin = Origin(BY, self.realm, signal["at"], BY)
            fresh = f"{genesis}/signal/{offset}"
            yield from signal_records([signal], origin, count, fresh)

    async def _compare(self, db: sqlite3.Connection) -> tuple[int, str]:
        """Hold the table of the topic against that of the file."""
        now = self.clock()
        ours = self._digest(list(_facts_of(db)), now)
        read: list[Fact] = []

        def take(record: Any) -> None:
            entry = read_entry(record.key, record.value)
            if isinstance(entry, Fact) and realm_of(record.key) == self.realm:
                read.append(entry)

        await _read(self.kafka, FACTS, self._number, take)
        theirs = self._digest(read, now)
        if ours != theirs:
            raise MigrationError(
                f"the tables differ: {ours[0]} rows here, {theirs[0]} on Kafka. The "
                "folder is as it was. Did something else write facts of this realm "
                "there? Then move into topics of another prefix"
            )
        return ours

    def _digest(self, facts: list[Fact], now: int) -> tuple[int, str]:
        registry = Registry.build(facts, self.vocabulary)
        digest, rows = hashlib.sha256(), 0
        for row in inventory.table(registry, now):
            digest.update(orjson.dumps(table_row(row)) + b"\n")
            rows += 1
        return rows, digest.hexdigest()


def _facts_of(db: sqlite3.Connection) -> Iterator[Fact]:
    for row in all_facts(db):
        yield decode_fact(row.value, bundled())


def _id(record: Any) -> bytes:
    """Id of a record, as CloudEvents has it."""
    return bytes(dict(record.headers)["ce_id"])


def _pages(facts: Iterable[Fact]) -> Iterator[list[Fact]]:
    left = iter(facts)
    while page := list(itertools.islice(left, PAGE)):
        yield page


async def _read(
    kafka: KafkaSettings, name: str, number: int, take: Callable[[Any], None]
) -> int:
    """Read a partition from its start to where it ends now; give that end."""
    async with reading(kafka) as reader:
        begin, end = await reader.bounds(name, number)
        async for record in reader.records(name, number, begin, end):
            take(record)
    return end

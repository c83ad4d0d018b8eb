"""Keyed bodies in the compacted topic ``sources``.

Those of a realm lie in its partition, and every process that needs them follows it.
"""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from schemas.codec import in_force
from schemas.errors import Fault, SchemaError
from streams.engines.kafka.client.partition_follower import PartitionFollower
from streams.engines.kafka.client.publisher import NotAckedError
from streams.engines.kafka.records.codec import Outgoing, cloud_event, partition_of
from streams.engines.kafka.records.layout import SOURCES
from streams.engines.kafka.records.poison import letters, poison_of
from streams.ports.fact_log import NotWrittenError
from streams.ports.findings_log import BehindError
from streams.ports.keyed_store import KeyedStore, Put
from streams.services.ingest import until_written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.engines.kafka.client.publisher import Publisher
    from streams.engines.kafka.records.poison import Poison
    from streams.settings.kafka import KafkaSettings

SCHEMA: Final = "source_state"
MOST_BYTES: Final = 900 << 10  # of a value; the log takes 1 MiB
MOST_BODY: Final = 16 << 20  # bytes; a record is small, whoever wrote it

log = structlog.get_logger()


class CompactedStore(KeyedStore):
    """The last record of each key of a realm; use it as a context manager."""

    def __init__(
        self,
        settings: KafkaSettings,
        realm: str,
        publisher: Publisher,
        clock: Callable[[], int],
    ) -> None:
        """Set up; entering reads what is there.

        Args:
            settings: of the cluster.
            realm: whose sources.
            publisher: of this process.
            clock: gives the time (ns).
        """
        super().__init__()
        self._realm = realm
        self._publisher = publisher
        self._clock = clock
        self._topic = settings.topic(SOURCES)
        self._number = partition_of(realm, settings.partitions)
        self._follower = PartitionFollower(settings, SOURCES, self._number, self._take)
        self._poison: list[Poison] = []
        self._digest = settings.digest()
        self._letters = settings.topic("dlq"), settings.partitions

    async def __aenter__(self) -> Self:
        """Connect, and read what is there.

        Raises:
            KafkaError: the cluster cannot be reached or refuses.
        """
        await self._follower.__aenter__()
        try:
            await self._follower.read_all()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._follower.__aexit__()

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._follower.run()

    async def catch_up(self) -> None:
        """Wait until all is read that is there now.

        Raises:
            NotWrittenError: the broker does not answer in time.
        """
        try:
            await self._follower.catch_up()
        except BehindError as error:
            raise NotWrittenError(str(error)) from error

    async def put(
        self, kind: str, name: str, body: bytes | None, *, patient: bool = False
    ) -> None:
        """Keep a body (JSON); returns once it is acked."""
        attempt = partial(self._put, kind, name, body)
        await (until_written(attempt) if patient else attempt())

    async def _put(self, kind: str, name: str, body: bytes | None) -> None:
        key, topic = f"{self._realm}/{kind}/{name}".encode(), self._topic
        try:
            if body is None:
                await self._publisher.end(topic, self._number, key)
            else:
                put = self._record(key, Put(kind, name, zlib.compress(body, 1)))
                await self._publisher.publish(topic, [[put]])
        except NotAckedError as error:
            raise NotWrittenError(str(error)) from error

    def _record(self, key: bytes, put: Put) -> Outgoing:
        now, realm = self._clock(), self._realm
        record = put._asdict() | {"realm": realm, "at": now}
        value = in_force().encode(SCHEMA, record)
        if len(value) > MOST_BYTES:
            raise NotWrittenError(f"{put.kind} {put.name} is too large for the log")
        name, source = f"{key.decode()}/{now}", f"/realms/{realm}/sources"
        headers = cloud_event(name, source=source, kind="source", time=now)
        return Outgoing(partition=self._number, key=key, value=value, headers=headers)

    async def _take(self, records: Sequence[Any]) -> None:
        for record in records:
            self._apply(record)
        await self._bury()

    async def _bury(self) -> None:
        """Put what cannot be read into the dead letters; it is no reason to stop."""
        if not self._poison:
            return
        topic, count = self._letters
        groups = letters(self._topic, self._number, count, self._poison)
        try:
            await self._publisher.publish(topic, groups)
        except NotAckedError as error:
            log.warning("dead_letters_not_written", error=str(error))
        else:
            self._poison.clear()

    def _apply(self, record: Any) -> None:
        key, value = record.key or b"", record.value
        realm, _, rest = key.decode("utf-8", "replace").partition("/")
        kind, _, name = rest.partition("/")
        if realm != self._realm:
            return
        body = None
        try:
            if value is not None:
                body = _body_of(value)
        except (SchemaError, zlib.error) as error:
            why = str(error) if isinstance(error, SchemaError) else "undecodable: body"
            log.warning(
                "not_readable",
                topic=self._topic,
                partition=self._number,
                offset=record.offset,
                error=why,
            )
            self._poison.append(poison_of(record, why, self._digest))
            return
        self._hear(kind, name, body)


def _body_of(value: bytes) -> bytes:
    name, _, record = in_force().decode(value)
    if name != SCHEMA:
        raise SchemaError(Fault.NOT_A_FACT, f"a {name} record has no place in sources")
    unpacked = zlib.decompressobj()
    return unpacked.decompress(record["body"], MOST_BODY)

"""Raw topics as an input: an identity provider or a connector publishes there.

A record's value is what the source would have sent over HTTP. It is taken in as a
request would be, and its offset is committed once all of that is acked, so a crash
takes some in twice, which changes nothing: all that is made of a record is named by
its topic, partition and offset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from attrs import frozen

from streams.engines.kafka.client.group_consumer import (
    GroupConsumer,
    waiting_for_the_broker,
)
from streams.engines.kafka.records.dead_letters import KafkaPlace
from streams.engines.kafka.records.poison import MILLISECOND, keyed_hash
from streams.model.records import DeadLetter
from streams.observability import tracing
from streams.services.intake import IntakeBatch
from streams.services.reading import Records

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any

    from aiokafka.structs import OffsetAndMetadata

    from streams.model.records import Record
    from streams.services.ingest import Intake
    from streams.settings.kafka import KafkaSettings
    from streams.stages.ingest.admission import Entitlements
    from streams.stages.ingest.ingress import Origin

IDLE_SECONDS: Final = 0.5
TOO_LARGE: Final = "too_large: a record has more than {} bytes; split it at the source"
NO_VALUE: Final = "empty: the record has no value; look at who publishes here"

log = structlog.get_logger()


@frozen
class RawTopic:
    """A topic to read, and on whose behalf.

    Attributes:
        topic: its full name.
        read: makes records of a value.
        speaker: gives origin and rights, of now.
        point: the enforcement point of its accesses, where they do not say.
        most: bytes of a value that are read; larger ones are dead letters.
    """

    topic: str
    read: Callable[[bytes], Awaitable[Sequence[Record]]]
    speaker: Callable[[], tuple[Origin, Entitlements]]
    point: str = ""
    most: int = 8 << 20


class RawInput:
    """Reads one raw topic, as a member of the group of ingress."""

    def __init__(
        self, settings: KafkaSettings, raw: RawTopic, name: str, log_: Intake
    ) -> None:
        """Set up; `run` reads.

        Args:
            settings: of the cluster.
            raw: the topic.
            name: of this process, stable.
            log_: where it is written.
        """
        self._raw = raw
        self._log = log_
        self._digest_key = settings.digest()
        self._unread: dict[int, int] = {}  # partitions with a gap, from when on
        self._member = GroupConsumer(
            settings,
            raw.topic,
            group=settings.group(f"ingress.{raw.topic}"),
            instance=name,
        )

    @property
    def member(self) -> GroupConsumer:
        """Our membership, for health."""
        return self._member

    async def run(self) -> None:
        """Read until cancelled."""
        async with self._member:
            while True:
                async with waiting_for_the_broker("raw_not_begun"):
                    await self._begin()
                fetched = await self._member.poll(IDLE_SECONDS)
                async with self._member.lock:
                    for number, records in fetched.items():
                        await self._take(number, records)

    async def _begin(self) -> None:
        """Have the fresh partitions go on."""
        # All are asked about before: answers wait behind the long poll of one.
        numbers = sorted(self._member.fresh)
        positions = [await self._position(number) for number in numbers]
        for number, position in zip(numbers, positions, strict=True):
            self._member.begin(number, position)

    async def _position(self, number: int) -> int:
        """Offset of the group, or the first that is kept."""
        begin, end = await self._member.bounds(number)
        committed = await self._member.committed(number)
        position = begin if committed is None else int(committed.offset)
        if not begin <= position <= end:
            log.warning("raw_gap", topic=self._raw.topic, partition=number)
            position = begin
            self._unread[number] = _time_of(committed)
        return position

    async def _take(self, number: int, records: list[Any]) -> None:
        for record in records:
            place = self._place(number, record)
            read = await self._read(record.value, place)
            origin, rights = self._raw.speaker()
            gap = self._gap(number, place.at)
            delivery = IntakeBatch(read, origin, rights, self._raw.point, gap=gap)
            parent = tracing.header_of(record.headers)
            with tracing.span(tracing.READ_RAW, parent):
                # Nothing may be skipped: a revocation may stand here.
                await self._log.records(delivery, place=place, patient=True)
        if records:
            last = records[-1]
            await self._member.commit({number: (last.offset + 1, str(last.timestamp))})

    def _gap(self, number: int, now: int) -> tuple[int, int] | None:
        """Time before a record from which none were read, once."""
        begin = self._unread.pop(number, None)
        return None if begin is None else (min(begin, now), now)

    def _place(self, number: int, record: Any) -> KafkaPlace:
        value: bytes = record.value or b""
        return KafkaPlace(
            self._raw.topic,
            number,
            record.offset,
            max(0, record.timestamp) * MILLISECOND,
            len(value),
            keyed_hash(self._digest_key, value),
        )

    async def _read(self, value: bytes | None, place: KafkaPlace) -> Sequence[Record]:
        if value is None:
            return [DeadLetter(self._raw.topic, 0, 0, NO_VALUE)]
        if len(value) > self._raw.most:
            reason = TOO_LARGE.format(self._raw.most)
            return [DeadLetter(self._raw.topic, 0, place.length, reason)]
        key, read = self._digest_key, Records()
        read.take(await self._raw.read(value))

        def digested(each: Record) -> Record:
            if not isinstance(each, DeadLetter) or not each.length or key is None:
                return each
            return each._replace(digest=keyed_hash(key, _part(value, each)) or "")

        return read.with_each(digested)


def _time_of(committed: OffsetAndMetadata | None) -> int:
    """Time (ns) of the last record that was read, 0 where it is not noted."""
    note = "" if committed is None else str(committed.metadata)
    return int(note) * MILLISECOND if note.isascii() and note.isdigit() else 0


def _part(value: bytes, letter: DeadLetter) -> bytes:
    return value[letter.offset : letter.offset + letter.length]

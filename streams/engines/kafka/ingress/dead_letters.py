"""The dead letters of ingress on Kafka: a flood of the same one writes few records."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from streams.engines.kafka.client.publisher import NotAckedError
from streams.engines.kafka.records.dead_letters import dead_letter_record
from streams.stages.ingest.dead_letters import Repeats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.engines.kafka.client.publisher import Publisher
    from streams.engines.kafka.records.codec import Outgoing
    from streams.engines.kafka.records.dead_letters import KafkaPlace
    from streams.model.records import DeadLetter
    from streams.settings.kafka import KafkaSettings
    from streams.stages.ingest.ingress import Origin

LOOK_SECONDS: Final = 5.0

log = structlog.get_logger()


class DeadLetters:
    """Makes records of dead letters, and writes those that were held."""

    def __init__(
        self,
        settings: KafkaSettings,
        publisher: Publisher,
        fresh_id: Callable[[], str],
    ) -> None:
        """Write through a publisher; ``fresh_id`` gives unique ids."""
        self._settings = settings
        self._publisher = publisher
        self._fresh_id = fresh_id
        self._repeats = Repeats()

    def records(
        self,
        letters: Iterable[DeadLetter],
        origin: Origin,
        fresh: str,
        place: KafkaPlace | None = None,
    ) -> list[Outgoing]:
        """Return the records that are to be written now.

        Args:
            letters: folded.
            origin: of the batch that they stood in.
            fresh: id of the batch.
            place: of the record of a raw topic that it stood in. What is written is the
                same then whenever that is taken in again, so nothing is held.
        """
        if place is None:
            letters = self._repeats.new(letters, origin, origin.received_at)
        count = self._settings.partitions
        return [
            dead_letter_record(letter, origin, count, f"{fresh}/{number}", place)
            for number, letter in enumerate(letters)
        ]

    async def run(self, clock: Callable[[], int]) -> None:
        """Write what was held for long enough, until cancelled; then the rest."""
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                await self.write(clock())
        finally:
            await self.write(clock(), all_of_it=True)

    async def write(self, now: int, *, all_of_it: bool = False) -> None:
        """Write what is due (``now`` in ns), or all; what is not acked is held on."""
        due = self._repeats.due(now, all_of_it=all_of_it)
        if not due:
            return
        count = self._settings.partitions
        records = [
            dead_letter_record(letter, origin, count, self._fresh_id())
            for letter, origin in due
        ]
        try:
            topic = self._settings.topic("dlq")
            await self._publisher.publish(topic, ([each] for each in records))
        except NotAckedError as error:
            log.warning("dead_letters_not_written", error=str(error))
            for letter, origin in due:
                self._repeats.keep(letter, origin)

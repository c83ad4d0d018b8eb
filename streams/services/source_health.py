"""The health of all sources of a process: counted as they speak, kept over restarts.

An engine's log notes each batch that it wrote, and whoever speaks with a vendor notes
how each request ended; so a receiver that writes through the log is in the book
without knowing of it. Now and then it is looked who is silent, and the book is saved.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs
import orjson
import structlog

from streams.services.intake import NotWrittenError, tell
from streams.services.reading import idle_of
from streams.stages.ingest import source_health as steps
from streams.stages.ingest.source_health import Expected, HealthRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from streams.services.health_records import HealthRecords
    from streams.services.ingest import Intake
    from streams.services.intake import IntakeBatch, PreparedBatch
    from streams.stages.ingest.ingress import Origin
    from streams.stages.ingest.source_notices import SourceNotice

LOOK_SECONDS: Final = 1.0
STOP_SECONDS: Final = 2.0  # for the last saving
KEY: Final = "sources/"  # of the book among the records of streams
MOST: Final = 1000  # sources; what is above shares one record, and one label
OTHERS: Final = "others"
_NOTHING: Final = Expected()

log = structlog.get_logger()


class HealthBook:
    """One record a source.

    Attributes:
        sources: the records by name.
        expected: for how long a source may be silent, by name.
        idle: events without an effect since the start, by name; repeated: those that
            came before.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        expected: Mapping[str, Expected] | None = None,
        peers: Callable[[], Iterable[bytes]] = tuple,
    ) -> None:
        """Start with those that are expected to speak.

        Args:
            clock: ns since 1970.
            expected: every source that is there before it first speaks.
            peers: the books that other processes of the realm kept last; a source may
                speak with any of them.
        """
        self.expected: Mapping[str, Expected] = expected or {}
        self.sources: dict[str, HealthRecord] = dict.fromkeys(
            self.expected, HealthRecord()
        )
        self._clock = clock
        self._peers = peers
        self.idle: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self._changed = False

    def took(self, delivery: IntakeBatch, prepared: PreparedBatch) -> None:
        """Note a batch that is durable now."""
        if idle := idle_of(delivery.records):
            self.idle[delivery.name] += idle
        if not delivery.records and delivery.gap is None:
            return
        self.repeated[delivery.name] += prepared.batch.repeated
        origin = delivery.origin
        self._step(
            delivery.name,
            lambda health: steps.took(
                health, prepared.batch, origin.authority, origin.received_at
            ),
        )

    def count(self, name: str, result: str, why: str = "") -> None:
        """Note how a request ended: taken, empty, refused or failed."""
        match result:
            case "taken" | "empty":
                now = self._clock()
                self._step(name, lambda health: steps.answered(health, now))
            case "refused":
                self._step(name, steps.refused)
            case "failed":
                self._step(name, lambda health: steps.failed(health, why or result))

    def whole(self) -> dict[str, HealthRecord]:
        """Return the records with those of all peers together."""
        found = dict(self.sources)
        for name, other in self._heard_elsewhere():
            found[name] = steps.together(found.get(name, HealthRecord()), other)
        return found

    def _heard_elsewhere(self) -> Iterator[tuple[str, HealthRecord]]:
        for body in self._peers():
            for name, plain in orjson.loads(body).items():
                yield name, steps.from_plain(plain)

    async def load(self, keeper: HealthRecords) -> None:
        """Continue with the records that were kept."""
        body = await keeper.load(KEY)
        kept = {} if body is None else orjson.loads(body)
        now = self._clock()
        for name, plain in kept.items():
            self.sources[name] = steps.from_plain(plain)
        for name, health in self.sources.items():
            # Silence counts anew: we were away ourselves.
            self.sources[name] = attrs.evolve(health, started_at=now)

    async def run(
        self, keeper: HealthRecords, writer: Intake, origin: Callable[[], Origin]
    ) -> None:
        """Look who is silent, and save, until cancelled; then save once more.

        Args:
            keeper: of the book.
            writer: of what is found.
            origin: of what we say ourselves, now.
        """
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                try:
                    await self.look(writer, origin)
                    await self._save(keeper)
                except NotWrittenError as error:
                    log.warning("not_written", error=type(error).__name__)
        finally:
            with suppress(NotWrittenError, TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._save(keeper)

    async def look(self, writer: Intake, origin: Callable[[], Origin]) -> None:
        """Find who is silent for too long; noted once the finding is durable.

        Raises:
            NotWrittenError: it could not be written.
        """
        now = self._clock()
        for name, other in self._heard_elsewhere():
            if name in self.sources:
                health = steps.alongside(self.sources[name], other)
                self.sources[name] = health
        for name in list(self.sources):
            expected = self.expected.get(name, _NOTHING)
            told, notices = steps.waited(self.sources[name], expected, now)
            if notices:
                await _tell(name, notices, writer, origin)
            # Again: it may have spoken meanwhile, which is told with the next look.
            health, _ = steps.waited(self.sources[name], expected, now)
            health = attrs.evolve(health, told=told.told)
            if health != self.sources[name]:
                self.sources[name] = health
                self._changed = True

    async def _save(self, keeper: HealthRecords) -> None:
        if not self._changed:
            return
        self._changed = False
        plain = {name: steps.to_plain(one) for name, one in self.sources.items()}
        try:
            await keeper.save(KEY, orjson.dumps(plain))
        except BaseException:
            self._changed = True
            raise

    def _step(self, name: str, step: Callable[[HealthRecord], HealthRecord]) -> None:
        if name not in self.sources and len(self.sources) >= MOST:
            name = OTHERS
        before = self.sources.get(name)
        if before is None:
            before = HealthRecord(started_at=self._clock())
        self.sources[name] = step(before)
        self._changed = True


async def _tell(
    name: str,
    notices: tuple[SourceNotice, ...],
    writer: Intake,
    origin: Callable[[], Origin],
) -> None:
    for one in notices:
        say = log.info if one.over else log.warning
        say("source", name=name, kind=one.kind.value, over=one.over)
    signals = [one.signal(name) for one in notices]
    await tell(writer, signals, origin())

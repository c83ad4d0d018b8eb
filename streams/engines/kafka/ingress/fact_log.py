"""Ingress on Kafka: what was prepared is written to its topics, and acked, or refused.

Order of work: the facts first, since all that is promised stands in them; then, in
any order, the accesses with the offset after which they are to be judged, what
ingress saw by itself, and the dead letters. A request is answered once all of it is
acked; until then the source repeats it, and repeats are harmless.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import attrs
import structlog

from agents_registry.facts import copy_key
from streams.engines.kafka.client.publisher import NotAckedError
from streams.engines.kafka.clock.heartbeats import SHORTER
from streams.engines.kafka.ingress.bulk import Bulk, pieces
from streams.engines.kafka.ingress.dead_letters import DeadLetters
from streams.engines.kafka.records.accesses import access_records, signal_records
from streams.engines.kafka.records.codec import (
    Outgoing,
    act_record,
    cloud_event,
    partition_of,
)
from streams.engines.kafka.records.dead_letters import KafkaPlace
from streams.engines.kafka.records.layout import ACCESS, FACTS
from streams.engines.kafka.records.scope_uses import ScopeUses, scope_use_record
from streams.model.records import DeadLetter
from streams.observability import tracing
from streams.ports.fact_log import Appended, NotWrittenError, token_of
from streams.services.ingest import until_written
from streams.services.intake import MOST_FACT_BYTES
from streams.stages.ingest.dead_letters import folded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from schemas.entries import Act
    from streams.engines.kafka.client.publisher import Publisher
    from streams.engines.kafka.records.codec import Genesis
    from streams.engines.kafka.topics.topic_watch import TopicWatch
    from streams.ports.fact_log import Encoded, LogBatch
    from streams.ports.keyed_store import KeyedStore
    from streams.settings.kafka import KafkaSettings

TOO_LARGE: Final = (
    f"too_large: what was read off it has more than {MOST_FACT_BYTES} bytes; "
    "look at the event at the source"
)

MOST_IDS: Final = 5000  # of facts in one act
MOST_LOGGED: Final = 16  # of them in a line of the log; the chain has them all

log = structlog.get_logger()


class TopicFactLog:
    """The log of facts in the topics.

    Attributes:
        letters: makes records of what could not be taken in.
        watch: of the topics; nothing is accepted while they are not as they must be.
    """

    key = staticmethod(copy_key)

    def __init__(
        self,
        settings: KafkaSettings,
        publisher: Publisher,
        geneses: Mapping[int, Genesis],
        fresh_id: Callable[[], str],
        kept: KeyedStore,
    ) -> None:
        """Write through a publisher.

        Args:
            settings: of the topics.
            publisher: of this process; heartbeats go through the same one.
            geneses: of the partitions of ``facts``.
            fresh_id: gives unique ids.
            kept: of the realm.
        """
        self._settings = settings
        self._publisher = publisher
        self._geneses = geneses
        self._kept = kept
        self._ends: dict[int, int] = {}
        self._scope_uses = ScopeUses()
        self.letters = DeadLetters(settings, publisher, fresh_id)
        self._bulk = Bulk()
        self.watch: TopicWatch | None = None

    async def append(self, batch: LogBatch, *, patient: bool = False) -> Appended:
        """Write a batch: facts and acts, then what is to be judged after them."""
        attempt = partial(self._append, batch)
        return await (until_written(attempt) if patient else attempt())

    async def _append(self, batch: LogBatch) -> Appended:
        partition = partition_of(batch.origin.realm, self._settings.partitions)
        self._fit()
        try:
            end = await self._facts(batch, partition)
            await self._rest(batch, end)
        except NotAckedError as error:
            raise NotWrittenError(str(error)) from error
        for put in batch.also:
            await self._kept.put(put.kind, put.name, put.body)
        _log_acts(batch)
        token = token_of(self._geneses[partition].genesis, end, partition)
        return Appended(len(batch.facts), token)

    def written(self, realm: str) -> str:
        """Token of this process's last write for a realm."""
        partition = partition_of(realm, self._settings.partitions)
        genesis = self._geneses[partition].genesis
        return token_of(genesis, self._ends.get(partition, 0), partition)

    async def _facts(self, batch: LogBatch, partition: int) -> int:
        """Write facts; give the end of what this process wrote to their partition."""
        realm = batch.origin.realm
        *first, last = [*pieces(batch.facts)] or [[]]
        for each in first:
            await self._bulk.turn(each)
            await self._piece(_events(each, realm, partition), partition)
        if first:
            await self._bulk.turn(last)
        if last or batch.acts:
            groups = _events(last, realm, partition)
            acts = await self._acts(batch)
            await self._piece(itertools.chain(groups, _each(acts)), partition)
        return self._ends.get(partition, 0)

    async def _acts(self, batch: LogBatch) -> list[Outgoing]:
        aside = any(len(act.facts) > MOST_IDS for act in batch.acts)
        acts = map(_shortened, batch.acts)
        short = await asyncio.to_thread(list, acts) if aside else list(acts)
        return [
            act_record(act, self._settings.partitions, f"{batch.name}/{number}")
            for number, act in enumerate(short)
        ]

    async def _piece(self, groups: Iterable[list[Outgoing]], partition: int) -> None:
        """Write groups of facts, and note how far their partition goes."""
        topic, before = self._settings.topic(FACTS), self._ends.get(partition, 0)
        acked = await self._publisher.publish(topic, groups)
        if min(each.start for each in acked) < before and self.watch is not None:
            self.watch.doubt(f"{topic} partition {partition}: {SHORTER}")
        self._fit()
        end = max(each.end for each in acked)
        self._ends[partition] = max(end, self._ends.get(partition, 0))

    def _fit(self) -> None:
        """Refuse to accept what the topics may lose.

        Raises:
            NotWrittenError: they are not as they must be.
        """
        if self.watch is not None and self.watch.fault is not None:
            raise NotWrittenError(self.watch.fault)

    async def _rest(self, batch: LogBatch, end: int) -> None:
        settings, origin, fresh = self._settings, batch.origin, batch.name
        count = settings.access_partitions
        accesses = [
            *access_records(batch.accesses, origin, end, count, fresh),
            *signal_records(batch.signals, origin, count, fresh),
        ]
        new = self._scope_uses.new(origin.realm, batch.accesses)
        accesses += [
            scope_use_record(use, count, f"{fresh}/u{number}", end)
            for number, use in enumerate(new)
        ]
        accesses, refused = fitting(accesses)
        place = batch.place if isinstance(batch.place, KafkaPlace) else None
        letters = self.letters.records(
            folded([*batch.dead_letters, *refused]), origin, fresh, place
        )
        # Handed over in one turn, so that they travel together.
        waiting = [
            *await self._publisher.send(settings.topic(ACCESS), _each(accesses)),
            *await self._publisher.send(settings.topic("dlq"), _each(letters)),
        ]
        await self._publisher.acks(waiting)
        self._scope_uses.remember(new.values())


def _shortened(act: Act) -> Act:
    return attrs.evolve(act, facts=shortened(act.facts))


def _log_acts(batch: LogBatch) -> None:
    for act in batch.acts:
        named, count = list(act.facts[:MOST_LOGGED]), len(act.facts)
        about = {"facts": named, "count": count} if batch.facts else {}
        log.info("operator_acted", actor=act.actor, action=act.action, **about)


def shortened(ids: Sequence[str]) -> Sequence[str]:
    """Ids of an act's facts, or a hash of them where no record holds them."""
    if len(ids) <= MOST_IDS:
        return ids
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    return [f"{len(ids)} ids, a line each: sha256 {digest}"]


def _events(
    encoded: Sequence[Encoded], realm: str, partition: int
) -> Iterator[list[Outgoing]]:
    """Return the records of each event together; a fact of a use is its own event."""
    traceparent = tracing.current()
    by_event = itertools.groupby(encoded, key=lambda each: each.fact.event_id)
    for event_id, facts in by_event:
        records = [_record(realm, each, partition, traceparent) for each in facts]
        if event_id is None:
            yield from ([record] for record in records)
        else:
            yield records


def _record(
    realm: str, encoded: Encoded, partition: int, traceparent: str | None
) -> Outgoing:
    fact = encoded.fact
    return Outgoing(
        partition=partition,
        key=encoded.key.encode(),
        value=encoded.value,
        headers=cloud_event(
            encoded.key,
            source=f"/realms/{realm}/authorities/{quote(fact.authority, safe='')}",
            kind=f"fact.{fact.NAME}",
            time=fact.received_at,
            traceparent=traceparent,
        ),
    )


def fitting(
    records: Iterable[Outgoing],
) -> tuple[list[Outgoing], list[DeadLetter]]:
    """Part what the log takes from what it never would, however often it is tried."""
    fitting, refused = [], []
    for each in records:
        size = len(each.key) + len(each.value)
        if size <= MOST_FACT_BYTES:
            fitting.append(each)
        else:
            refused.append(DeadLetter("ingress", 0, size, TOO_LARGE))
    return fitting, refused


def _each(records: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    return ([record] for record in records)

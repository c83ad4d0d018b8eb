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

import structlog

from agents_registry.facts import copy_key, fact_id
from streams.engines.kafka.client.publisher import NotAckedError
from streams.engines.kafka.clock.heartbeats import SHORTER
from streams.engines.kafka.ingress.bulk import Bulk, pieces
from streams.engines.kafka.ingress.dead_letters import DeadLetters
from streams.engines.kafka.records.accesses import access_records, signal_records
from streams.engines.kafka.records.codec import (
    Act,
    Outgoing,
    act_record,
    cloud_event,
    partition_of,
)
from streams.engines.kafka.records.layout import ACCESS, FACTS
from streams.engines.kafka.records.scope_uses import ScopeUses, scope_use_record
from streams.model.records import DeadLetter
from streams.observability import tracing
from streams.services.blast_limit import sifted
from streams.services.intake import (
    MANY,
    MOST_FACT_BYTES,
    Acceptance,
    Deduplicator,
    NotWrittenError,
    PreparedBatch,
    as_it_is,
    encode,
    many,
    token_of,
)
from streams.services.quotas import OverQuotaError
from streams.stages.ingest.admission import Admission
from streams.stages.ingest.dead_letters import folded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from agents_registry.facts import Fact
    from streams.engines.kafka.client.publisher import Publisher
    from streams.engines.kafka.records.codec import Genesis
    from streams.engines.kafka.records.dead_letters import KafkaPlace
    from streams.engines.kafka.topics.topic_watch import TopicWatch
    from streams.services.blast_limit import BlastLimit
    from streams.services.intake import Complete, Encoded, IntakeBatch, Noted
    from streams.services.quotas import Quotas
    from streams.settings.kafka import KafkaSettings
    from streams.stages.ingest.ingress import Origin

TOO_LARGE: Final = (
    f"too_large: what was read off it has more than {MOST_FACT_BYTES} bytes; "
    "look at the event at the source"
)

MOST_IDS: Final = 5000  # of facts in one act
MOST_LOGGED: Final = 16  # of them in a line of the log; the chain has them all

log = structlog.get_logger()


class KafkaLog:
    """The way into the topics for sources and operators.

    Attributes:
        letters: makes records of what could not be taken in.
        limit: holds back what reaches too much, once there is a table to count in.
        quotas: of the authorities, for what is pushed.
        watch: of the topics; nothing is accepted while they are not as they must be.
        stated: what was said already, and what names secrets.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        publisher: Publisher,
        geneses: Mapping[int, Genesis],
        fresh_id: Callable[[], str],
        noted: Noted | None = None,
        complete: Complete = as_it_is,
    ) -> None:
        """Write through a publisher.

        Args:
            settings: of the topics.
            publisher: of this process; heartbeats go through the same one.
            geneses: of the partitions of ``facts``.
            fresh_id: gives unique ids.
            noted: is told of each batch that is acked.
            complete: adds what the source can only be asked for.
        """
        self._settings = settings
        self._publisher = publisher
        self._geneses = geneses
        self._fresh_id = fresh_id
        self._complete = complete
        self.stated = Deduplicator(copy_key)
        self._noted = noted
        self._ends: dict[int, int] = {}
        self._scope_uses = ScopeUses()
        self.letters = DeadLetters(settings, publisher, fresh_id)
        self._bulk = Bulk()
        self.limit: BlastLimit | None = None
        self.quotas: Quotas | None = None
        self.watch: TopicWatch | None = None

    @tracing.spanned(tracing.ACCEPT)
    async def records(
        self,
        delivery: IntakeBatch,
        place: KafkaPlace | None = None,
        *,
        patient: bool = False,
    ) -> Acceptance:
        """Admit records and write what gets in.

        Args:
            delivery: the batch.
            place: of the record of a raw topic that it stood in; what is written is
                named by it, and is the same when it is taken in again.
            patient: it was fetched, so no quota is meant; of a place it always is.

        Raises:
            NotWrittenError: not all of it was acked in time.
            OverQuotaError: the authority says too much; its causes are written.
        """
        delivery = await self._complete(delivery)
        prepare = partial(self.stated.prepare, again=place is not None)
        fresh = self._fresh_id() if place is None else str(place)
        if many(delivery.records):
            prepared = await asyncio.to_thread(prepare, delivery, fresh)
        else:
            prepared = prepare(delivery, fresh)
        later = 0.0
        quotas = None if patient or place is not None else self.quotas
        if quotas is not None:
            prepared, later = quotas.hold(prepared, delivery.origin.authority)
        counted = prepared
        try:
            prepared = await sifted(self.limit, prepared, delivery.origin)
            receipt = await self._write(prepared, delivery.origin, fresh, place)
        except NotWrittenError:
            if quotas is not None:
                quotas.give_back(counted, delivery.origin.authority)
            raise
        if later:
            raise OverQuotaError(delivery.origin.authority, later, ended=True)
        self.stated.remember(prepared)
        if self._noted is not None:
            self._noted(delivery, prepared)
        return receipt

    @tracing.spanned(tracing.ACCEPT)
    async def facts(
        self, facts: Sequence[Fact], origin: Origin, *, actor: str, action: str
    ) -> Acceptance:
        """Write an operator's facts, and behind them in the log who did it.

        Nothing is written where one of them does not fit the schema: the receipt
        counts those as dead letters.

        Raises:
            NotWrittenError: not all of it was acked in time.
        """
        admission = Admission()

        def stated() -> tuple[list[Encoded], list[str]]:
            encoded = encode(facts, origin, admission, copy_key)
            return encoded, shortened([fact_id(each.fact).hex() for each in encoded])

        aside = len(facts) > MANY
        encoded, ids = await asyncio.to_thread(stated) if aside else stated()
        if admission.dead_letters:
            token = self.written(origin.realm)
            return Acceptance(0, len(admission.dead_letters), 0, token)
        at, realm = origin.received_at, origin.realm
        act = Act(realm=realm, at=at, actor=actor, action=action, facts=ids)
        prepared = PreparedBatch(admission, encoded, frozenset())
        fresh = self._fresh_id()
        receipt = await self._write(prepared, origin, fresh, acts=[self._act(act)])
        named, count = ids[:MOST_LOGGED], len(facts)
        log.info("operator_acted", actor=actor, action=action, facts=named, count=count)
        return receipt

    async def record_act(self, act: Act) -> None:
        """Put what an operator did, without facts, into the log.

        Raises:
            NotWrittenError: it was not acked in time.
        """
        self._fit()
        try:
            topic = self._settings.topic(FACTS)
            await self._publisher.publish(topic, [[self._act(act)]])
        except NotAckedError as error:
            raise NotWrittenError(str(error)) from error
        log.info("operator_acted", actor=act.actor, action=act.action)

    def _act(self, act: Act) -> Outgoing:
        return act_record(act, self._settings.partitions, self._fresh_id())

    async def _write(
        self,
        prepared: PreparedBatch,
        origin: Origin,
        fresh: str,
        place: KafkaPlace | None = None,
        acts: Sequence[Outgoing] = (),
    ) -> Acceptance:
        partition = partition_of(origin.realm, self._settings.partitions)
        self._fit()
        try:
            end = await self._facts(prepared.encoded, origin, partition, acts)
            await self._rest(prepared.admission, origin, end, (fresh, place))
        except NotAckedError as error:
            raise NotWrittenError(str(error)) from error
        token = token_of(self._geneses[partition].genesis, end, partition)
        return prepared.receipt(len(prepared.encoded), token)

    def written(self, realm: str) -> str:
        """Token of this process's last write for a realm."""
        partition = partition_of(realm, self._settings.partitions)
        genesis = self._geneses[partition].genesis
        return token_of(genesis, self._ends.get(partition, 0), partition)

    async def _facts(
        self,
        encoded: Sequence[Encoded],
        origin: Origin,
        partition: int,
        acts: Sequence[Outgoing],
    ) -> int:
        """Write facts; give the end of what this process wrote to their partition."""
        *first, last = [*pieces(encoded)] or [[]]
        for each in first:
            await self._bulk.turn(each)
            groups = _events(each, origin.realm, partition)
            await self._piece(groups, partition)
        if first:
            await self._bulk.turn(last)
        if last or acts:
            groups = _events(last, origin.realm, partition)
            await self._piece(itertools.chain(groups, _each(acts)), partition)
        return self._ends.get(partition, 0)

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

    async def _rest(
        self,
        admission: Admission,
        origin: Origin,
        end: int,
        named: tuple[str, KafkaPlace | None],
    ) -> None:
        settings, (fresh, place) = self._settings, named
        count = settings.access_partitions
        accesses = [
            *access_records(admission.accesses, origin, end, count, fresh),
            *signal_records(admission.signals, origin, count, fresh),
        ]
        new = self._scope_uses.new(origin.realm, admission.accesses)
        accesses += [
            scope_use_record(use, count, f"{fresh}/u{number}", end)
            for number, use in enumerate(new)
        ]
        accesses, refused = fitting(accesses)
        letters = self.letters.records(
            folded([*admission.dead_letters, *refused]), origin, fresh, place
        )
        # Handed over in one turn, so that they travel together.
        waiting = [
            *await self._publisher.send(settings.topic(ACCESS), _each(accesses)),
            *await self._publisher.send(settings.topic("dlq"), _each(letters)),
        ]
        await self._publisher.acks(waiting)
        self._scope_uses.remember(new.values())


def shortened(ids: list[str]) -> list[str]:
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

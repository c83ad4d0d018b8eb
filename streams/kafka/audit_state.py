"""Where the audit of a partition stands, as the topics ``heads`` and ``audit`` tell it.

Nothing of it is kept in a file: the last heads say how far the chains were, and the
links behind them the rest. Who takes a partition over reads a minute or two of
``audit``, and as much of ``facts``.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from attrs import Factory, define

from schemas.errors import SchemaError
from streams.kafka.audit_chains import Chains, Fits, Link, Tip
from streams.kafka.audit_records import AUDIT, SignedHead, read_audit
from streams.kafka.layout import HEADS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from streams.kafka.settings import KafkaSettings

WAIT_MS: Final = 500

log = structlog.get_logger()


@define
class Audited:
    """The audit of one partition.

    Attributes:
        chains: where the chains of its realms end.
        position: every record of ``facts`` below it is chained, and acked.
        end: of ``audit``, as far as it is known: what comes next stands there.
        signed: realm to the last entry that a head names.
        round_position: `position` one round of heads ago.
        round_end: `end` at that time: no head lacks what stands below.
        keys: realm to the keys of its heads in the topic ``heads``.
    """

    number: int
    genesis: str
    chains: Chains
    position: int = 0
    end: int = 0
    target: int = 0
    signed: dict[str, int] = Factory(dict)
    round_position: int = 0
    round_end: int = 0
    keys: dict[str, set[bytes]] = Factory(lambda: defaultdict(set))

    @property
    def unsigned(self) -> list[tuple[str, Tip]]:
        """Give the realms whose last entry no head names yet."""
        return [
            (realm, tip)
            for realm, tip in self.chains.tips.items()
            if tip.sequence > self.signed.get(realm, 0)
        ]

    def take_heads(self, heads: Iterable[tuple[bytes, SignedHead]]) -> None:
        """Take up the heads of the topic ``heads``; the furthest of a realm counts."""
        of_round: SignedHead | None = None
        for key, head in heads:
            self.keys[head.realm].add(key)
            if head.sequence >= self.signed.get(head.realm, 0):
                self.signed[head.realm] = head.sequence
                self.chains.tips[head.realm] = Tip(
                    head.sequence, head.hash, head.genesis, head.offset
                )
            if of_round is None or head.resume > of_round.resume:
                of_round = head
        if of_round is not None:
            self.round_end = of_round.resume
            if of_round.genesis == self.genesis:
                self.position = self.round_position = of_round.position

    def follow(self, record: Any) -> None:
        """Take up a record of ``audit``, in their order."""
        self.end = record.offset + 1
        try:
            found = read_audit(record.value)
        except SchemaError as error:
            log.warning("audit_unreadable", partition=self.number, error=str(error))
            return
        if isinstance(found, Link) and self.chains.follow(found) is Fits.GAP:
            log.error(
                "audit_gap",
                partition=self.number,
                realm=found.realm,
                sequence=found.sequence,
            )


async def restored(settings: KafkaSettings, number: int, genesis: str) -> Audited:
    """Give the audit of a partition as the topics tell it.

    Raises:
        KafkaError: the cluster cannot be asked.
    """
    audited = Audited(number, genesis, Chains(genesis, number))
    heads = []
    async with reading(settings, HEADS, number) as records:
        async for record in records:
            if record.value is None:
                continue
            found = read_audit(record.value)
            if isinstance(found, SignedHead):
                heads.append((record.key, found))
    audited.take_heads(heads)
    start = audited.round_end
    async with reading(settings, AUDIT, number, start) as records:
        async for record in records:
            audited.follow(record)
        begin, audited.end = records.bounds
    if start and not begin <= start <= audited.end:
        log.error("audit_lost", partition=number, expected=start, begin=begin)
    return audited


@define
class Records:
    """The records of a partition up to where it ends now."""

    bounds: tuple[int, int]
    _consumer: Any
    _at: TopicPartition

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Give them in their order."""
        while await self._consumer.position(self._at) < self.bounds[1]:
            fetched = await self._consumer.getmany(timeout_ms=WAIT_MS)
            for record in fetched.get(self._at, ()):
                if record.offset < self.bounds[1]:
                    yield record


@asynccontextmanager
async def reading(
    settings: KafkaSettings, name: str, number: int, start: int = 0
) -> AsyncIterator[Records]:
    """Read a partition from an offset, or from its begin where that is not in it."""
    consumer = AIOKafkaConsumer(**settings.client(), auto_offset_reset="earliest")
    try:
        await consumer.start()
        at = TopicPartition(settings.topic(name), number)
        begin = (await consumer.beginning_offsets([at]))[at]
        end = (await consumer.end_offsets([at]))[at]
        consumer.assign([at])
        consumer.seek(at, start if begin <= start <= end else begin)
        yield Records((begin, end), consumer, at)
    finally:
        await consumer.stop()

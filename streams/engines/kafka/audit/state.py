"""Where the audit of a partition stands, as the topics ``heads`` and ``audit`` tell it.

Nothing of it is kept in a file: the last heads say how far the chains were, and the
links behind them the rest. Who takes a partition over reads a minute or two of
``audit``, and as much of ``facts``.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import structlog
from attrs import Factory, define

from schemas.errors import SchemaError
from streams.engines.kafka.audit.chains import ChainLink, Chains, ChainTip, Fits
from streams.engines.kafka.audit.records import AUDIT, SignedHead, read_audit
from streams.engines.kafka.records.layout import HEADS
from streams.engines.kafka.records.poison import Poison, poison_of
from streams.engines.kafka.records.schema_registry import learn_ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.engines.kafka.client.log_reader import PartitionReader

log = structlog.get_logger()


class UnknownChainError(Exception):
    """A head cannot be read, and ``audit`` does not hold all that it spoke of."""


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
        poison: records that could not be read, each with its topic.
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
    poison: list[tuple[str, Poison]] = Factory(list)

    @property
    def unsigned(self) -> list[tuple[str, ChainTip]]:
        """Realms whose last entry no head names yet."""
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
                self.chains.tips[head.realm] = ChainTip(
                    head.sequence, head.hash, head.genesis, head.offset
                )
            if of_round is None or head.resume > of_round.resume:
                of_round = head
        if of_round is not None:
            self.round_end = of_round.resume
            if of_round.genesis == self.genesis:
                self.position = self.round_position = of_round.position

    def pass_over(self, topic: str, record: Any, why: str, key: bytes | None) -> None:
        """Keep what a dead letter tells of a record that cannot be read.

        Args:
            topic: its full name.
            record: of the client.
            why: it cannot be read.
            key: of the hash of its bytes.
        """
        log.error(
            "audit_unreadable",
            topic=topic,
            partition=self.number,
            offset=record.offset,
            error=why,
        )
        self.poison.append((topic, poison_of(record, why, key)))

    def follow(self, topic: str, record: Any, key: bytes | None) -> None:
        """Take up a record of ``audit``, in their order; arguments of `pass_over`."""
        self.end = record.offset + 1
        try:
            found = read_audit(record.value)
        except SchemaError as error:
            self.pass_over(topic, record, str(error), key)
            return
        if isinstance(found, ChainLink) and self.chains.follow(found) is Fits.GAP:
            log.error(
                "audit_gap",
                partition=self.number,
                realm=found.realm,
                sequence=found.sequence,
            )


async def restored(reader: PartitionReader, number: int, genesis: str) -> Audited:
    """Audit state of a partition, read from the topics.

    A head that cannot be read is passed over where ``audit`` still holds every link:
    then the chains follow from these alone. A tombstone under its key, or a newer
    record, ends it at once.

    Raises:
        KafkaError: the cluster cannot be asked.
        UnknownChainError: nothing tells where a chain ends.
    """
    audited = Audited(number, genesis, Chains(genesis, number))
    unread = await _take_heads(reader, audited)
    begin, end = await reader.bounds(AUDIT, number)
    if unread is not None:
        if begin > 0:
            # A realm whose links are gone would begin a second chain.
            raise UnknownChainError(unread)
        audited.round_end = 0
    start = audited.round_end
    if not begin <= start <= end:
        log.error("audit_lost", partition=number, expected=start, begin=begin, end=end)
        start = begin
    topic, key = reader.settings.topic(AUDIT), reader.settings.digest()
    async for record in reader.records(AUDIT, number, start, end):
        await learn_ids([record.value])
        audited.follow(topic, record, key)
    audited.end = end
    return audited


async def _take_heads(reader: PartitionReader, audited: Audited) -> str | None:
    """Take up the heads; tell of one that cannot be read, and where it lies."""
    number, topic = audited.number, reader.settings.topic(HEADS)
    last: dict[bytes, Any] = {}
    bounds = await reader.bounds(HEADS, number)
    async for record in reader.records(HEADS, number, *bounds):
        last[record.key or b""] = record
    await learn_ids(each.value for each in last.values())
    heads, unread = [], None
    for key, record in last.items():
        if record.value is None:
            continue
        try:
            found = read_audit(record.value)
        except SchemaError as error:
            unread = f"{topic} partition {number} offset {record.offset}: {error}"
            audited.pass_over(topic, record, str(error), reader.settings.digest())
            # The next head of the realm takes its place.
            audited.keys[key.partition(b"/")[0].decode("utf-8", "replace")].add(key)
        else:
            if isinstance(found, SignedHead):
                heads.append((key, found))
    audited.take_heads(heads)
    return unread

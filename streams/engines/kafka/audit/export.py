"""The audit chain of a realm as the topics hold it, for who exports or verifies it.

Entries come from ``audit`` alone, so it matters not what compaction took away from
``facts``. What is there is held against the chain: each fact that is older than the
last entry must have one.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from attrs import define

from schemas.errors import NEWER, SchemaError
from streams.engines.kafka.audit.chains import Chains, Fits, line_of, realm_named
from streams.engines.kafka.audit.records import AUDIT, SignedHead, read_audit
from streams.engines.kafka.client.log_reader import reading
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.records.genesis import read_geneses
from streams.engines.kafka.records.layout import FACTS, HEADS
from streams.engines.kafka.records.schema_registry import learn_ids, take_ids

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from streams.engines.kafka.audit.chains import ChainLink
    from streams.settings.kafka import KafkaSettings
    from streams.stages.audit.chain import Line


async def last_head(settings: KafkaSettings, realm: str) -> str | None:
    """Last signed head that a worker has noted, None where there is none.

    Raises:
        KafkaError: the cluster cannot be asked.
    """
    await take_ids(settings)
    last: SignedHead | None = None
    number = partition_of(realm, settings.partitions)
    async with reading(settings) as reader:
        bounds = await reader.bounds(HEADS, number)
        async for record in reader.records(HEADS, number, *bounds):
            found = None if record.value is None else _read(HEADS, record)
            if isinstance(found, SignedHead) and found.realm == realm:
                later = last is None or found.sequence >= last.sequence
                last = found if later else last
    return None if last is None else last.signature


async def exported(settings: KafkaSettings, realm: str) -> AsyncGenerator[Line, None]:
    """Lines of an export, up to now; the last entries may be unsigned.

    Raises:
        KafkaError: the cluster cannot be asked.
        SchemaError: a newer version wrote a record of ``audit``.
    """
    await take_ids(settings)
    number = partition_of(realm, settings.partitions)
    geneses = await read_geneses(settings)
    genesis = geneses[number].genesis if number in geneses else ""
    chains = Chains(genesis, number)
    async with reading(settings) as reader, reading(settings) as other:
        # First where the chain ends: all that it speaks of lies before the other end.
        bounds = await reader.bounds(AUDIT, number)
        facts = other.records(FACTS, number, *await other.bounds(FACTS, number))
        held = _Held(realm, facts)
        async for record in reader.records(AUDIT, number, *bounds):
            await learn_ids([record.value])
            found = _read(AUDIT, record)
            if found is None or found.realm != realm:
                continue
            tip = chains.tips.get(realm)
            if isinstance(found, SignedHead):
                if tip is None or found.sequence >= tip.sequence:
                    yield {"head": found.signature}
            elif chains.follow(found) is not Fits.LATE:
                if found.genesis == genesis:
                    async for line in held.up_to(found, begins=tip is None):
                        yield line
                yield line_of(found)


def _read(name: str, record: Any) -> ChainLink | SignedHead | None:
    """Read a record; None for what no worker wrote, which proves nothing.

    Raises:
        SchemaError: a newer version wrote it.
    """
    try:
        return read_audit(record.value)
    except SchemaError as error:
        if error.code in NEWER:
            place = f"{name} partition {record.partition} offset {record.offset}"
            raise SchemaError(error.code, f"{place}: {error}; upgrade this") from error
        return None


@define
class _Held:
    """What ``facts`` still holds of a realm, walked along with the chain."""

    realm: str
    _facts: AsyncIterator[Any]
    _next: Any = None

    async def up_to(self, link: ChainLink, *, begins: bool) -> AsyncIterator[Line]:
        """Return the records in front of a link's record that were not chained.

        Args:
            link: of this very log.
            begins: it is the first that is left of the chain.
        """
        while True:
            if self._next is None:
                self._next = await anext(self._facts, None)
            record = self._next
            if record is None or record.offset > link.offset:
                return
            self._next = None
            if record.offset == link.offset:
                if not _same(record, link):
                    yield _unchained(record)
            elif not begins and self._is_said(record):
                yield _unchained(record)

    def _is_said(self, record: Any) -> bool:
        """Whether a record is a fact or an act of the realm."""
        return record.value is not None and realm_named(record.key or b"") == self.realm


def _same(record: Any, link: ChainLink) -> bool:
    hashed = hashlib.sha256(record.value or b"").hexdigest()
    return record.key == link.key.encode() and hashed == link.value_hash


def _unchained(record: Any) -> Line:
    key = (record.key or b"").decode("utf-8", "replace")
    return {"unchained": {"offset": record.offset, "key": key}}

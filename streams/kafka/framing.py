"""Put what Rescind writes to Kafka into records: partition, key, headers, value.

The partition is always given explicitly: a client's own choice would depend on the
key, which differs between the facts of one realm. Headers carry the CloudEvents
attributes (CloudEvents Kafka protocol binding 1.0.2, binary mode) and ``traceparent``
(W3C Trace Context). Values are Avro behind the Confluent framing (`schemas.codec`).
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs
from aiokafka.partitioner import murmur2
from attrs import frozen

from agents_registry.facts import FACTS, Fact, copy_key
from schemas.codec import Codec, encode_fact, fact_of, in_force
from schemas.errors import Fault, SchemaError
from streams.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

Headers = tuple[tuple[str, bytes], ...]

CONTENT_TYPE: Final = b"application/avro"
GENESIS: Final = "genesis"
HEARTBEAT: Final = "heartbeat"
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
)


@frozen(kw_only=True)
class Outgoing:
    """A record as a producer takes it."""

    partition: int
    key: bytes
    value: bytes
    headers: Headers


@frozen(kw_only=True)
class Genesis:
    """The record that makes a partition of facts this log and no other.

    Attributes:
        partitions: how many the topic has, fixed for its life.
        created_at: in nanoseconds.
    """

    genesis: str
    partition: int
    partitions: int
    created_at: int
    created_by: str


@frozen(kw_only=True)
class Heartbeat:
    """A writer reached this partition.

    Attributes:
        writer: its stable ordinal name, so that compaction keeps one of each.
        sent_at: by the writer's clock, in nanoseconds; for people only.
    """

    genesis: str
    partition: int
    writer: str
    sequence: int
    sent_at: int


@frozen
class Tombstone:
    """The record of this key was pruned."""

    key: str


Entry = Fact | Genesis | Heartbeat | Tombstone


@functools.lru_cache(maxsize=1 << 14)
def partition_of(realm: str, partitions: int) -> int:
    """Give the partition of all facts of a realm: murmur2(realm) mod N."""
    return _partition(realm.encode(), partitions)


@functools.lru_cache(maxsize=1 << 14)
def access_partition_of(realm: str, point: str, partitions: int) -> int:
    """Give the partition of the accesses of a realm at an enforcement point."""
    return _partition(f"{realm}/{point}".encode(), partitions)


def _partition(data: bytes, partitions: int) -> int:
    # As Java's clients do: the sign bit is dropped, not the number negated.
    hashed: int = murmur2(data) & 0x7FFF_FFFF
    return hashed % partitions


def fact_record(
    realm: str,
    fact: Fact,
    partitions: int,
    *,
    traceparent: str | None = None,
    codec: Codec | None = None,
) -> Outgoing:
    """Give the record of a fact in the topic ``facts``.

    Args:
        realm: the organisation.
        fact: what was accepted.
        partitions: of the topic.
        traceparent: as it came in; anything but a W3C traceparent is left out.
        codec: the one in force by default.

    Raises:
        SchemaError: ``misfit``, e.g. a time beyond 64 bits.
    """
    key = copy_key(realm, fact)
    return Outgoing(
        partition=partition_of(realm, partitions),
        key=key.encode(),
        value=encode_fact(fact, codec),
        headers=cloud_event(
            key,
            source=f"/realms/{realm}/authorities/{quote(fact.authority, safe='')}",
            kind=f"fact.{fact.NAME}",
            time=fact.received_at,
            traceparent=traceparent,
        ),
    )


def genesis_record(genesis: Genesis, codec: Codec | None = None) -> Outgoing:
    """Give the record that starts a partition; `topics apply` alone writes it."""
    key = f"{GENESIS}/{genesis.genesis}"
    headers = cloud_event(key, source="/topics", kind=GENESIS, time=genesis.created_at)
    return _of_log(GENESIS, genesis, key, headers, codec)


def heartbeat_record(heartbeat: Heartbeat, codec: Codec | None = None) -> Outgoing:
    """Give the record by which readers prove how fresh they are."""
    key = f"{HEARTBEAT}/{heartbeat.writer}"
    headers = cloud_event(
        f"{key}/{heartbeat.partition}/{heartbeat.sequence}",
        source=f"/writers/{quote(heartbeat.writer, safe='')}",
        kind=HEARTBEAT,
        time=heartbeat.sent_at,
    )
    return _of_log(HEARTBEAT, heartbeat, key, headers, codec)


def _of_log(
    name: str,
    record: Genesis | Heartbeat,
    key: str,
    headers: Headers,
    codec: Codec | None,
) -> Outgoing:
    return Outgoing(
        partition=record.partition,
        key=key.encode(),
        value=(codec or in_force()).encode(name, attrs.asdict(record)),
        headers=headers,
    )


def cloud_event(
    event_id: str,
    *,
    source: str,
    kind: str,
    time: int,
    traceparent: str | None = None,
) -> Headers:
    """Give the headers of a record.

    Args:
        event_id: unique within the source.
        source: a URI reference.
        kind: what the record is, ``fact.cause``.
        time: in nanoseconds.
        traceparent: left out where it is none.
    """
    headers = (
        ("content-type", CONTENT_TYPE),
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", f"rescind.{kind}.v1".encode()),
        ("ce_time", str(rfc3339(time)).encode()),
    )
    if traceparent is not None and _TRACEPARENT.fullmatch(traceparent):
        return (*headers, ("traceparent", traceparent.encode()))
    return headers


def read_entry(
    key: bytes | None, value: bytes | None, codec: Codec | None = None
) -> Entry:
    """Read one record of the topic ``facts``.

    Raises:
        SchemaError: it is none that we can read; nothing may be served as if it had
            not been.
    """
    if value is None:
        return Tombstone((key or b"").decode("utf-8", "replace"))
    decoded = (codec or in_force()).decode(value)
    name, _, record = decoded
    if name in FACTS:
        return fact_of(decoded)
    if name == GENESIS:
        return Genesis(**_fields(Genesis, record))
    if name == HEARTBEAT:
        return Heartbeat(**_fields(Heartbeat, record))
    raise SchemaError(Fault.NOT_A_FACT, f"a {name} record has no place in facts")


def realm_of(key: bytes) -> str:
    """Give the realm that the key of a fact names; no realm holds a slash.

    Raises:
        SchemaError: ``not_a_fact`` for a key that is none of a fact's.
    """
    realm, _, rest = key.decode("utf-8", "replace").partition("/")
    kind, _, _ = rest.partition("/")
    if kind not in FACTS:
        raise SchemaError(Fault.NOT_A_FACT, "the key is none of a fact's")
    return realm


def _fields(of: type[Any], record: Mapping[str, Any]) -> dict[str, Any]:
    # A newer version may have more fields than we have words for.
    return {a.name: record[a.name] for a in attrs.fields(of)}

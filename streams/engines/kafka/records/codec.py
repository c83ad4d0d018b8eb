"""Put what Rescind writes to Kafka into records: partition, key, headers, value.

The partition is always given explicitly (`schemas.placement`). Headers carry the
CloudEvents attributes (CloudEvents Kafka protocol binding 1.0.2, binary mode) and
``traceparent`` (W3C Trace Context). Values are Avro behind the Confluent framing
(`schemas.codec`).
"""

from __future__ import annotations

import functools
import re
from typing import Final
from urllib.parse import quote

import attrs
from attrs import frozen

from agents_registry.facts import Fact, copy_key
from schemas.codec import encode_fact, in_force
from schemas.entries import (
    ACT,
    GENESIS,
    HEARTBEAT,
    Act,
    Entry,
    Genesis,
    Heartbeat,
    Tombstone,
    read_entry,
    realm_of,
)
from schemas.placement import access_partition_of, partition_of
from streams.model.times import rfc3339

__all__ = [
    "Act",
    "Entry",
    "Genesis",
    "Headers",
    "Heartbeat",
    "Outgoing",
    "Tombstone",
    "access_partition_of",
    "act_record",
    "cloud_event",
    "fact_record",
    "genesis_record",
    "heartbeat_record",
    "partition_of",
    "read_entry",
    "realm_of",
]

Headers = tuple[tuple[str, bytes], ...]

CONTENT_TYPE: Final = b"application/avro"
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


def fact_record(
    realm: str,
    fact: Fact,
    partitions: int,
    *,
    traceparent: str | None = None,
) -> Outgoing:
    """Record of a fact in the topic ``facts``.

    Args:
        realm: the organisation.
        fact: what was accepted.
        partitions: of the topic.
        traceparent: as it came in; anything but a W3C traceparent is left out.

    Raises:
        SchemaError: ``misfit``, e.g. a time beyond 64 bits.
    """
    key = copy_key(realm, fact)
    return Outgoing(
        partition=partition_of(realm, partitions),
        key=key.encode(),
        value=encode_fact(fact),
        headers=cloud_event(
            key,
            source=f"/realms/{realm}/authorities/{quote(fact.authority, safe='')}",
            kind=f"fact.{fact.NAME}",
            time=fact.received_at,
            traceparent=traceparent,
        ),
    )


def genesis_record(genesis: Genesis) -> Outgoing:
    """Record that starts a partition; `topics apply` alone writes it."""
    key = f"{GENESIS}/{genesis.genesis}"
    headers = cloud_event(key, source="/topics", kind=GENESIS, time=genesis.created_at)
    return _of_log(GENESIS, genesis, key, headers)


def heartbeat_record(heartbeat: Heartbeat) -> Outgoing:
    """Record by which readers prove how fresh they are."""
    key = f"{HEARTBEAT}/{heartbeat.writer}"
    headers = cloud_event(
        f"{key}/{heartbeat.partition}/{heartbeat.sequence}",
        source=f"/writers/{quote(heartbeat.writer, safe='')}",
        kind=HEARTBEAT,
        time=heartbeat.sent_at,
    )
    return _of_log(HEARTBEAT, heartbeat, key, headers)


def act_record(act: Act, partitions: int, identity: str) -> Outgoing:
    """Record of an operator's act.

    Its key begins unlike those of a realm's facts, so that guards pass it over unread.

    Args:
        act: what.
        partitions: of ``facts``.
        identity: unique in the realm.
    """
    key = f"{ACT}/{act.realm}/{identity}"
    return Outgoing(
        partition=partition_of(act.realm, partitions),
        key=key.encode(),
        value=in_force().encode(ACT, attrs.asdict(act)),
        headers=cloud_event(
            key, source=f"/realms/{act.realm}/operators", kind=ACT, time=act.at
        ),
    )


def heartbeat_start(genesis: str) -> bytes:
    """First bytes of the value of every heartbeat of a log, as we write it."""
    plain = Heartbeat(genesis=genesis, partition=0, writer="", sequence=0, sent_at=0)
    value = in_force().encode(HEARTBEAT, attrs.asdict(plain))
    return value[: value.index(genesis.encode()) + len(genesis.encode())]


def _of_log(
    name: str,
    record: Genesis | Heartbeat,
    key: str,
    headers: Headers,
) -> Outgoing:
    return Outgoing(
        partition=record.partition,
        key=key.encode(),
        value=in_force().encode(name, attrs.asdict(record)),
        headers=headers,
    )


@functools.lru_cache(maxsize=64)
def _time(time: int) -> bytes:
    """Write a time; records of a batch share it."""
    return str(rfc3339(time)).encode()


def cloud_event(
    event_id: str,
    *,
    source: str,
    kind: str,
    time: int,
    traceparent: str | None = None,
) -> Headers:
    """Headers of a record, as CloudEvents has them.

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
        ("ce_time", _time(time)),
    )
    if traceparent is not None and _TRACEPARENT.fullmatch(traceparent):
        return (*headers, ("traceparent", traceparent.encode()))
    return headers

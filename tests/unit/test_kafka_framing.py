"""What a record on Kafka carries: partition, key, headers and value."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from aiokafka.partitioner import murmur2 as theirs
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.facts import Cause, Effect, copy_key
from agents_registry.identifiers import Identifier
from enforcement.kafka.replica import LogReplica
from schemas.codec import bundled
from schemas.errors import Fault, SchemaError
from schemas.placement import murmur2
from streams.engines.kafka.records.codec import (
    Act,
    Genesis,
    Heartbeat,
    Tombstone,
    access_partition_of,
    act_record,
    fact_record,
    genesis_record,
    heartbeat_record,
    partition_of,
    read_entry,
    realm_of,
)

pytestmark = pytest.mark.unit
HOUR = 3600 * 10**9
CAUSE = Cause(
    authority="okta/main",
    event_id="e1",
    version=5,
    received_at=7 * HOUR + 5,
    ingress_key="k1",
    target=Identifier.parse("okta.user:00u1"),
    effect=Effect.REVOKE,
    at=4,
)
GENESIS = Genesis(
    genesis="ab" * 16, partition=3, partitions=24, created_at=9, created_by="ops"
)
BEAT = Heartbeat(
    genesis="ab" * 16, partition=3, writer="ingress-0", sequence=8, sent_at=HOUR
)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("realm", "partition"),
    [
        # From Java: murmur2 and toPositive of org.apache.kafka.common.utils.Utils in
        # kafka-clients 4.4.0, of the UTF-8 bytes, modulo 24.
        ("a", 4),
        ("ab", 2),
        ("abc", 3),
        ("abcd", 20),
        ("acme", 12),
        ("default", 19),
        ("a-much-longer-realm-name.example.org", 3),
        ("r\u00e9alm", 19),
    ],
)
def test_realm_lies_where_java_clients_would_put_it(realm: str, partition: int) -> None:
    """The partition is Java's: murmur2 without the sign bit, mod N."""
    assert partition_of(realm, 24) == partition


@given(st.binary(max_size=64))
def test_the_hash_is_that_of_the_client_library(data: bytes) -> None:
    """Any bytes hash to what aiokafka's own partitioner makes of them."""
    assert murmur2(data) == theirs(data) & 0xFFFF_FFFF


def test_accesses_of_a_realm_spread_over_its_points() -> None:
    """The partition of accesses follows from realm and point together."""
    assert access_partition_of("acme", "edge-gateway", 24) == 1
    parts = {access_partition_of("acme", f"point-{n}", 24) for n in range(200)}
    assert parts == set(range(24))


def test_fact_record_has_the_copy_key_and_its_realms_partition() -> None:
    """The key is the fact's, the partition the realm's, the value reads back."""
    record = fact_record("acme", CAUSE, 24)
    assert record.key.decode() == copy_key("acme", CAUSE)
    assert record.partition == 12
    assert read_entry(record.key, record.value) == CAUSE
    assert realm_of(record.key) == "acme"


def test_fact_record_carries_cloud_events_headers() -> None:
    """The headers say what the record is, in the binary mode of CloudEvents."""
    headers = dict(fact_record("acme", CAUSE, 24, traceparent=TRACE).headers)
    assert headers == {
        "content-type": b"application/avro",
        "ce_specversion": b"1.0",
        "ce_id": copy_key("acme", CAUSE).encode(),
        "ce_source": b"/realms/acme/authorities/okta%2Fmain",
        "ce_type": b"rescind.fact.cause.v1",
        "ce_time": b"1970-01-01T07:00:00.000000005Z",
        "traceparent": TRACE.encode(),
    }


@pytest.mark.parametrize(
    "text", ["", "00-xyz", f"ff{TRACE[2:]}", TRACE.upper(), f"{TRACE}\n", f"{TRACE}-1"]
)
def test_what_is_no_traceparent_is_left_out(text: str) -> None:
    """Text from outside reaches a header only where it is a W3C traceparent."""
    assert "traceparent" not in dict(
        fact_record("acme", CAUSE, 24, traceparent=text).headers
    )


def test_genesis_and_heartbeat_read_back() -> None:
    """Both lie in the partition that they speak of, under keys of their own."""
    genesis, beat = genesis_record(GENESIS), heartbeat_record(BEAT)
    assert (genesis.partition, beat.partition) == (3, 3)
    assert genesis.key.decode() == f"genesis/{GENESIS.genesis}"
    assert beat.key == b"heartbeat/ingress-0"
    assert read_entry(genesis.key, genesis.value) == GENESIS
    assert read_entry(beat.key, beat.value) == BEAT


def test_act_reads_back_and_no_guard_reads_it() -> None:
    """It lies in its realm's partition, under a key that no fact of a realm has."""
    act = Act(realm="acme", at=HOUR, actor="ann", action="revoke x: left", facts=["ab"])
    record = act_record(act, 24, "id1")

    assert (12, b"act/acme/id1") == (record.partition, record.key)
    assert act == read_entry(record.key, record.value)
    guard, unread = LogReplica("acme"), SimpleNamespace(key=record.key, value=b"junk")
    assert guard._read(unread) is None
    assert guard.unreadable == 0


def test_heartbeats_of_a_writer_share_a_key_and_no_event_id() -> None:
    """Compaction keeps one heartbeat of a writer; each is an event of its own."""
    later = Heartbeat(
        genesis=BEAT.genesis, partition=3, writer="ingress-0", sequence=9, sent_at=HOUR
    )
    one, two = heartbeat_record(BEAT), heartbeat_record(later)
    assert one.key == two.key
    assert dict(one.headers)["ce_id"] != dict(two.headers)["ce_id"]


def test_tombstone_names_what_was_pruned() -> None:
    """A record without value is the end of its key."""
    assert read_entry(b"acme/cause/x/1/k", None) == Tombstone("acme/cause/x/1/k")


def test_other_record_in_facts_is_an_error() -> None:
    """A reader never takes a record that has no place in facts for nothing."""
    value = bundled().encode(
        "audit",
        {
            "genesis": "", "partition": 0, "offset": 0, "realm": "", "previous": b"",
            "fact_key": "", "fact_kind": "", "authority": "", "ingress_key": "",
            "received_at": 0, "value_hash": b"", "head": b"", "sequence": 0,
            "value": b"", "position": 0, "resume": 0,
        },
    )  # fmt: skip
    with pytest.raises(SchemaError, match="no place in facts") as caught:
        read_entry(b"0/0", value)
    assert caught.value.code is Fault.NOT_A_FACT


@pytest.mark.parametrize("key", [b"", b"genesis/ab", b"heartbeat/w", b"acme", b"\xff"])
def test_key_that_is_no_facts_names_no_realm(key: bytes) -> None:
    """A realm is read off the key of a fact only."""
    with pytest.raises(SchemaError, match=re.escape("none of a fact's")):
        realm_of(key)

"""Framing and the errors of the codec; DESIGN section 3, "Avro with Confluent"."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import (
    Cause,
    Edge,
    Effect,
    Fact,
    Reach,
    Relation,
    Renewal,
    to_plain,
)
from agents_registry.identifiers import Identifier
from schemas.codec import (
    FOLDER,
    Codec,
    Published,
    bundled,
    decode_fact,
    encode_fact,
    published,
)
from schemas.errors import Fault, SchemaError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

KEY = Identifier("aws.access_key", "AKIAIOSFODNN7EXAMPLE")
USER = Identifier("aws.user", "arn:aws:iam::111122223333:user/ci")
EDGE = Edge(authority="aws:1", version=7, received_at=9, child=KEY, parent=USER)
CAUSE = Cause(
    authority="aws:1",
    version=7,
    received_at=9,
    target=KEY,
    effect=Effect.SUSPEND,
    reach=Reach.SELF,
    at=7,
    aspect="key",
)
FACTS = [EDGE, CAUSE]


def code_of(raised: pytest.ExceptionInfo[SchemaError]) -> Fault:
    """Give the constant name of the error that was raised."""
    return raised.value.code


def test_frames_with_a_zero_byte_and_the_id_of_the_schema() -> None:
    """Confluent wire format: magic 0, id big-endian in four bytes, then Avro."""
    data = encode_fact(EDGE)

    assert data[:5] == b"\x00\x00\x00\x00\x02"
    assert Published("edge", 1, published()[2].sha256) == published()[2]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.NAME)
def test_reads_back_what_it_wrote(fact: Fact) -> None:
    """Every field survives, enums and nulls too."""
    assert fact == decode_fact(encode_fact(fact))


def test_keeps_a_renewal_that_never_ends_apart_from_one_at_the_epoch() -> None:
    """Null is never, zero is 1970."""
    for expires_at in (None, 0):
        fact = Renewal(
            authority="v", version=1, received_at=1, node=KEY, expires_at=expires_at
        )

        assert fact == decode_fact(encode_fact(fact))


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x00", b"\x01\x00\x00\x00\x02", b"{}"])
def test_refuses_bytes_without_the_frame(data: bytes) -> None:
    """JSON, an empty value or another magic byte is none of our records."""
    with pytest.raises(SchemaError) as raised:
        decode_fact(data)

    assert Fault.NOT_FRAMED is code_of(raised)


def test_refuses_an_id_that_nobody_gave() -> None:
    """An id from the future asks for an upgrade."""
    with pytest.raises(SchemaError, match="upgrade this reader") as raised:
        decode_fact(b"\x00\xff\xff\xff\xff" + encode_fact(EDGE)[5:])

    assert Fault.UNKNOWN_ID is code_of(raised)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.NAME)
def test_refuses_every_truncation_and_every_tail(fact: Fact) -> None:
    """No prefix of a record is a record, and no byte may follow one."""
    data = encode_fact(fact)
    for damaged in (*(data[:end] for end in range(5, len(data))), data + b"\x00"):
        with pytest.raises(SchemaError) as raised:
            decode_fact(damaged)

        assert Fault.UNDECODABLE is code_of(raised)


def test_says_nothing_of_the_bytes_that_it_could_not_read() -> None:
    """The error's text stands in a dead letter, where bytes must not."""
    data = encode_fact(EDGE).replace(b"AKIA", b"\xff\xffIA")

    with pytest.raises(SchemaError) as raised:
        decode_fact(data)

    assert Fault.UNDECODABLE is code_of(raised)
    assert "IOSFODNN7" not in str(raised.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2**63},
        {"version": None},
        {"authority": "\ud800"},
        {"child": 5},
        {"relation": "explodes"},
        {"event_id": 5},
    ],
    ids=str,
)
def test_refuses_to_write_what_does_not_fit(changes: dict[str, Any]) -> None:
    """A time beyond 64 bits, half a surrogate, another type: an error, no bytes."""
    with pytest.raises(SchemaError, match="schema edge") as raised:
        bundled().encode("edge", to_plain(EDGE) | changes)

    assert Fault.MISFIT is code_of(raised)


def test_refuses_to_write_a_record_that_lacks_a_field() -> None:
    """Nothing is filled in that the writer did not say."""
    plain = to_plain(CAUSE)
    del plain["reach"]

    with pytest.raises(SchemaError) as raised:
        bundled().encode("cause", plain)

    assert Fault.MISFIT is code_of(raised)


def test_knows_no_schema_of_another_name() -> None:
    """A misspelt name is an error at once."""
    for call in (
        lambda: bundled().encode("edges", {}),
        lambda: bundled().learn(900, "edges", {"type": "string"}),
    ):
        with pytest.raises(SchemaError) as raised:
            call()

        assert Fault.UNKNOWN_SCHEMA is code_of(raised)


def test_refuses_a_record_that_is_no_fact() -> None:
    """A heartbeat on the log is read by its own name, never as a fact."""
    beat = {"genesis": "g", "partition": 0, "writer": "ingress-0"}
    data = bundled().encode("heartbeat", beat | {"sequence": 1, "sent_at": 1})

    assert bundled().decode(data).name == "heartbeat"
    with pytest.raises(SchemaError) as raised:
        decode_fact(data)
    assert Fault.NOT_A_FACT is code_of(raised)


def test_refuses_a_fact_about_something_that_is_no_identifier() -> None:
    """Avro takes any string; a fact takes ``kind:value`` alone, and says no more."""
    data = bundled().encode("edge", to_plain(EDGE) | {"parent": "hunter2"})

    with pytest.raises(SchemaError) as raised:
        decode_fact(data)

    assert Fault.NOT_A_FACT is code_of(raised)
    assert "hunter2" not in str(raised.value)


def edge_schema_with(symbol: str) -> dict[str, Any]:
    """Give the edge schema as a later release might publish it."""
    schema: dict[str, Any] = json.loads((FOLDER / "avro" / "edge.avsc").read_text())
    relation = next(f for f in schema["fields"] if f["name"] == "relation")
    relation["type"]["symbols"].append(symbol)
    reviewed = {"name": "reviewed", "type": "boolean", "default": False, "doc": "New."}
    schema["fields"].append(reviewed)
    return schema


@pytest.fixture
def later(tmp_path: Path) -> Codec:
    """Give the codec of a later release, which has edge/2."""
    released = tmp_path / "released"
    shutil.copytree(FOLDER / "released", released)
    (released / "edge" / "2.avsc").write_text(json.dumps(edge_schema_with("mirrors")))
    return Codec(published() | {200: Published("edge", 2, "")}, released)


def test_writes_the_newest_version_and_reads_the_older(later: Codec) -> None:
    """An upgrade reads the whole log; what was not yet said has its default."""
    old = encode_fact(EDGE)

    assert (200).to_bytes(4) == later.encode(
        "edge", to_plain(EDGE) | {"reviewed": True}
    )[1:5]
    assert later.decode(old).record["reviewed"] is False


def test_reads_a_newer_writer_that_says_nothing_new(later: Codec) -> None:
    """A new field is no obstacle to an old reader that learned the schema."""
    data = later.encode("edge", to_plain(EDGE) | {"reviewed": True})
    codec = Codec(published())
    codec.learn(200, "edge", edge_schema_with("mirrors"))

    assert decode_fact(data, codec) == EDGE


def test_never_takes_a_symbol_that_it_does_not_know_for_another(later: Codec) -> None:
    """A relation of the future is an error that says what to do, not an edge."""
    mirrored = to_plain(EDGE) | {"reviewed": True, "relation": "mirrors"}
    data = later.encode("edge", mirrored)
    codec = Codec(published())
    codec.learn(200, "edge", edge_schema_with("mirrors"))

    with pytest.raises(SchemaError, match="upgrade it, and deny until then") as raised:
        decode_fact(data, codec)

    assert Fault.UNKNOWN_SYMBOL is code_of(raised)
    assert EDGE.relation is Relation.REQUIRES


def test_reads_with_the_ids_of_a_registry() -> None:
    """The fast reader knows a schema by the id that the codec was made with."""
    codec = Codec({number + 7000: of for number, of in published().items()})
    data = encode_fact(CAUSE, codec)

    assert codec.fact(data) == CAUSE == decode_fact(data, codec)
    assert bundled().fact(data) is None
    with pytest.raises(SchemaError) as raised:
        decode_fact(data)

    assert Fault.UNKNOWN_ID is code_of(raised)


def test_leaves_a_field_that_a_fact_does_not_have_to_the_generic_reader(
    later: Codec,
) -> None:
    """The fast reader says nothing of it, and raises nothing."""
    data = later.encode("edge", to_plain(EDGE) | {"reviewed": True})

    assert later.fact(data) is None
    assert later.fact(encode_fact(CAUSE, later)) == CAUSE


def test_forgets_the_fast_reader_of_an_id_that_is_learned_anew() -> None:
    """Bytes of another writer are never read with the old fields."""
    codec = Codec(published())
    data = encode_fact(EDGE, codec)
    assert codec.fact(data) == EDGE

    codec.learn(int.from_bytes(data[1:5]), "edge", edge_schema_with("mirrors"))

    assert codec.fact(data) is None


def test_refuses_to_learn_what_is_no_schema() -> None:
    """A registry that answers nonsense is told apart from a bad record."""
    bad_symbol = {"type": "enum", "name": "x", "symbols": ["a b"]}
    for nonsense in ({}, {"type": "nope"}, bad_symbol):
        with pytest.raises(SchemaError) as raised:
            Codec(published()).learn(200, "edge", nonsense)

        assert Fault.UNKNOWN_SCHEMA is code_of(raised)

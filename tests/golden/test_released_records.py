"""Records of every published schema are read by this version, and ours by the old ones.

Compatible schemas (tests/contract) are half of it; the bytes that lie in topics, and
the code that reads them, are the other.
"""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest

from agents_registry.facts import FACTS
from schemas.codec import HEADER, bundled, decode_fact, encode_fact, id_of, published
from tests.golden.released_samples import FILE, framed, sample, schema_of

pytestmark = pytest.mark.golden

RECORDED: dict[int, dict[str, str]] = {
    int(schema_id): of for schema_id, of in json.loads(FILE.read_text("utf-8")).items()
}
NEWEST = {of.name: (number, of.version) for number, of in published().items()}


def shared(record: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Give the fields of a record that another one has, too."""
    return {name: value for name, value in record.items() if name in other}


def test_each_published_schema_has_a_recorded_record() -> None:
    """Else: ``python -m tests.golden.released_samples``, once it has its id."""
    assert set(RECORDED) == set(published())


@pytest.mark.parametrize("schema_id", RECORDED)
def test_a_recorded_record_is_read(schema_id: int) -> None:
    """Each field that the writer knew comes out as it went in."""
    of = published()[schema_id]
    written = sample(schema_of(of.name, of.version))

    read = bundled().decode(bytes.fromhex(RECORDED[schema_id]["bytes"]))

    assert (read.name, read.schema_id) == (of.name, schema_id)
    assert shared(read.record, written) == shared(written, read.record)


@pytest.mark.parametrize(
    "schema_id", [number for number, of in published().items() if of.name in FACTS]
)
def test_a_recorded_fact_says_the_same(schema_id: int) -> None:
    """And is written again with the same bytes, so an id of a copy never changes."""
    body = bytes.fromhex(RECORDED[schema_id]["bytes"])

    fact = decode_fact(body)

    if NEWEST[fact.NAME][0] == schema_id:
        assert encode_fact(fact, bundled()) == body
    assert id_of(body) == schema_id


@pytest.mark.parametrize("schema_id", RECORDED)
def test_an_older_reader_reads_what_this_version_writes(schema_id: int) -> None:
    """As a role that is upgraded later does, once its registry gave it the schema."""
    of = published()[schema_id]
    newest_id, newest = NEWEST[of.name]
    writer, reader = schema_of(of.name, newest), schema_of(of.name, of.version)
    body = io.BytesIO(framed(newest_id, writer)[HEADER.size :])

    read = fastavro.schemaless_reader(
        body, fastavro.parse_schema(writer), fastavro.parse_schema(reader)
    )

    assert isinstance(read, dict)
    assert shared(sample(writer), read) == shared(read, sample(writer))


def test_a_record_that_changed_is_caught() -> None:
    """The samples are compared in full: one field that reads otherwise is found."""
    of = published()[1]
    written = sample(schema_of(of.name, of.version))
    body = bytearray(bytes.fromhex(RECORDED[1]["bytes"]))
    body[-1] ^= 1

    assert shared(bundled().decode(bytes(body)).record, written) != written

"""The conventions of the schema files, and that they say what the facts say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agents_registry.facts import FACTS, Effect, Fact, Reach, Relation
from schemas.codec import FOLDER, UNKNOWN, published
from streams.model.findings import FindingKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import Enum

pytestmark = pytest.mark.unit

FILES = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in sorted((FOLDER / "avro").glob("*.avsc"))
}
OTHERS = {
    "genesis", "heartbeat", "access", "receipt", "invalidation", "finding", "audit",
    "signal", "dead_letter", "source_state", "act", "access_lines", "scope_use",
}  # fmt: skip
TIMES = {
    "received_at", "issued_at", "expires_at", "at", "not_before", "occurred_at",
    "created_at", "sent_at", "cause_at", "first_seen", "last_seen", "lease",
    "received_from", "received_to", "until",
}  # fmt: skip
EVERY = pytest.mark.parametrize("name", FILES)


def types_in(schema: Any) -> Iterator[dict[str, Any]]:
    """Walk over each type of a schema that is written out as an object."""
    if isinstance(schema, list):
        for branch in schema:
            yield from types_in(branch)
    elif isinstance(schema, dict):
        yield schema
        for field in schema.get("fields", ()):
            yield from types_in(field["type"])
        yield from types_in(schema.get("items"))


def fields_in(schema: Any) -> Iterator[dict[str, Any]]:
    """Walk over every field of a schema's records, inner ones too."""
    for found in types_in(schema):
        yield from found.get("fields", ())


def enum_named(name: str, file: str) -> list[str]:
    """Give the symbols of one enum of a file."""
    found = next(t for t in types_in(FILES[file]) if t.get("name") == name)
    return [str(symbol) for symbol in found["symbols"]]


def test_has_one_file_per_kind_of_record() -> None:
    """Each fact kind and each other record of the log, and no more."""
    assert set(FACTS) | OTHERS == set(FILES)


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_has_exactly_the_fields_of_the_fact(fact: type[Fact]) -> None:
    """A field that is added to a fact and not to its file would be lost on Kafka."""
    fields = FILES[fact.NAME]["fields"]

    assert [a.name for a in attrs.fields(fact)] == [field["name"] for field in fields]


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_is_nullable_exactly_where_the_fact_may_be_none(fact: type[Fact]) -> None:
    """An unknown that the schema cannot say would stop the writer."""
    optional = {a.name for a in attrs.fields(fact) if "None" in str(a.type)}
    fields = FILES[fact.NAME]["fields"]
    nullable = {f["name"] for f in fields if f.get("default", 0) is None}

    assert optional == nullable


@pytest.mark.parametrize(
    ("enum", "name", "file"),
    [
        (Relation, "Relation", "edge"),
        (Relation, "Relation", "access"),
        (Effect, "Effect", "cause"),
        (Reach, "Reach", "cause"),
    ],
)
def test_has_a_symbol_for_each_member(enum: type[Enum], name: str, file: str) -> None:
    """Enums say what the core says, and unknown, which the core cannot say."""
    assert [UNKNOWN, *(member.value for member in enum)] == enum_named(name, file)


def test_has_a_symbol_for_each_kind_of_finding() -> None:
    """Kinds that come with later stages may stand in the schema before the code.

    A test of alerts goes to its receiver at once and is never a record.
    """
    kinds = {kind.value for kind in FindingKind} - {FindingKind.TEST.value}

    assert kinds <= set(enum_named("FindingKind", "finding"))


@EVERY
def test_lives_in_the_namespace_and_is_documented(name: str) -> None:
    """Names of version 1 of the product, and a sentence on everything."""
    schema = FILES[name]

    assert schema["namespace"] == "rescind.v1"
    for found in (*types_in(schema), *fields_in(schema)):
        if "name" in found:
            assert found["doc"].endswith(".")


@EVERY
def test_has_enums_with_a_default_and_unions_with_null_alone(name: str) -> None:
    """What every reader of another version needs to go on reading."""
    for found in types_in(FILES[name]):
        if found["type"] == "enum":
            assert UNKNOWN == found["default"] == found["symbols"][0]
    for field in fields_in(FILES[name]):
        if isinstance(field["type"], list):
            assert field["type"][0] == "null"
            assert len(field["type"]) == 2
            assert field["default"] is None


@EVERY
def test_keeps_times_in_longs(name: str) -> None:
    """Nanoseconds; a logical type would come back as a datetime and lose three."""
    for field in fields_in(FILES[name]):
        if field["name"] in TIMES:
            # A column holds the longs of all its lines.
            assert field["type"] in ("long", ["null", "long"], "bytes")
            assert "logicalType" not in field


def test_gives_each_published_version_one_id() -> None:
    """Every file of released/ has exactly one; none is taken from those before."""
    table = published()
    files = {
        (path.parent.name, int(path.stem))
        for path in (FOLDER / "released").glob("*/*.avsc")
    }

    assert sorted(files) == sorted((of.name, of.version) for of in table.values())
    assert set(range(1, 27)) <= set(table)
    for name in {of.name for of in table.values()}:
        versions = sorted(of.version for of in table.values() if of.name == name)
        assert list(range(1, len(versions) + 1)) == versions

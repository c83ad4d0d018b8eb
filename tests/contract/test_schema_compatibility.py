"""FULL_TRANSITIVE: every version reads every other, in both directions.

`facts` is compacted, never ends, and is read by guards of any age, so a schema may
only gain or lose fields that have a default, and enum symbols.
"""

from __future__ import annotations

import hashlib
import json
from itertools import combinations
from typing import TYPE_CHECKING, Any

import avro.schema
import pytest
from avro.compatibility import (
    ReaderWriterCompatibilityChecker,
    SchemaCompatibilityType,
)

from schemas.codec import FOLDER, published

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.contract

WORKING = sorted((FOLDER / "avro").glob("*.avsc"))
RELEASED = FOLDER / "released"


def read(path: Path) -> dict[str, Any]:
    """Read a schema file."""
    schema: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return schema


def versions(name: str) -> list[Path]:
    """Give the published files of a name, oldest first."""
    return sorted((RELEASED / name).glob("*.avsc"), key=lambda path: int(path.stem))


def conflicts(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """Give what keeps either from reading the other; empty when compatible."""
    found: set[str] = set()
    for reader, writer in ((one, other), (other, one)):
        checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
        result = checker.get_compatibility(
            avro.schema.make_avsc_object(reader), avro.schema.make_avsc_object(writer)
        )
        if result.compatibility is not SchemaCompatibilityType.compatible:
            found |= result.messages
    return found


@pytest.mark.parametrize("path", WORKING, ids=lambda path: path.stem)
def test_reads_and_is_read_by_every_published_version(path: Path) -> None:
    """The file that we work on against all of released/, both ways."""
    assert versions(path.stem)
    for version in versions(path.stem):
        assert not conflicts(read(path), read(version))


@pytest.mark.parametrize("path", WORKING, ids=lambda path: path.stem)
def test_published_versions_read_each_other(path: Path) -> None:
    """Transitive: compatible with the last version alone is not enough."""
    for one, other in combinations(versions(path.stem), 2):
        assert not conflicts(read(one), read(other))


@pytest.mark.parametrize("path", WORKING, ids=lambda path: path.stem)
def test_a_change_is_published_before_it_is_used(path: Path) -> None:
    """The codec writes what was published, so a changed file needs a new version.

    To publish: copy it to released/<name>/<next>.avsc and give that an id, with the
    file's SHA-256, in ids.json.
    """
    assert read(path) == read(versions(path.stem)[-1])


@pytest.mark.parametrize("of", published().values(), ids=lambda of: f"{of[0]}-{of[1]}")
def test_a_published_version_never_changes(of: tuple[str, int, str]) -> None:
    """Its id stands in front of bytes that were written years ago."""
    name, version, sha256 = of

    content = (RELEASED / name / f"{version}.avsc").read_bytes()

    assert sha256 == hashlib.sha256(content).hexdigest()


def field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """Give one field of a schema."""
    found: dict[str, Any] = next(f for f in schema["fields"] if f["name"] == name)
    return found


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    """Make the change that removes a field."""
    return lambda schema: schema["fields"].remove(field(schema, name))


def add(**new: Any) -> Callable[[dict[str, Any]], None]:
    """Make the change that adds a field."""
    return lambda schema: schema["fields"].append(new)


def retype(name: str, new: Any) -> Callable[[dict[str, Any]], None]:
    """Make the change that gives a field another type."""
    return lambda schema: field(schema, name).update(type=new)


def without_default(schema: dict[str, Any]) -> None:
    """Take the enum's default away and a symbol with it."""
    effect = field(schema, "effect")["type"]
    del effect["default"]
    effect["symbols"].remove("narrow")


BAD = {
    "a field without default is added": add(name="why", type="string"),
    "a field without default is dropped": drop("target"),
    "a type changes": retype("at", "string"),
    "a type widens one way only": retype("at", "double"),
    "a null is no longer allowed": retype("device", "string"),
    "an enum without default loses a symbol": without_default,
    "the record is renamed": lambda schema: schema.update(name="Reason"),
}
GOOD = {
    "a field with default is added": add(
        name="why", type=["null", "string"], default=None
    ),
    "a field with default is dropped": drop("device"),
    "a symbol is added": lambda schema: field(schema, "effect")["type"][
        "symbols"
    ].append("pause"),
    "a doc is reworded": lambda schema: schema.update(doc="Another sentence."),
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_an_incompatible_change_is_caught(
    change: Callable[[dict[str, Any]], object],
) -> None:
    """The check of this file can fail."""
    schema = read(FOLDER / "avro" / "cause.avsc")
    change(schema)

    assert conflicts(schema, read(RELEASED / "cause" / "1.avsc"))


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
def test_a_compatible_change_passes(
    change: Callable[[dict[str, Any]], object],
) -> None:
    """It does not fail on what the rules allow."""
    schema = read(FOLDER / "avro" / "cause.avsc")
    change(schema)

    assert not conflicts(schema, read(RELEASED / "cause" / "1.avsc"))

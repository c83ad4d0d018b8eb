"""Golden vectors of fact keys: a compacted log outlives every release.

A change of one byte in `canonical` would make each redelivery a new fact, so the
canonical bytes, the ids and the keys of ``fact_keys.json`` never change. Cases are
added, never edited.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from agents_registry.facts import (
    FACTS,
    canonical,
    copy_key,
    fact_id,
    fact_key,
    from_plain,
    to_plain,
)

pytestmark = pytest.mark.golden

VECTORS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("fact_keys.json").read_text("utf-8")
)
EVERY = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])


@EVERY
def test_keeps_the_canonical_bytes(vector: dict[str, Any]) -> None:
    """Meaning alone, keys sorted, ASCII, no spaces."""
    fact = from_plain(vector["fact"])

    assert vector["canonical"].encode() == canonical(fact)


@EVERY
def test_keeps_the_id_and_the_keys(vector: dict[str, Any]) -> None:
    """The id is the SHA-256 of the canonical bytes; the keys tell copies apart."""
    fact = from_plain(vector["fact"])

    assert vector["id"] == hashlib.sha256(vector["canonical"].encode()).hexdigest()
    assert vector["id"] == fact_id(fact).hex()
    assert vector["key"] == fact_key(vector["realm"], fact)
    assert vector["copy_key"] == copy_key(vector["realm"], fact)


@EVERY
def test_survives_the_plain_form(vector: dict[str, Any]) -> None:
    """The vectors hold every field, and nothing is normalised away."""
    assert vector["fact"] == to_plain(from_plain(vector["fact"]))


def test_has_one_id_for_one_meaning() -> None:
    """Copies share the id of the case that they name; no two other cases do."""
    meanings = {v["name"]: v["same_id_as"] or v["name"] for v in VECTORS}

    ids = {(meanings[v["name"]], v["id"]) for v in VECTORS}

    assert len(set(meanings.values())) == len(ids) == len({of for _, of in ids})


def test_has_a_vector_for_each_kind() -> None:
    """A new kind of fact gets its vectors when it is made."""
    assert set(FACTS) == {vector["fact"]["fact"] for vector in VECTORS}

"""Bounds on what a request's JSON may hold before anybody looks at it."""

from __future__ import annotations

import json
import pickle
from typing import Any

import orjson
import pytest

from streams.engines.embedded.reader_process import PIECE_BYTES, pieces
from streams.model import documents
from streams.model.documents import (
    Declarations,
    DocumentError,
    Opened,
    crowded,
    object_of,
)
from streams.sources.entra import graph as entra_graph

ENTRY = {"identifier": "vault.accessor:a1", "parents": ["vault.accessor:a0"]}
SECRET = "ghp_" + "abcdef" * 6


def read(document: Any) -> tuple[Opened, list[Any]]:
    """Give what the reader makes of a document."""
    opened, *entries = Declarations().records(json.dumps(document).encode())
    return opened, entries


def test_a_list_is_given_entry_by_entry_behind_what_stands_around_it() -> None:
    """The entries follow as they came."""
    opened, entries = read({"authority": "vault", "credentials": [ENTRY, ENTRY]})

    assert Opened({"authority": "vault"}) == opened
    assert [ENTRY, ENTRY] == entries


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], "not an object"),
        ({"credentials": {}}, "a list of objects"),
        ({}, "a list of objects"),
        ({"credentials": [ENTRY, 7]}, "entry 2: an entry is an object"),
        ({"credentials": [ENTRY | {"scope": ["x" * 70_000]}]}, "entry 1: it has more"),
        ({"credentials": [{}] * 50_001}, "are 50001; a request takes 50000"),
        ({"credentials": [{"identifier": SECRET}]}, "a secret stands"),
    ],
)
def test_a_list_that_cannot_be_used_gives_its_fault_and_no_entry(
    document: Any, fault: str
) -> None:
    """So what is handed over after a fault is always the same little."""
    opened, entries = read(document)

    assert fault in opened.fault
    assert SECRET not in opened.fault
    assert ([], {}) == (entries, opened.members)


def test_what_is_not_json_is_a_fault() -> None:
    """It is no error of the process that reads it."""
    (opened,) = Declarations().records(b'{"credentials": [')

    assert "not JSON" in opened.fault
    with pytest.raises(DocumentError, match="not JSON"):
        object_of(b"{")


def test_values_are_counted_and_not_bytes() -> None:
    """A long text is one value; many empty objects are many."""
    assert not crowded(orjson.dumps({"text": "x" * 1_000_000}))
    assert not crowded(orjson.dumps([0] * documents.MOST_VALUES))
    assert crowded(orjson.dumps([{}] * documents.MOST_VALUES))
    assert crowded(b"[" * (documents.MOST_VALUES + 1))


def test_records_are_handed_over_in_pieces_of_a_size() -> None:
    """One above it comes alone."""
    small: list[Any] = [{"n": "x" * 100}] * 50
    large: list[Any] = [{"n": "x" * PIECE_BYTES}]
    given = small + large + small
    made = [*pieces(given)]
    taken = [pickle.loads(each) for each in made]  # noqa: S301 - made here

    assert given == [one for each in taken for one in each]
    assert all(
        len(p) <= PIECE_BYTES or len(t) == 1 for p, t in zip(made, taken, strict=True)
    )
    assert 1 < len(made) < 20


@pytest.mark.parametrize(
    "body",
    [b"x\n" * 1_000, b"[" * 1_000, b'{"value":[' + b"{}," * 20_000 + b"{}]}"],
    ids=["lines", "open", "many"],
)
def test_a_body_without_proof_is_not_searched_for_notifications(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may have sent it: that search is dear where a body is broken."""
    monkeypatch.setattr(entra_graph, "events", None)

    assert not entra_graph.authentic("secret", body)

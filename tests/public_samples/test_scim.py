"""The public SCIM collection gives the right answers of its README."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from streams.model.records import DeadLetter, Lifecycle, Record
from streams.sources.scim.scim import ScimRequest, records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.public_samples


@pytest.fixture(scope="module")
def requests(public_samples: Path) -> list[ScimRequest]:
    """Give the requests of the collection in its order."""
    text = (public_samples / "scim/PostmanCollection.json").read_text(
        encoding="utf-8-sig"
    )
    return list(walk(json.loads(text)))


def walk(item: dict[str, Any]) -> Iterator[ScimRequest]:
    """Find the requests in the nested folders."""
    if "request" in item:
        asked = item["request"]
        url = asked["url"]
        body = (asked.get("body") or {}).get("raw", "")
        path = url if isinstance(url, str) else url["raw"]
        yield ScimRequest(asked["method"], path, body.encode())
    for inner in item.get("item", ()):
        yield from walk(inner)


def read(requests: list[ScimRequest]) -> list[tuple[str, Record]]:
    """Give method and record of all that the requests change."""
    return [(one.method, each) for one in requests for each in records(one)]


def test_four_deactivations(requests: list[ScimRequest]) -> None:
    """One PATCH and three PUT, one of them without userName."""
    assert 79 == len(requests)
    suspended = [
        (method, record)
        for method, record in read(requests)
        if isinstance(record, Lifecycle) and record.effect == "suspend"
    ]
    assert {"PATCH": 1, "PUT": 3} == Counter(method for method, _ in suspended)
    assert [("scim.user", "{{1stuserid}}")] * 4 == [
        record.identifiers[0] for _, record in suspended
    ]


def test_deletions(requests: list[ScimRequest]) -> None:
    """11 users and 4 groups."""
    kinds = Counter(
        record.identifiers[0].kind
        for _, record in read(requests)
        if isinstance(record, Lifecycle) and record.effect == "delete_subject"
    )
    assert {"scim.user": 11, "scim.group": 4} == kinds


def test_creations_and_the_one_bad_body(requests: list[ScimRequest]) -> None:
    """20 POST: 19 issues, "True" among them as a text, and junk."""
    found = read(requests)
    effects = Counter(r.effect for _, r in found if isinstance(r, Lifecycle))
    letters = [(m, r) for m, r in found if isinstance(r, DeadLetter)]

    assert 19 == effects["issue"]
    assert ["POST"] == [method for method, _ in letters]
    assert letters[0][1].reason.startswith("malformed")

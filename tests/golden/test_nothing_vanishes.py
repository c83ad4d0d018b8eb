"""What a reader took in leaves a trace: a record, a dead letter, or a count by type.

Each event of each sample is read alone, as it is and with one of its members gone or of
another type: a log that somebody's exporter cut, or a version that writes less. What
is known to have no effect is counted, so a person can see what was passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from streams.sources.mapped.generic import Generic
from streams.sources.mapped.mapping import load_mapping
from streams.sources.okta.okta import Okta
from streams.sources.reading.envelope import Event, events
from streams.sources.scim.scim import ScimRequest
from streams.sources.scim.scim import records as scim_records
from streams.sources.stream import open_stream
from tests.golden.answers import ANSWERS, SAMPLES, reader, requests

pytestmark = pytest.mark.golden

ROOT: Final = Path(__file__).parents[2]
RECORDINGS: Final = {
    "kubernetes": [ROOT / "tests/recordings/kubernetes/batches.jsonl"],
    "openbao": [ROOT / "examples/openbao/audit.log"],
}
SOURCES: Final = sorted(
    {one["source"] for one in ANSWERS.values()} - {"scim"} | {"keycloak", "openbao"}
)
MAPPINGS: Final = sorted(ROOT.glob("examples/mappings/*.yaml"))
GONE: Final = object()
MOST: Final = 40  # events of one shape are read once, and so many shapes


def bodies(name: str) -> list[dict[str, Any]]:
    """Give events of a source, one of each shape."""
    files = RECORDINGS.get(name, []) + [
        SAMPLES / file for file, one in ANSWERS.items() if one["source"] == name
    ]
    found = [
        item.body
        for file in files
        for item in events(file.read_bytes(), name)
        if isinstance(item, Event)
    ]
    if name == "keycloak":
        found += keycloak_events()
    shapes = {str(list(paths(one))) + kind_of(one): one for one in found}
    return list(shapes.values())[:MOST]


def keycloak_events() -> list[dict[str, Any]]:
    """Give the user and admin events that a real server's API answered with."""
    file = ROOT / "tests/recordings/keycloak/recording.json"
    steps = json.loads(file.read_text(encoding="utf-8"))["steps"]
    return [
        one
        for step in steps
        for kind in ("events", "admin_events")
        for one in step.get(kind, ())
    ]


def kind_of(body: dict[str, Any]) -> str:
    """Give what tells the types of a dialect apart."""
    names = ("type", "eventName", "eventType", "action", "activityDisplayName")
    return "|".join(str(body.get(one)) for one in names)


def paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the path of each member, and of the first of each list."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = list(enumerate(value))[:1]
    for name, member in inner:
        yield (*above, name)
        yield from paths(member, (*above, name))


def changed(body: dict[str, Any], path: tuple[Any, ...], to: object) -> dict[str, Any]:
    """Give an event with one member gone, or of another value."""
    copy = deepcopy(body)
    inner: Any = copy
    for step in path[:-1]:
        inner = inner[step]
    if to is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return copy


def leaves_a_trace(source: Any, body: dict[str, Any]) -> bool:
    """Tell whether an event alone gives a record, a dead letter or a count."""
    stream = open_stream(source)
    found = [*stream.feed(orjson.dumps(body)), *stream.close()]
    return bool(found or stream.unknown.total() or not stream.read)


@pytest.mark.parametrize("name", SOURCES)
def test_no_event_of_a_sample_vanishes(name: str) -> None:
    """And none of which a member is gone, or is an object where it was a text."""
    whole = bodies(name)
    assert whole
    lost = [one for one in whole if not leaves_a_trace(reader(name), one)]
    assert [] == lost

    vanished = {
        ".".join(map(str, path))
        for body in whole
        for path in paths(body)
        for to in (GONE, {})
        if not leaves_a_trace(reader(name), changed(body, path, to))
    }
    assert set() == vanished


def test_a_reader_that_forgets_to_count_is_caught() -> None:
    """The sample has an event that is nothing but counted."""

    class Forgetful(Okta):
        def _count(self, event_type: str) -> None:
            del event_type

    event = {"eventType": "user.session.start", "published": "2026-05-04T08:00:00Z"}
    assert leaves_a_trace(Okta(), event)
    assert not leaves_a_trace(Forgetful(), event)


@pytest.mark.parametrize("file", MAPPINGS, ids=lambda file: file.stem)
def test_no_line_of_a_mapped_log_vanishes(file: Path) -> None:
    """Of the shipped mappings, on the lines that lie beside them."""
    mapping = load_mapping(file.read_text(encoding="utf-8"), file.name)
    lines = file.with_suffix(".ndjson").read_bytes().splitlines()
    vanished = {
        ".".join(map(str, path))
        for line in lines
        for path in [(), *paths(orjson.loads(line))]
        for to in (GONE, {})
        if not leaves_a_trace(
            Generic(mapping),
            changed(orjson.loads(line), path, to) if path else orjson.loads(line),
        )
    }
    assert set() == vanished


def test_no_changing_request_of_a_directory_vanishes() -> None:
    """A request whose path names no user, agent or group is a dead letter."""
    asked = requests("scim/requests.jsonl")
    changing = [one for one in asked if one.method.upper() not in ("GET", "HEAD")]
    assert len(changing) > 10
    assert [] == [one for one in changing if not scim_records(one)]
    bulk = (
        b'{"Operations":[{"method":"DELETE","path":"/Devices/1"},'
        b'{"method":"PATCH","path":"/Users/2"},{"method":"BREW","path":"/Users/3"}]}'
    )
    assert 3 == len(scim_records(ScimRequest("POST", "/scim/v2/Bulk", bulk)))

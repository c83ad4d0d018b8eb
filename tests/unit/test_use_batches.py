"""Uses that are read in batches are those that are read one by one."""

from __future__ import annotations

import json
import re
from random import Random
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from streams.model.keyed_names import LEAST_BYTES
from streams.model.records import Access, Record
from streams.model.use_batch import UseBatch
from streams.services.hunt import Hunt
from streams.services.hunt_excerpts import places
from streams.services.hunt_processes import LogChoice, LogShare, read_alone
from streams.services.log_blocks import FilePart
from streams.services.secret_names import SecretNames
from streams.sources.aws.cloudtrail import CloudTrail
from streams.sources.catalogue import source as make_source
from streams.sources.reading import event_batches
from streams.sources.stream import open_stream
from tests.generators.cloudtrail import generate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.unit

PEPPER = bytes(LEAST_BYTES)
SECRET = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
FIELDS = (
    "eventSource", "eventName", "recipientAccountId", "eventID", "eventTime",
    "userIdentity", "sourceIPAddress", "userAgent", "errorCode", "errorMessage",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, "", "x", 7, True, [], {}, ["x"], SECRET, "AccessDenied",
    "2026-01-01T00:00:60Z", "2026-01-01T00:00:07.5Z", " 2026-01-01T00:00Z",
    "2026-13-01T00:00:07Z", "1900-01-01T00:00:00Z", 1767225600,
    {"type": "AWSService", "invokedBy": "s3.amazonaws.com"},
    {"type": "IAMUser", "accessKeyId": 5}, {"type": "IAMUser", "accessKeyId": ["A"]},
    {"type": "IAMUser", "accountId": "1", "userName": "ann"},
)  # fmt: skip
EVENT: dict[str, Any] = generate(Random(9), 40).events[-1]
CARRIED = (
    orjson.dumps({"Records": [EVENT]}),
    orjson.dumps({"detail": EVENT, "detail-type": 1}),
    orjson.dumps({"log": orjson.dumps(EVENT).decode(), "stream": "stdout"}),
    b'{"digestStartTime": "x", "eventName": "y"}',
)  # fmt: skip
BETWEEN = (
    *CARRIED, b"", b"\r", b"{torn", b"[1, 2]", b"7", b"\0\0{}", b'{"a": [{"b": 1}',
    b'{"c": 2}]}',
)  # fmt: skip


def changed(random: Random, event: dict[str, Any]) -> dict[str, Any]:
    """Make an event that is wrong in a few fields, or as it was."""
    made = dict(event)
    for field in random.sample(FIELDS, random.choice((0, 0, 0, 1, 1, 2))):
        match random.randrange(4):
            case 0:
                made.pop(field, None)
            case 1 if isinstance(made.get(field), dict):
                made[field] = made[field] | {"type": random.choice(VALUES)}
            case 2 if field == "errorCode":
                made["errorCode"] = random.choice(("AccessDenied", "ExpiredToken"))
                made["errorMessage"] = "with an explicit deny"
            case _:
                made[field] = random.choice(VALUES)
    if not random.randrange(30):
        made["digestStartTime"] = "x"
    return made


def spaced(event: dict[str, Any]) -> bytes:
    """Write an event as Python does."""
    return json.dumps(event).encode()


def log_of(seed: int) -> bytes:
    """Write a world with wrong events, repeats, and lines that are no events."""
    random = Random(seed)
    events = generate(Random(seed), 300).events
    events += random.sample(events, 40)
    written = orjson.dumps if seed < 2 else spaced  # these cannot be cut in pieces
    lines = [written(changed(random, event)) for event in events]
    for _ in range(random.choice((0, 3, 20))):
        between = BETWEEN if seed % 2 else CARRIED  # all are JSON
        lines.insert(random.randrange(len(lines)), random.choice(between))
    return b"\n".join(lines) + random.choice((b"", b"\n", b"\n\n"))


def flat(items: Any) -> list[Record]:
    """Put the records of batches where their events stand."""
    found: list[Record] = []
    for item in items:
        batch = isinstance(item, UseBatch)
        found += item.records() if batch else [item]
    return sorted(found, key=lambda record: record.offset)


@pytest.fixture(params=[1, 3_000, event_batches.WINDOW])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Lines of so many bytes are a batch."""
    monkeypatch.setattr(event_batches, "WINDOW", request.param)
    size: int = request.param
    return size


@pytest.mark.parametrize("seed", range(4))
def test_batches_say_what_the_single_records_say(seed: int, window: int) -> None:
    """Every field, dead letter and count, of events that are wrong anywhere."""
    log, together, alone = log_of(seed), CloudTrail(), CloudTrail()
    items = list(together.batches(log))

    assert sorted(alone.records(log), key=lambda one: one.offset) == flat(items)
    assert (alone.read, alone.unknown) == (together.read, together.unknown)
    rows = sum(len(item.callers) for item in items if isinstance(item, UseBatch))
    assert window > 3_000 or 100 < rows  # one line that is none costs a batch


@pytest.mark.parametrize("name", ["cloudtrail", "kubernetes", "openbao"])
def test_every_stream_gives_batches_at_its_place(name: str) -> None:
    """Of a source that gives none the records; offsets count from the base."""
    log = log_of(1)
    single, batched = (open_stream(make_source(name)) for _ in range(2))

    right = sorted(single.feed(log, 1000), key=lambda record: record.offset)
    assert right == flat(batched.batches(log, 1000))
    assert (single.read, single.unknown) == (batched.read, batched.unknown)


@pytest.mark.parametrize("seed", range(4))
def test_a_hunt_in_batches_finds_what_one_of_records_finds(
    seed: int, tmp_path: Path
) -> None:
    """Repeats and conflicts too, and what holds a secret is named by its hash."""
    file = tmp_path / "log"
    file.write_bytes(log_of(seed))
    choice = LogChoice("cloudtrail", None, [file], PEPPER)
    batched, single = Hunt(), Hunt()
    tally = read_alone([file], choice, batched, None)
    conceal = SecretNames((PEPPER,)).conceal
    source = CloudTrail()
    for record in source.records(file.read_bytes()):
        single.add(conceal(record))

    assert single.report() == batched.report()
    assert single.counts.duplicate
    assert source.read == tally.read
    assert SECRET not in repr(batched.report())


HOLDING: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "id": lambda event: event | {"eventID": SECRET},
    "call": lambda event: event | {"eventName": SECRET},
    "point": lambda event: event | {"recipientAccountId": SECRET},
    "reason": lambda event: event | {"errorCode": SECRET},
    "caller": lambda event: (
        event | {"userIdentity": event["userIdentity"] | {"accessKeyId": SECRET}}
    ),
    "owner": lambda event: (
        event | {"userIdentity": event["userIdentity"] | {"userName": SECRET}}
    ),
}


@pytest.mark.parametrize("place", HOLDING)
def test_no_excerpt_of_a_batch_holds_a_secret(place: str, tmp_path: Path) -> None:
    """Wherever it stands; what was read before one by one is a repeat."""
    events = [
        event for event in generate(Random(3), 60, quiet=True).events
        if event["eventName"] == "GetObject"
    ]  # fmt: skip
    half = len(events) // 2
    events = [*events[:half], *map(HOLDING[place], events), *events[half:]]
    lines, document = tmp_path / "lines", tmp_path / "document"
    lines.write_bytes(b"\n".join(map(orjson.dumps, events)))
    document.write_bytes(orjson.dumps({"Records": events}))
    share = LogShare(LogChoice("cloudtrail", None, [lines, document], PEPPER))
    parts = map(FilePart, (lines, document))
    excerpts = [excerpt for part in parts for excerpt in share.read(part)]

    assert SECRET not in repr(excerpts)
    assert not any(SECRET.encode() in excerpt.event_ids for excerpt in excerpts)
    hunt, here = Hunt(), places()
    for record in map(
        SecretNames((PEPPER,)).conceal, CloudTrail().records(lines.read_bytes())
    ):
        hunt.add(record)
    for excerpt in excerpts:
        hunt.merge(excerpt, here)
    counts = hunt.report().counts
    assert (len(events), 2 * len(events)) == (counts.access, counts.duplicate)


def test_a_refused_use_hides_no_lineage_of_the_next_one(tmp_path: Path) -> None:
    """Both are of one new credential, in one batch."""
    use = next(
        event for event in generate(Random(3), 60, quiet=True).events
        if event["eventName"] == "GetObject"
    )  # fmt: skip
    ann = {"type": "IAMUser", "arn": "arn:aws:iam::1:user/ann", "accessKeyId": "AKIA1"}
    events = [
        use,
        use | {"eventID": "a", "userIdentity": ann, "errorCode": "ExpiredToken"},
        use | {"eventID": "b", "userIdentity": ann},
        use | {"eventID": "c", "userIdentity": ann},
    ]
    file = tmp_path / "log"
    file.write_bytes(b"\n".join(map(orjson.dumps, events)))
    share = LogShare(LogChoice("cloudtrail", None, [file], PEPPER))
    excerpts = list(share.read(FilePart(file)))

    said = [record for excerpt in excerpts for record in excerpt.said]
    (stated,) = [each for each in said if each.identifiers[0].value == "AKIA1"]
    assert "arn:aws:iam::1:user/ann" == stated.parents[0].value


@pytest.mark.parametrize("written", [orjson.dumps, spaced])
def test_one_key_may_be_of_several_callers(
    written: Callable[[dict[str, Any]], bytes],
) -> None:
    """Each line says whose it is, though its key came before."""
    ann = {"type": "IAMUser", "accessKeyId": "AKIA1", "arn": "arn:aws:iam::1:user/ann"}
    bob = ann | {"arn": "arn:aws:iam::1:user/bob"}
    events = [EVENT | {"userIdentity": each} for each in (ann, bob, ann, bob)]
    log = b"\n".join(map(written, events))

    assert list(CloudTrail().records(log)) == flat(CloudTrail().batches(log))


def test_a_batch_is_read_where_lines_are_plain() -> None:
    """One wrong line costs its own batch alone, and no event."""
    line = orjson.dumps({"eventSource": "s3.amazonaws.com", "eventName": "x"})
    log = b"\n".join([line] * 9_000 + [b"{torn"] + [line] * 9_000)
    looked = Left()
    items = list(event_batches.event_batches(log, "cloudtrail", looked.look))
    batches = [i for i in items if isinstance(i, event_batches.EventBatch)]
    events = sum(len(batch.bodies) for batch in batches)

    assert 10_000 < events < 18_000
    assert 18_001 == events + len(items) - len(batches)
    for batch in batches:
        place = len(batch.bodies) - 1
        offset, length, body = batch.event(place)
        assert orjson.loads(log[offset : offset + length]) == body


class Left:
    """Leaves all lines."""

    left: range

    def look(self, lines: list[bytes]) -> Left:
        """Know nothing of some lines."""
        looked = Left()
        looked.left = range(len(lines))
        return looked


def test_the_fields_of_a_use_are_all_in_a_batch() -> None:
    """A field that CloudTrail gives one day must not be lost in batches."""
    named = re.findall(r"\w+", "scope expires_at ties applied")
    log = log_of(2)
    for record in CloudTrail().records(log):
        if isinstance(record, Access):
            assert not any(getattr(record, name) for name in named)

"""What clouds put around events: CloudWatch Logs, Pub/Sub, Firehose, gzip."""

from __future__ import annotations

import gzip
from base64 import b64encode
from typing import Any

import orjson
import pytest

from streams.model.records import DeadLetter
from streams.sources.aws import firehose
from streams.sources.aws.firehose import NotFirehoseError
from streams.sources.guess import guess_bytes
from streams.sources.reading.envelope import Event, events
from streams.sources.reading.packed import UnpackError, unpacked

pytestmark = pytest.mark.unit


def bodies(made: Any) -> list[dict[str, Any]]:
    """Give the events of an input."""
    data = made if isinstance(made, bytes) else orjson.dumps(made)
    return [one.body for one in events(data, "s") if isinstance(one, Event)]


def letters(made: Any) -> list[str]:
    """Give the reasons of the dead letters of an input."""
    return [
        one.reason.split(":")[0]
        for one in events(orjson.dumps(made), "s")
        if isinstance(one, DeadLetter)
    ]


def subscribed(*messages: Any, kind: str = "DATA_MESSAGE") -> dict[str, Any]:
    """Make an envelope of CloudWatch Logs."""
    return {
        "messageType": kind, "owner": "1", "logGroup": "g", "logStream": "s",
        "logEvents": [{"id": "1", "timestamp": 1, "message": m} for m in messages],
    }  # fmt: skip


def test_cloudwatch_logs_carry_events_as_text() -> None:
    """Alone, by lines, as a document over lines; a check has none."""
    one = subscribed('{"a":1}', '{"b":2}')
    both = [{"a": 1}, {"b": 2}]
    assert both == bodies(one)
    assert both * 2 == bodies(b"\n".join([orjson.dumps(one)] * 2))
    assert both == bodies(orjson.dumps(one, option=orjson.OPT_INDENT_2))
    check = subscribed("CWL CONTROL MESSAGE", kind="CONTROL_MESSAGE")
    assert [] == bodies(check)
    assert [] == letters(check)


def test_a_line_of_another_log_is_a_dead_letter_beside_the_events() -> None:
    """The control plane's other streams are text."""
    made = subscribed('{"a":1}', "I0101 apiserver started", "7")
    assert [{"a": 1}] == bodies(made)
    assert ["not_an_object"] * 2 == letters(made)
    assert ["not_an_object"] == letters(
        {"messageType": "DATA_MESSAGE", "logEvents": [7]}
    )


def test_a_log_with_a_message_is_not_unwrapped() -> None:
    """Those names are common: only the whole envelope says whose they are."""
    for made in (
        {"id": "1", "timestamp": 1, "message": '{"a":1}'},
        {"logEvents": [{"message": '{"a":1}'}]},
        {"message": {"data": "x"}},
    ):
        assert [made] == bodies(made)


def pushed(data: Any) -> dict[str, Any]:
    """Make what Pub/Sub pushes."""
    return {"message": {"data": data, "messageId": "1"}, "subscription": "s"}


def test_pub_sub_carries_one_event_in_base64() -> None:
    """What is no event is a dead letter; a message without data is left as it is."""
    assert [{"a": 1}] == bodies(pushed(b64encode(b'{"a":1}').decode()))
    for data in (b64encode(b"text").decode(), "%%", b64encode(b"\xff").decode()):
        assert ["not_an_object"] == letters(pushed(data))
    assert [pushed(None)] == bodies(pushed(None))


def delivered(*records: bytes) -> bytes:
    """Make a delivery of Firehose."""
    data = [{"data": b64encode(one).decode()} for one in records]
    return orjson.dumps({"requestId": "r", "records": data})


def test_firehose_carries_lines_and_compressed_records() -> None:
    """Each kind of record gives its events, in order."""
    packed = gzip.compress(orjson.dumps(subscribed('{"a":1}')))
    found = firehose.lines(delivered(packed, b'{"b":2}\n{"c":3}\n', b"", b'{"d":4}'))
    assert [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}] == bodies(found)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b"{}", b'{"records":[7]}', b'{"records":[{}]}',
     b'{"records":{"data":"e30="}}', b'{"records":[{"data":"%"}]}',
     b'{"records":[{"data":null}]}'],
)  # fmt: skip
def test_anything_else_is_no_delivery(body: bytes) -> None:
    """And nothing else is raised."""
    with pytest.raises(NotFirehoseError):
        firehose.lines(body)


def test_what_is_packed_is_unpacked_up_to_a_bound() -> None:
    """All members; plain bytes as they are; neither more than was allowed."""
    two = gzip.compress(b"one") + gzip.compress(b"two")
    assert b"onetwo" == unpacked(two, 6)
    assert b"plain" == unpacked(b"plain", 5)
    bomb = gzip.compress(b"x" * 10_000_000)
    for data, why in (
        (two, "too_large"), (bomb, "too_large"), (b"plain", "too_large"),
        (gzip.compress(b"one")[:-4], "truncated_gzip"),
        (gzip.compress(b"one") + b"tail", "damaged_gzip"),
        (b"\x1f\x8bnonsense", "damaged_gzip"), (b"\x1f\x8b", "truncated_gzip"),
    ):  # fmt: skip
        with pytest.raises(UnpackError, match=why):
            unpacked(data, 4)


def test_the_records_of_a_delivery_share_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many small records cannot grow without end."""
    monkeypatch.setattr(firehose, "MOST", 10)
    assert b"12345\n67890" == firehose.lines(delivered(b"12345", b"67890"))
    with pytest.raises(UnpackError):
        firehose.lines(delivered(b"12345", b"67890", b"1"))


def test_a_container_runtime_writes_lines_and_objects() -> None:
    """CRI puts time and stream before each line, json-file puts the line into one."""
    event = {"eventName": "X", "eventSource": "y"}
    said = orjson.dumps(event)
    cri = b"2026-09-05T10:00:00.123456789Z stdout F " + said
    kept = orjson.dumps({"log": f"{said.decode()}\n", "stream": "stdout", "time": "t"})
    banner = orjson.dumps({"log": "Starting\n", "stream": "stdout", "time": "t"})

    items = list(events(b"\n".join([cri, kept, banner]), ""))
    bodies = [one.body for one in items if isinstance(one, Event)]
    assert [event, event, orjson.loads(banner)] == bodies
    assert "cloudtrail" == guess_bytes(cri)


def test_the_journal_keeps_lines_in_messages() -> None:
    """As ``journalctl -o json`` prints them; another line stays as it came."""
    event = {"eventName": "X", "eventSource": "y"}
    entry = {"__REALTIME_TIMESTAMP": "1", "_COMM": "vault"}
    said = orjson.dumps(entry | {"MESSAGE": orjson.dumps(event).decode()})
    banner = entry | {"MESSAGE": "core: unsealed"}
    binary = entry | {"MESSAGE": [123, 125]}

    lines = [said, orjson.dumps(banner), orjson.dumps(binary)]
    items = list(events(b"\n".join(lines), ""))
    bodies = [one.body for one in items if isinstance(one, Event)]
    assert [event, banner, binary] == bodies
    assert "cloudtrail" == guess_bytes(said)


@pytest.mark.parametrize(
    "before",
    [
        b"Nov 28 22:00:01 vault-0 vault[4711]: ",
        b"<134>Nov  8 22:00:01 vault-0 vault[4711]: ",
        b"<134>1 2026-11-28T22:00:01.123Z vault-0 vault 4711 - - ",
        b"2026-11-28T22:00:01+01:00 vault-0 vault[4711]: ",
    ],
)
def test_syslog_puts_its_header_before_each_event(before: bytes) -> None:
    """As files of rsyslog have them; a line without an event stays a dead letter."""
    event = {"type": "response", "request": {"id": "1"}}
    lines = before + orjson.dumps(event), before + b"core: unsealed {a}", b""
    one, other = events(b"\n".join(lines), "")
    assert isinstance(one, Event)
    assert (event, len(before)) == (one.body, one.offset)
    assert isinstance(other, DeadLetter)


@pytest.mark.parametrize(
    ("around", "name"),
    [
        ({"@timestamp": "t", "agent": {"type": "filebeat"}}, "message"),
        ({"@timestamp": "t", "@version": "1"}, "message"),
        ({"source_type": "file", "host": "h"}, "message"),
        ({"labels": {"app": "vault"}, "timestamp": "t"}, "line"),
        ({"sourcetype": "vault", "time": 1}, "event"),
        ({"date": 1.0, "stream": "stdout"}, "log"),
    ],
)
def test_what_ships_lines_keeps_them_in_objects(
    around: dict[str, Any], name: str
) -> None:
    """Filebeat, Logstash, Vector, Loki, Splunk's collector, Fluent Bit."""
    event = {"eventName": "X", "eventSource": "y"}
    said, banner = orjson.dumps(event).decode(), around | {name: "core: unsealed"}

    lines = [orjson.dumps(around | {name: said}), orjson.dumps(banner)]
    items = list(events(b"\n".join(lines), ""))
    bodies = [one.body for one in items if isinstance(one, Event)]
    assert [event, banner] == bodies


@pytest.mark.parametrize("beside", ["searchedLogStreams", "nextForwardToken"])
def test_the_answers_of_cloudwatch_logs_are_opened(beside: str) -> None:
    """Of filter-log-events and get-log-events."""
    event = {"kind": "Event", "auditID": "a"}
    entry = {"timestamp": 1, "message": orjson.dumps(event).decode()}
    answer = {"events": [entry, entry], beside: []}
    items = list(events(orjson.dumps(answer), ""))
    assert [event, event] == [one.body for one in items if isinstance(one, Event)]


def test_searches_give_back_what_they_indexed() -> None:
    """Elasticsearch in ``_source``, Splunk as text in ``_raw``."""
    event = {"eventName": "X", "eventSource": "y"}
    hit = {"_index": "trail-2026", "_id": "1", "_source": event}
    row = {"preview": False, "result": {"_raw": orjson.dumps(event).decode()}}
    for carrier in (hit, row):
        (item,) = events(orjson.dumps(carrier), "")
        assert isinstance(item, Event)
        assert event == item.body


def test_a_table_is_told_as_one() -> None:
    """One dead letter that says what to do, for all of its rows; an event is none."""
    table = b"Time,User,Application,Status\n" + b"2026-09-05,ann,vault,0\n" * 3
    (letter,) = events(table, "")
    assert isinstance(letter, DeadLetter)
    assert ("csv", 3) == (letter.reason.partition(":")[0], letter.pieces)


def test_a_short_header_is_no_row() -> None:
    """Of an export of few columns, where the rows hold events."""
    said = orjson.dumps({"Operation": "X"}).decode().replace('"', '""')
    row = f'1,"{said}"\r\n'.encode()
    (only,) = events(b"id,record\r\n" + row, "")
    assert isinstance(only, Event)


def test_rows_of_an_export_are_read_without_the_header() -> None:
    """A block of a long file has none; a line break in quotes is part of a row."""
    event = {"Operation": "X", "RecordType": 8}
    said = orjson.dumps(event).decode().replace('"', '""')
    row = f'1,2026,"two\nlines","{said}",""\r\n'.encode()
    items = list(events(row * 2, ""))
    assert [(0, event), (len(row), event)] == [
        (one.offset, one.body) for one in items if isinstance(one, Event)
    ]

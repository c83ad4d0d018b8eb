"""Events out of envelopes, and one dead letter for each bad piece."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.model.records import DeadLetter
from streams.sources.reading.envelope import LIMIT, Event, events

pytestmark = pytest.mark.unit

A, B, C = b'{"a":1}', b'{"a":2}', b'{"a":3}'
SMALL = b'{"a":"' + b"x" * 64 + b'"}'


def read(data: bytes) -> tuple[list[dict[str, Any]], list[tuple[int, int, str]]]:
    """Give the bodies, and (offset, length, code) of the dead letters."""
    items = list(events(data, "test"))
    bodies = [item.body for item in items if isinstance(item, Event)]
    letters = [
        (item.offset, item.length, item.reason.split(":")[0])
        for item in items
        if isinstance(item, DeadLetter)
    ]
    return bodies, letters


@pytest.mark.parametrize(
    "data",
    [
        A + b"\n" + B + b"\n" + C,
        A + b"\r\n\r\n" + B + b"\r\n" + C + b"\r\n",
        b"[" + b",".join((A, B, C)) + b"]",
        b"[\n  " + b",\n  ".join((A, B, C)) + b"\n]\n",
        b'{"Records":[' + b",".join((A, B, C)) + b"]}",
        b'{"records": [' + b", ".join((A, B, C)) + b"]}\n",
        b'{"Records":[' + A + b']}\n{"Records":[' + B + b"," + C + b"]}",
        b"[" + A + b"]\n[" + B + b"," + C + b"]\n",
        b"\n\n".join((A, B, C)),
        b"\xef\xbb\xbf" + b"\n".join((A, B, C)),
        b'{\n "a": 1\n}\n{\n "a": 2\n}\n{\n "a": 3\n}\n',
        b'{"Events":[' + b",".join((A, B, C)) + b"]}",
        b'{"count":3,"Records":[' + b",".join((A, B, C)) + b"]}",
    ],
)
def test_every_container_gives_the_same_events(data: bytes) -> None:
    """Lines, arrays, documents, documents a line, and pretty-printed ones."""
    assert ([{"a": 1}, {"a": 2}, {"a": 3}], []) == read(data)


@pytest.mark.parametrize(
    "wrapped",
    [
        {"detail-type": "AWS API Call via CloudTrail", "detail": {"a": 1}},
        {"test": "a name", "log": {"a": 1}},
        {"category": "kube-audit", "properties": {"log": '{"a":1}'}},
        {"category": "kube-audit", "properties": {"log": {"a": 1}}},
        {"EventId": "x", "CloudTrailEvent": '{"a":1}'},
    ],
)
def test_wrappers_are_taken_off(wrapped: dict[str, Any]) -> None:
    """EventBridge, rule tests, AKS (a string or an object), lookup-events."""
    assert ([{"a": 1}], []) == read(json.dumps(wrapped).encode())
    assert ([{"a": 1}] * 2, []) == read(json.dumps([wrapped, wrapped]).encode())


def test_properties_that_wrap_nothing_are_left_alone() -> None:
    """Only properties.log is an envelope."""
    assert ([{"properties": {"x": 1}}], []) == read(b'{"properties":{"x":1}}')


@pytest.mark.parametrize("join", [b"\n", b",\n  "])
def test_an_event_knows_its_own_offset(join: bytes) -> None:
    """The offset is that of the event's first byte, in lines and in arrays."""
    data = join.join((A, B, C))
    data = b"[" + data + b"]" if join != b"\n" else data
    for item in events(data, "test"):
        assert isinstance(item, Event)
        assert json.loads(data[item.offset :][: len(A)]) == item.body


def test_elements_with_differing_first_keys_know_their_own_offset() -> None:
    """Keys in alphabetical order begin differently from event to event."""
    data = b'\n{"Records": [{"a":"]}, {"}, 7 , {"b":[{"a":1}]},"x,y",{"a":2}]}'
    parts = [b'{"a":"]}, {"}', b"7", b'{"b":[{"a":1}]}', b'"x,y"', b'{"a":2}']
    found = list(events(data, "test"))

    assert parts == [data[i.offset : i.offset + i.length] for i in found]


@pytest.mark.parametrize(
    "data",
    [
        b'{"x":{"Records":[1]},"Records":[{"a":1},{"b":2}]}',
        b'{"x":["]"],"\\u0052ecords":[{"a":1},{"b":2}]}',
        b'{"\\u0052ecords":[{"a":1},{"b":2}]}',
    ],
)
def test_a_list_that_is_hard_to_find_still_gives_its_events(data: bytes) -> None:
    """The offsets may be those of the list, the events are there."""
    assert ([{"a": 1}, {"b": 2}], []) == read(data)


@pytest.mark.parametrize("tail", [b"", b",", b",\n ", b" "])
def test_a_document_cut_behind_a_comma_is_truncated(tail: bytes) -> None:
    """A cut may fall between two members of an event."""
    bodies, letters = read(b'[\n  {"a": 1},\n  {"a": 2' + tail)

    assert [{"a": 1}] == bodies
    assert ["truncated"] == [reason for _, _, reason in letters]


@pytest.mark.parametrize("data", [b"", b"\n", b"  \r\n\t ", b"\xef\xbb\xbf"])
def test_an_empty_input_is_counted(data: bytes) -> None:
    """An empty file may be a lost log."""
    assert ([], [(0, len(data), "empty")]) == read(data)


def test_a_list_without_events_is_no_error() -> None:
    """CloudTrail writes such files in quiet hours."""
    assert ([], []) == read(b'{"Records":[]}')


def test_a_malformed_line_costs_only_itself() -> None:
    """The lines around it are events."""
    bodies, letters = read(A + b'\n{"a":\n' + b"garbage\n" + C + b"\n")
    assert [{"a": 1}, {"a": 3}] == bodies
    assert [(8, 5, "malformed"), (14, 7, "malformed")] == letters


@pytest.mark.parametrize("head", [b"[", b'{"Records":['])
def test_a_truncated_document_keeps_its_complete_elements(head: bytes) -> None:
    """The rest is one dead letter that says where it begins."""
    data = head + A + b"," + B + b',{"a":'
    assert (
        [{"a": 1}, {"a": 2}],
        [(len(head) + 16, 5, "truncated")],
    ) == read(data)


def test_a_truncated_last_line_is_called_truncated() -> None:
    """A log that is read while it grows ends like that."""
    assert ([{"a": 1}], [(8, 5, "truncated")]) == read(A + b'\n{"a":')


def test_a_torn_first_line_that_looks_like_an_array_costs_only_itself() -> None:
    """A rotated or tailed file may begin within a list of an event."""
    found, letters = read(b'[{"ip":"x"}]},"a":["b"]}\n{"a":1}\n{"a":2}\n')
    assert [{"a": 1}, {"a": 2}] == found[-2:]
    assert letters


def test_a_broken_element_costs_only_itself() -> None:
    """A quote that never closes does not swallow the elements behind it."""
    data = b"[" + A + b',{"a":"x},' + C + b"]"
    assert ([{"a": 1}, {"a": 3}], [(9, 8, "malformed")]) == read(data)


def test_bad_utf8_is_named(subtests: pytest.Subtests) -> None:
    """Latin-1 in one event, as line or element, costs that event alone."""
    bad = '{"a":"é"}'.encode("latin-1")
    for data, offset in ((A + b"\n" + bad + b"\n" + B, 8), (b"[%b,%b]" % (bad, B), 1)):
        with subtests.test(data=data):
            bodies, letters = read(data)
            assert {"a": 2} in bodies
            assert [(offset, len(bad), "wrong_encoding")] == letters


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_named_and_not_torn_into_lines(encoding: str) -> None:
    """One dead letter for the input: its lines cannot be told apart."""
    data = '{"a":1}\n{"a":2}\n'.encode(encoding)
    assert ([], [(0, len(data), "wrong_encoding")]) == read(data)


def test_a_character_cut_at_the_end_is_truncation() -> None:
    """The cut, not the encoding, is what went wrong."""
    data = '{"a":"é'.encode()[:-1]
    assert ([], [(0, len(data), "truncated")]) == read(data)


def test_a_ten_megabyte_line_is_too_large() -> None:
    """It is not parsed; the next line is."""
    huge = b'{"a":"' + b"x" * 10_000_000 + b'"}'
    assert ([{"a": 1}], [(0, len(huge), "too_large")]) == read(huge + b"\n" + A)


@pytest.mark.parametrize("head", [b"[", b'{"Records":[', b'{"n":{},"Records":['])
def test_an_element_above_the_limit_is_too_large(head: bytes) -> None:
    """A document may be large, an event may not."""
    huge = b'{"a":"' + b"x" * LIMIT + b'"}'
    tail = b"]}" if b"R" in head else b"]"
    bodies, letters = read(head + A + b"," + huge + b"," + C + tail)
    assert [{"a": 1}, {"a": 3}] == bodies
    assert ["too_large"] == [code for _, _, code in letters]


def test_a_large_document_of_small_events_is_read() -> None:
    """CloudTrail's files have one line of many megabytes."""
    data = b'{"Records":[' + b",".join([SMALL] * 30_000) + b"]}"
    assert len(data) > LIMIT
    assert (30_000, []) == (len((found := read(data))[0]), found[1])


def test_deep_json_is_too_deep() -> None:
    """The parser's own limit holds; nothing recurses."""
    deep = b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    assert ([{"a": 1}], [(0, len(deep), "too_deep")]) == read(deep + b"\n" + A)
    assert ([{"a": 1}], [(1, len(deep), "too_deep")]) == read(b"[%b,%b]" % (deep, A))


def test_nul_bytes_before_a_line_are_cut_off() -> None:
    """What copytruncate leaves costs nothing but a dead letter."""
    data = b"\0" * 5 + A + b"\n" + B
    assert ([{"a": 1}, {"a": 2}], [(0, 5, "nul_bytes")]) == read(data)


def test_nul_bytes_inside_a_line_are_named() -> None:
    """A torn write is told apart from a typing error."""
    assert ([{"a": 1}], [(0, 8, "nul_bytes")]) == read(b'{"a":\0\0}\n' + A)


@pytest.mark.parametrize("value", [b"3", b"null", b'"text"', b"true"])
def test_values_that_are_no_objects_are_counted(value: bytes) -> None:
    """As a line and as an element."""
    assert ([{"a": 1}], [(0, len(value), "not_an_object")]) == read(value + b"\n" + A)
    assert ["not_an_object"] == [one[2] for one in read(b"[%b,%b]" % (value, A))[1]]


def test_a_wrapper_around_nothing_is_counted() -> None:
    """A string that is no JSON object cannot be an event."""
    assert ["not_an_object"] == [
        one[2] for one in read(b'{"properties":{"log":"{cut"}}')[1]
    ]


def test_many_unclosed_strings_do_not_take_quadratic_time() -> None:
    """100,000 broken elements end within the test's time limit."""
    data = b"[" + b",".join([b'{"a":"x}'] * 100_001) + b"]"
    items = list(events(data, "x"))
    letters = [each for each in items if isinstance(each, DeadLetter)]
    assert sum(each.pieces for each in letters) > 50_000
    assert len(letters) == len(items)


def test_large_documents_one_after_another_survive_a_broken_one() -> None:
    """A broken first document costs its own broken element alone."""
    many = b",".join([SMALL] * 20_000)
    broken = b'{\n"Records":[' + A + b",{]}\n"
    bodies, letters = read(broken + b'{\n"Records":[' + many + b"]}\n")
    assert 20_001 == len(bodies)
    assert 1 == len(letters)


def test_nested_lists_above_the_limit_do_not_recurse() -> None:
    """Lists in lists are no events, however deep and large."""
    huge = b'"' + b"x" * LIMIT + b'"'
    for opening, closing in ((b"[", b"]"), (b'{"Records":[', b"]}")):
        bodies, letters = read(opening * 300 + huge + closing * 300)
        assert [] == bodies
        assert 1 == len(letters)

"""Lines that are known by their pieces say what they say when they are decoded."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.model.use_batch import UseBatch
from streams.sources.aws.cloudtrail import CloudTrail
from tests.generators.cloudtrail import generate

if TYPE_CHECKING:
    from streams.model.records import Record

pytestmark = pytest.mark.property

EVENTS: Final = generate(Random(5), 120).events
LINES: Final = [orjson.dumps(event) for event in EVENTS]
CUTS: Final = (
    b',"eventTime":"', b',"requestParameters":', b',"requestID":"', b'","eventID":"',
)  # fmt: skip
# Put in anywhere: what ends, opens, hides or repeats what the reader looks for.
NASTY: Final = (
    b'"', b"\\", b'\\"', b"\\u0022", b"\\u0000", b"\x00", b"\x1f", b"\t", b" ", b"\r",
    b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b",", b":", b"0",
    b",,", b"{}", b"[]", b"null", b'"":0,', b',"":0}', b'{"":"', b'","', b"Z", b"00Z",
    b',"eventTime":"2026-01-01T00:00:07Z"', b'"eventTime":"2026-01-01T00:00:07Z",',
    b',"eventID":"00000000-0000-0000-0000-000000000000"', b',"requestID":"x"',
    b',"userIdentity":{"type":"Root","accessKeyId":"AKIA0"}', b',"userIdentity":null',
    b',"x":{"userIdentity":{"accessKeyId":"AKIA0"},"eventTime":"y"}',
    b',"x":"a\\",\\"eventTime\\":\\"2026-01-01T00:00:07Z"', b',"x":",eventTime:"',
    b',"errorCode":"AccessDenied"', b',"errorCode":""', b',"errorCode":null',
    b',"event\\u0054ime":"2026-01-01T00:00:07Z"', b',"eventName":"DeleteUser"',
    b',"recipientAccountId":"1"', b',"Records":[]', b',"detail":{},"detail-type":1',
    b',"digestStartTime":"x"', b',"sourceIPAddress":7', b',"userAgent":""',
    b',"requestParameters":{"a":[1,{"b":"}"}]}', b',"requestParameters":1e999',
    *CUTS,
)  # fmt: skip
PLACES: Final = (*CUTS, b'"userIdentity":', b'"accessKeyId":"', b"}", b'","', b'":"')


@st.composite
def changed(draw: st.DrawFn, line: bytes) -> bytes:
    """Change the bytes of a line at a few places, mostly where pieces meet."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(line)))
        if draw(st.booleans()):
            mark = draw(st.sampled_from(PLACES))
            found = line.find(mark, at)
            found = line.find(mark) if found < 0 else found
            if found >= 0:
                at = found + draw(st.sampled_from((0, 1, len(mark) - 1, len(mark))))
        gone = draw(st.sampled_from((0, 0, 0, 1, 2, 20)))
        line = line[:at] + draw(st.sampled_from((b"", *NASTY))) + line[at + gone :]
    return line


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Write lines as they are, and some that are wrong anywhere."""
    random = Random(draw(st.integers(0, 1 << 16)))
    plain = random.sample(LINES, 5)
    wrong = [draw(changed(line)) for line in random.choices(plain, k=4)]
    return plain, wrong + [draw(changed(line)) for line in wrong[:2]]


def told(items: Any) -> list[Record]:
    """Put the records of batches where their events stand."""
    found: list[Record] = []
    for item in items:
        found += item.records() if isinstance(item, UseBatch) else [item]
    return sorted(found, key=lambda record: record.offset)


def alike(*logs: bytes) -> None:
    """Compare the two ways to read logs, by readers that read one after the other."""
    together, alone = CloudTrail(), CloudTrail()
    for log in logs:
        right = sorted(alone.records(log), key=lambda record: record.offset)
        assert right == told(together.batches(log))
        assert (alone.read, alone.unknown) == (together.read, together.unknown)


def document(lines: list[bytes], end: bytes = b"]}") -> bytes:
    """Write lines as CloudTrail writes a file."""
    return b'{"Records":[' + b",".join(lines) + end


ENDS: Final = (
    b"]}", b"]}", b"]}", b"]}\n", b"]}\r\n", b"]", b",]}", b"]}]}", b"", b"]x", b"]}}",
    b'],"Records":[]}', b'],"Records":[{"eventVersion":"1"}]}', b'],"x":[{"a":1}]}',
)  # fmt: skip


@given(logs(), st.sampled_from(ENDS))
def test_a_document_says_the_same_both_ways(
    log: tuple[list[bytes], list[bytes]], end: bytes
) -> None:
    """Whatever is wrong in it, and wherever it was cut."""
    plain, wrong = log

    alike(document(plain, end), document([*plain, *wrong, *plain], end),
          *(document([*plain[:2], one, plain[2]], end) for one in wrong))  # fmt: skip


@given(logs())
def test_a_log_says_the_same_both_ways(log: tuple[list[bytes], list[bytes]]) -> None:
    """In a batch with sound lines, and alone, where no other line has a say."""
    plain, wrong = log

    alike(b"\n".join(plain), *wrong, b"\n".join(wrong + plain), *wrong)


HOSTILE: Final = (
    # The time and the id go on, or end sooner.
    (b'Z","eventSource"', b'Zx","eventSource"'),
    (b'00:00:01Z"', b'00:00:1Z"'),
    (b'","readOnly"', b'0","readOnly"'),
    (b'","readOnly"', b'\\u0030","readOnly"'),
    # Two of one name: the last one counts, in whatever piece.
    (b"{", b'{"eventTime":"2026-01-02T00:00:07Z",'),
    (b"{", b'{"eventID":"x",'),
    (b"{", b'{"errorCode":"AccessDenied",'),
    (b"{", b'{"eventName":"x",'),
    (b',"readOnly":true', b',"eventTime":"2026-01-02T00:00:07Z","readOnly":true'),
    (b',"readOnly":true', b',"userIdentity":{"type":"Root"},"readOnly":true'),
    (b',"readOnly":true', b',"errorCode":"AccessDenied","readOnly":true'),
    (b',"readOnly":true', b',"event\\u004eame":"DeleteUser","readOnly":true'),
    (b'"requestParameters":null', b'"requestParameters":null,"eventName":"x"'),
    (b'"requestParameters":null', b'"requestParameters":null,"sourceIPAddress":"x"'),
    # The names within something else.
    (b'"userIdentity":{', b'"userIdentity":{"x":{"y":1},"eventTime":"2026",'),
    (b'"requestParameters":null', b'"requestParameters":{"eventID":"x"}'),
    (b'"requestParameters":null', b'"requestParameters":[{"a":1},{"eventTime":"z"}]'),
    (b'"requestParameters":null', b'"requestParameters":"\\",\\"requestID\\":\\""'),
    # Broken in one piece, or over two.
    (b'"requestParameters":null', b'"requestParameters":nul'),
    (b'"requestParameters":null', b'"requestParameters":{"a":[1}'),
    (b'"requestParameters":null,', b'"requestParameters":{"a":1,'),
    (b'"readOnly":true', b'"readOnly":true}'),
    (b'"awsRegion":"', b'"awsRegion":"\xff'),
    (b'"awsRegion":"', b'"awsRegion":"\\'),
    (b'"requestID":"', b'"requestID":"\\u00e9'),
    (b'"requestID":"', b'"requestID":"\xc3\xa9'),
    (b'"requestID":"', b'"requestID":"\x01'),
    (b',"eventTime":"', b',"eventTime": "'),
    (b',"eventTime":"', b' ,"eventTime":"'),
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_what_one_would_send_to_be_misread(number: int) -> None:
    """Each among lines whose pieces are known, and repeated."""
    here, there = HOSTILE[number]
    uses = [line for line in LINES if b'"requestParameters":null' in line]
    wrong = [line.replace(here, there, 1) for line in uses[:8]]
    assert wrong != uses[:8]
    known = b"\n".join(LINES)

    alike(known, b"\n".join([*wrong, *uses, *wrong]), *wrong)
    alike(document(LINES), document([*uses, *wrong, *uses]), document(wrong))


@pytest.mark.parametrize(
    "written", [b"\\\\u0041", b"\xc3\xa9\xc3\xa9\xc3\xa9", b"ghijkl"]
)
def test_an_id_that_is_as_long_and_no_id(written: bytes) -> None:
    """It has the length of one as it is written, and says something else."""
    line = next(one for one in LINES if b'"requestParameters":null' in one)
    wrong = re.sub(rb'(?<="eventID":").{6}', written, line)

    assert len(wrong) == len(line)
    alike(line, line, wrong, wrong + b"\n" + line)


@pytest.mark.parametrize("cut", CUTS)
def test_a_line_may_be_cut_anywhere(cut: bytes) -> None:
    """Torn before, within and behind each place where pieces meet."""
    line = next(one for one in LINES if b'"requestParameters":null' in one)
    at = line.index(cut)
    for end in range(at - 2, at + len(cut) + 40):
        alike(line, line, line[:end], line[:end] + b"\n" + line)

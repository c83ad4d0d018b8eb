"""Files, folders and archives into records."""

from __future__ import annotations

import errno
import gzip
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import orjson
import pytest

import streams.services.log_blocks
from streams.model.keyed_names import LEAST_BYTES
from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.services.hunt_processes import LogChoice, LogShare
from streams.services.log_blocks import FilePart
from streams.services.parse import files_of, kind_of, parse_paths, summary
from streams.services.secret_names import SecretNames
from streams.services.unread_input import ParseTally
from streams.sources.aws.cloudtrail import CloudTrail
from streams.sources.catalogue import source
from streams.sources.guess import guess_bytes
from streams.sources.reading.envelope import MALFORMED
from tests.generators.cloudtrail import (
    as_archive,
    as_document,
    as_lines,
    generate,
)
from tests.generators.samples import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

EVENTS = generate(Random(1), 60, users=3).events


def plain(records: list[Record]) -> list[Record]:
    """Give the records without their offsets."""
    return [record._replace(offset=0) for record in records]


@pytest.mark.parametrize("form", [as_lines, as_document, as_archive])
def test_every_form_of_a_log_gives_the_same_records(
    form: Callable[[list[dict[str, Any]]], bytes], tmp_path: Path
) -> None:
    """Lines, a document, a packed document."""
    (tmp_path / "log").write_bytes(form(EVENTS))
    (tmp_path / "lines").write_bytes(as_lines(EVENTS))
    assert plain(list(parse_paths([tmp_path / "lines"]))) == plain(
        list(parse_paths([tmp_path / "log"]))
    )


def test_folders_are_read_recursively_in_name_order(tmp_path: Path) -> None:
    """Hidden files are left alone."""
    for name in ("b/2.json", "a.json", "b/1.json", ".git/x", "b/.hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(as_lines(EVENTS[:1]))
    assert ["a.json", "b/1.json", "b/2.json"] == [
        str(file.relative_to(tmp_path)) for file in files_of([tmp_path])
    ]
    assert len(list(parse_paths([tmp_path]))) == 3 * len(
        list(parse_paths([tmp_path / "a.json"]))
    )


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    """A typing error must not look like a quiet log."""
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        parse_paths([tmp_path / "nothing"])


def test_an_unknown_source_name_lists_the_known_ones(tmp_path: Path) -> None:
    """The message says what can be chosen, and what was probably meant."""
    with pytest.raises(
        ValueError, match=r"'splunk': choose one of .*cloudtrail, .*okta"
    ):
        parse_paths([tmp_path], "splunk")
    for name, meant in (("Vault", "openbao"), ("aws", "cloudtrail"), ("octa", "okta")):
        with pytest.raises(ValueError, match=f"'{name}': is it {meant}"):
            parse_paths([tmp_path], name)


def test_a_log_of_no_known_source_is_accounted_for(tmp_path: Path) -> None:
    """Each event is a dead letter that says what to do."""
    (tmp_path / "x").write_bytes(b'{"a":1}\n{"a":\n{"a":2}\n')
    found = list(parse_paths([tmp_path]))
    assert ["unknown_source", "malformed", "unknown_source"] == [
        record.reason.split(":")[0]
        for record in found
        if isinstance(record, DeadLetter)
    ]


def test_an_archive_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    """And says where it broke off."""
    packed = gzip.compress(as_lines(EVENTS), mtime=0)
    for cut in range(2, len(packed), 97):
        (tmp_path / "log.gz").write_bytes(packed[:cut])
        found = list(parse_paths([tmp_path / "log.gz"], "cloudtrail"))
        letters = [record for record in found if isinstance(record, DeadLetter)]
        assert "truncated_gzip" == letters[-1].reason.split(":")[0]


def test_a_damaged_archive_is_counted(tmp_path: Path) -> None:
    """Garbage behind the gzip header."""
    (tmp_path / "log.gz").write_bytes(b"\x1f\x8b" + b"garbage" * 9)
    (letter, *_) = [
        record
        for record in parse_paths([tmp_path])
        if isinstance(record, DeadLetter) and "gzip" in record.reason
    ]
    assert 0 == letter.offset


def test_archives_of_several_members_are_read_whole(tmp_path: Path) -> None:
    """Log shippers append members, and some pad with zeros."""
    packed = b"".join(gzip.compress(as_lines([one]), mtime=0) for one in EVENTS)
    (tmp_path / "log.gz").write_bytes(packed + b"\0" * 20)
    (tmp_path / "lines").write_bytes(as_lines(EVENTS))
    assert list(parse_paths([tmp_path / "lines"])) == list(
        parse_paths([tmp_path / "log.gz"])
    )


@pytest.mark.parametrize("packed", [False, True])
def test_blocks_of_a_large_file_join_without_a_seam(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, packed: bool
) -> None:
    """Offsets count through; no event is lost or doubled at a border."""
    data = as_lines(EVENTS)
    (tmp_path / "lines").write_bytes(data)
    whole = list(parse_paths([tmp_path / "lines"]))
    (tmp_path / "lines").write_bytes(gzip.compress(data, mtime=0) if packed else data)
    monkeypatch.setattr(streams.services.log_blocks, "BLOCK", 3000)
    assert whole == list(parse_paths([tmp_path / "lines"]))
    (tmp_path / "document").write_bytes(as_document(EVENTS))
    assert plain(whole) == plain(list(parse_paths([tmp_path / "document"])))


def test_a_document_beyond_all_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive bomb does not fill the memory."""
    monkeypatch.setattr(streams.services.log_blocks, "DOCUMENT", 10_000)
    monkeypatch.setattr(streams.services.log_blocks, "BLOCK", 3000)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"[" * 1_000_000, mtime=0))
    (letter,) = [
        record
        for record in parse_paths([tmp_path], "cloudtrail")
        if isinstance(record, DeadLetter) and record.reason.startswith("too_large")
    ]
    assert 0 == letter.offset
    (tmp_path / "plain").write_bytes(b"[" * 20_000)
    share = LogShare(LogChoice.of("cloudtrail", None, ()))
    assert list(share.read(FilePart(tmp_path / "plain"), cut=True))
    read = share.done(FilePart(tmp_path / "plain"))
    assert () == tuple(read.left)  # it is not begun again
    (reason,) = [reason for _, reason in read.unread]
    assert reason.startswith("too_large")


def test_lines_behind_a_torn_first_one_are_read_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rotated log begins anywhere; it is no document, whatever its size."""
    monkeypatch.setattr(streams.services.log_blocks, "DOCUMENT", 40_000)
    monkeypatch.setattr(streams.services.log_blocks, "BLOCK", 8000)
    (tmp_path / "torn").write_bytes(b'ate": "x"}\n' + as_lines(EVENTS))
    (tmp_path / "whole").write_bytes(as_lines(EVENTS))
    assert len(as_lines(EVENTS)) > 40_000
    (letter, *records) = parse_paths([tmp_path / "torn"])

    assert letter == DeadLetter("cloudtrail", 0, 10, MALFORMED)
    assert plain(list(parse_paths([tmp_path / "whole"]))) == plain(records)


@pytest.mark.parametrize("name", ["keycloak, log", "ssf, signed"])
def test_lines_that_are_no_json_are_read_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A text log and a file of tokens are no documents, whatever their size."""
    dialect = DIALECTS[name]
    data = b"".join(dialect.write(dialect.make(n)) for n in range(4))
    (tmp_path / "log").write_bytes(data)
    whole = list(dialect.source().records(data))
    monkeypatch.setattr(streams.services.log_blocks, "DOCUMENT", len(data) // 2)
    monkeypatch.setattr(streams.services.log_blocks, "BLOCK", len(data) // 5)
    monkeypatch.setattr("streams.services.parse.secrets.token_bytes", bytes)
    names = SecretNames((bytes(LEAST_BYTES),))
    assert list(map(names.conceal, whole)) == list(parse_paths([tmp_path / "log"]))


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    """``rescind parse <(zcat log.gz)`` names a pipe."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for form in (as_lines, as_archive):
        with ThreadPoolExecutor() as pool:
            written = pool.submit(pipe.write_bytes, form(EVENTS))
            records = list(parse_paths([pipe], progress=lambda *_: None))
            written.result()
        assert plain(list(CloudTrail().records(as_lines(EVENTS)))) == plain(records)


def test_a_file_that_cannot_be_opened_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder it is a dead letter; named itself it is a wrong argument."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(as_lines(EVENTS))
    opened = Path.open

    def refuse(path: Path, *rest: Any, **more: Any) -> Any:
        if path.name == "a":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *rest, **more)

    monkeypatch.setattr(Path, "open", refuse)
    tally = ParseTally()
    (letter, *records) = parse_paths([tmp_path], tally=tally)

    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("unreadable_file: ")
    assert str(tmp_path / "a") in letter.reason
    assert list(parse_paths([tmp_path / "b"])) == records
    assert 1 + len(EVENTS) == tally.read
    with pytest.raises(PermissionError):
        list(parse_paths([tmp_path / "a"]))


def test_a_pair_over_the_border_of_two_files_is_one_call(tmp_path: Path) -> None:
    """A vault's log is rotated between a request and its response."""
    call = {
        "time": "2026-03-02T09:00:00Z",
        "type": "request",
        "auth": {"accessor": "acc", "client_token": "hmac-sha256:aa"},
        "request": {
            "id": "r1", "operation": "read", "path": "secret/x",
            "client_token": "hmac-sha256:aa", "client_token_accessor": "acc",
        },
    }  # fmt: skip
    (tmp_path / "1.log").write_bytes(orjson.dumps(call) + b"\n")
    answer = orjson.dumps(call | {"type": "response", "response": {}})
    (tmp_path / "2.log").write_bytes(answer + b"\n")
    (access,) = parse_paths([tmp_path])
    assert isinstance(access, Access)
    assert "allowed" == access.outcome


def test_what_is_given_at_the_end_has_the_place_of_its_line(tmp_path: Path) -> None:
    """A request that got no response waits until there is no further line."""
    request = {
        "type": "request",
        "auth": {"accessor": "acc", "client_token": "hmac-sha256:aa"},
        "request": {"id": "r1", "operation": "read", "path": "kmip/x"},
    }
    lines = [orjson.dumps(request), *(b"{not JSON" for _ in range(3))]
    for name in ("1.log", "2.log"):
        (tmp_path / name).write_bytes(b"\n" + b"\n".join(lines) + b"\n")

    for paths, wanted in (
        ([tmp_path / "1.log"], (str(tmp_path / "1.log"), 2)),
        ([tmp_path], (f"{tmp_path / '1.log'} to {tmp_path / '2.log'}", 0)),
    ):
        tally = ParseTally()
        letters = list(parse_paths(paths, "openbao", tally=tally))
        (found,) = [
            each.first for (_, why), each in tally.unread.items() if "no_time" in why
        ]
        assert wanted == found
        assert all(isinstance(each, DeadLetter) for each in letters)


def test_progress_and_unknown_types_are_told(tmp_path: Path) -> None:
    """Bytes on disk against the file's size; counts at the end."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(as_archive(EVENTS))
    told: list[tuple[str, int, int]] = []
    tally = ParseTally()
    records = parse_paths(
        [tmp_path], tally=tally,
        progress=lambda file, more, size: told.append((file.name, more, size)),
    )  # fmt: skip
    counts = Counter(kind_of(record) for record in records)
    size = (tmp_path / "a").stat().st_size
    assert [("a", size, size), ("b", size, size)] == told
    unknown = tally.unknown
    assert unknown
    assert 2 * len(EVENTS) == tally.read
    text = summary(counts, tally)
    assert f"{tally.read} events read: " in text
    assert f"{counts['access']} access" in text
    assert f"{unknown.total()} events of {len(unknown)} types" in text


def test_sources_are_recognised_by_content() -> None:
    """By the first event that says something."""
    vault = b'{"type":"request","request":{"id":"x"},"time":"..."}\n'
    assert "cloudtrail" == guess_bytes(as_document(EVENTS))
    assert "cloudtrail" == guess_bytes(b"garbage\n" + as_lines(EVENTS))
    assert "cloudtrail" == guess_bytes(b'{"digestStartTime":"2026"}')
    assert "openbao" == guess_bytes(vault)
    assert guess_bytes(b'{"a":1}') is None
    assert guess_bytes(b"") is None


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b'{"a":"' + b"x" * 10_000_000 + b'"}\n', id="giant line"),
        pytest.param(b"x" * 10_000_000 + b"\n", id="giant noise"),
        pytest.param(b"no log line\n" * 2_000, id="much noise"),
        pytest.param(b'{"a":1}\n' * 60, id="strangers"),
    ],
)
def test_a_source_is_recognised_behind_a_bad_beginning(head: bytes) -> None:
    """What stands first in a file may be torn or foreign."""
    assert "cloudtrail" == guess_bytes(head + as_lines(EVENTS))


@pytest.mark.parametrize("name", ["cloudtrail", "openbao"])
def test_every_source_of_the_table_reads_nothing_from_nothing(name: str) -> None:
    """An empty input is one dead letter under the source's name."""
    (letter,) = source(name).records(b"")
    assert isinstance(letter, DeadLetter)
    assert name == letter.source


def test_lifecycle_comes_before_the_access_of_its_event(tmp_path: Path) -> None:
    """Scripts rely on the order of the lines."""
    (tmp_path / "log").write_bytes(as_lines(EVENTS))
    records = list(parse_paths([tmp_path]))
    for first, second in pairwise(records):
        if isinstance(second, Lifecycle):
            assert first.event_id != second.event_id

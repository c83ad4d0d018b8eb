"""Blocks and parts of a file of lines: whole lines, each byte once, in order."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.services import log_blocks
from streams.services.log_blocks import FilePart, blocks, parts_behind

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.property

LINE = st.integers(0, 9).map(lambda size: b'{"a":"%s"}\n' % (b"x" * size))
LONG = st.integers(50, 400).map(lambda size: b'{"a":"%s"}\n' % (b"x" * size))
LOG = st.lists(LINE | LINE | LONG, min_size=1, max_size=40).map(b"".join)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut small logs as large ones are."""
    monkeypatch.setattr(log_blocks, "BLOCK", 32)
    monkeypatch.setattr(log_blocks, "PART", 160)
    monkeypatch.setattr(log_blocks, "_PARTS", 3)
    monkeypatch.setattr(log_blocks, "_TAIL", 16)


class Counted(io.FileIO):
    """A file that counts the bytes read from it."""

    count = 0

    def readinto(self, buffer: Any, /) -> int | None:
        """Read, and count."""
        found = super().readinto(buffer)
        self.count += found or 0
        return found


@given(LOG, st.booleans())
def test_a_log_is_read_whole_in_blocks_and_in_parts(
    tmp_path_factory: pytest.TempPathFactory, log: bytes, ended: bool
) -> None:
    """The same blocks, whoever reads which part: what is torn is told by block."""
    data = log if ended else log[:-1]
    file = tmp_path_factory.getbasetemp() / "log"
    file.write_bytes(data)
    with file.open("rb") as opened:
        alone = list(blocks(opened, FilePart(file)))
    assert data == b"".join(sound(alone))

    first = alone[0][1]
    with file.open("rb") as opened:
        parts = list(parts_behind(opened, FilePart(file), len(first), len(data), None))
    assert [len(first), *(part.stop for part in parts[:-1])] == (
        [part.start for part in parts] or [len(data)]
    )
    together = alone[:1]
    for part in parts:
        with file.open("rb") as opened:
            together += blocks(opened, part)
    assert alone == together


def sound(found: list[tuple[int, bytes, str]]) -> Iterator[bytes]:
    """Yield blocks that follow each other, all but the last one with a line's end."""
    at = found[0][0]
    for place, (base, data, broken) in enumerate(found):
        assert (at, "") == (base, broken)
        assert data.endswith(b"\n") or place == len(found) - 1
        at += len(data)
        yield data


def test_a_very_long_line_is_looked_through_once(tmp_path: Path) -> None:
    """Not again for each block that it is longer than."""
    file = tmp_path / "log"
    data = b'{"a":1}\n' * 8 + b'{"a":"%s"}\n' % (b"x" * 20_000)
    file.write_bytes(data)
    raw = Counted(str(file))
    opened: Any = io.BufferedReader(raw, 16)
    with opened:
        assert data == b"".join(sound(list(blocks(opened, FilePart(file)))))
        assert raw.count < 4 * len(data)


@pytest.mark.parametrize("told", [True, False])
def test_what_a_file_holds_beyond_its_size_is_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, told: bool
) -> None:
    """One that is written to holds more by then, and some files tell no size."""
    if not told:
        monkeypatch.setattr(log_blocks, "_size", lambda _: 0)
    file = tmp_path / "log"
    lines = [b'{"a":%d}\n' % number for number in range(30)]
    file.write_bytes(b"".join(lines[:20]))
    read: list[bytes] = []
    with file.open("rb") as opened, file.open("ab") as more:
        for _, data, _ in blocks(opened, FilePart(file)):
            if not read:
                more.write(b"".join(lines[20:]))
                more.flush()
            read.append(data)
    assert b"".join(lines) == b"".join(read)


def test_a_file_that_was_cut_off_gives_no_empty_block(tmp_path: Path) -> None:
    """Only what is there is read."""
    file = tmp_path / "log"
    file.write_bytes(b'{"a":1}\n' * 30)
    with file.open("rb") as opened:
        found = blocks(opened, FilePart(file))
        for _, data, _ in found:
            assert data
            os.truncate(file, 2 * len(data))

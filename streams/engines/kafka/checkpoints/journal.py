"""The facts of one partition in a local file, in the order in which they were read.

A file is a row of frames: length, checksum, body. The first one names the genesis of
the log; each further one adds records and says how far all was read and listed, and
the first record that was passed over since a newer version wrote it. A
frame counts as a whole or not at all: what a crash or a full disk left of one is cut
off at the next start. The checksum is keyed with the genesis, so frames of another log
never fit. It guards against damage, not against who may write in this folder.
"""

from __future__ import annotations

import bisect
import hashlib
import os
import struct
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import orjson

from streams.process.private_folder import FOLDER_MODE, create_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FORM: Final = 3
READ: Final = {2, FORM}  # in 2 no file began amid a log
FRAME: Final = struct.Struct("<I16s")  # length of the body, checksum
HEAD: Final = struct.Struct("<QQ?q64sI")  # as `JournalPlace`, and the number of rows
ROW: Final = struct.Struct("<QII")  # offset, lengths of key and value
HEADER_SIZE: Final = 5  # of a value: what names its schema
STRIDE: Final = 1 << 20  # bytes between two marks


class DamagedError(Exception):
    """A file is not as it was written; all in it can be had from the topics again."""


# A record of ``facts`` as it lies in the topic: offset, key, value.
Row = tuple[int, bytes, bytes]


class JournalFrame(NamedTuple):
    """One frame of a file; ``at`` and ``end`` are places in it, in bytes."""

    at: int
    end: int
    checksum: bytes
    body: bytes


class JournalTip(NamedTuple):
    """The last frame that was written: where it begins and ends, and its checksum."""

    at: int
    end: int
    checksum: bytes


class JournalPlace(NamedTuple):
    """How far a file is.

    Attributes:
        position: every record below it was read.
        listed: what every fact below it condemned was listed, and that acked.
        pruned: keys were pruned since; the next start reads the topic again.
        unread: the first record that was passed over since a newer version wrote it.
        edition: which schemas the version had that passed it over.
    """

    position: int = 0
    listed: int = 0
    pruned: bool = False
    unread: int | None = None
    edition: str = ""


class Journal:
    """An append-only file of frames; used by one thread at a time.

    Attributes:
        genesis: of the log that the facts are of; empty in a new file.
        place: how far it is.
        headers: what stands in front of the values, each once.
        tip: the last frame.
        base: facts below this offset are in a table that others made, and not here.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; `resume` reads where it stands."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        create_private(path)
        self._path = path
        self._file: BinaryIO = path.open("r+b", buffering=0)
        self.place = JournalPlace()
        self.base = 0
        self.headers: set[bytes] = set()
        # The file's own word on what was passed over, which outlives a reset.
        self._passed: tuple[int | None, str] = (None, "")
        # Where frames end that hold all below an offset, now and then one.
        self._marks: list[tuple[int, int]] = []
        self.genesis, self.tip = self._first()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def resume(self, known: JournalTip | None, headers: Iterable[bytes] = ()) -> bool:
        """Read to the end of what is whole, and cut off the rest.

        Args:
            known: a frame that was written before; reading starts behind it.
            headers: of what lies before it.

        Returns:
            Whether that frame is there.
        """
        if known is not None and self._frame(known.at) != known:
            return False
        self.headers = set(headers)
        self._marks = []
        if known is not None:
            self._stand(self._checked(known.at))
        while (frame := self._next(self.tip.end)) is not None:
            self._stand(frame)
        self._file.truncate(self.tip.end)
        return True

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever written to it."""
        return self.tip.end == 0

    def reset(self, genesis: str, base: int = 0) -> None:
        """Throw everything away, at once; the file is of another log now.

        What was passed over stays in the file until records are added: a crash may
        come before they were read again. Here it is forgotten.
        """
        unread, edition = self._passed
        body = orjson.dumps(
            {
                "form": FORM,
                "genesis": genesis,
                "base": base,
                "unread": unread,
                "edition": edition,
            }
        )
        checksum = self._checksum(body, first=True)
        partial = self._path.with_suffix(".partial-journal")
        create_private(partial)
        file: BinaryIO = partial.open("w+b", buffering=0)
        _write(file, FRAME.pack(len(body), checksum) + body)
        os.fsync(file.fileno())
        partial.replace(self._path)
        self._file.close()
        self._file = file
        self.genesis, self.tip = (
            genesis,
            JournalTip(0, FRAME.size + len(body), checksum),
        )
        self.place, self.headers, self._marks = JournalPlace(), set(), []
        self.base = base

    def add(self, rows: Iterable[Row], place: JournalPlace) -> None:
        """Add records and move on, as one frame.

        Args:
            rows: facts, by their offsets.
            place: how far the file is with them; once pruned is pruned for good.
        """
        if not self.tip.end:
            self.reset("")  # whose it is comes first, even where nobody has said so
        parts, pack = [b""], ROW.pack
        for offset, key, value in rows:
            parts += (pack(offset, len(key), len(value)), key, value)
        self.headers.update({value[:HEADER_SIZE] for value in parts[3::3]})
        place = place._replace(pruned=place.pruned or self.place.pruned)
        parts[0] = _head(place, len(parts) // 3)
        self._append(b"".join(parts))
        self._arrive(place)

    def sync(self) -> None:
        """Have all that was added survive a power cut."""
        os.fsync(self._file.fileno())

    def rows(self, *, behind: int = 0, since: int = 0) -> Iterator[Row]:
        """Yield records by their offsets.

        Args:
            behind: a place in the file where a frame ends; what comes behind it.
            since: an offset below which all is left out.

        Raises:
            DamagedError: a frame is not whole, or they never were here.
        """
        if not behind and since < self.base:
            raise DamagedError(self._file.name)
        at = behind or self._checked(0).end
        known = bisect.bisect_right(self._marks, (since, self.tip.end))
        if known:
            at = max(at, self._marks[known - 1][1])
        while at < self.tip.end:
            frame = self._checked(at)
            at = frame.end
            yield from (row for row in _rows(frame.body) if row[0] >= since)

    def _append(self, body: bytes) -> None:
        at = self.tip.end
        checksum = self._checksum(body)
        self._file.seek(at)
        _write(self._file, FRAME.pack(len(body), checksum) + body)
        self.tip = JournalTip(at, at + FRAME.size + len(body), checksum)

    def _first(self) -> tuple[str, JournalTip]:
        """Read whose the file is; a file that does not say so is a new one."""
        self.genesis = ""
        frame = self._next(0)
        if frame is not None:
            said = orjson.loads(frame.body)
            if said["form"] in READ:
                self.base = said.get("base", 0)
                self._passed = said["unread"], said["edition"]
                self.place = JournalPlace(
                    unread=said["unread"], edition=said["edition"]
                )
                return said["genesis"], JournalTip(frame.at, frame.end, frame.checksum)
        return "", JournalTip(0, 0, b"")

    def _stand(self, frame: JournalFrame) -> None:
        self.tip = JournalTip(frame.at, frame.end, frame.checksum)
        if frame.at:
            self.headers.update(row[2][:HEADER_SIZE] for row in _rows(frame.body))
            self._arrive(_place(frame.body))

    def _arrive(self, place: JournalPlace) -> None:
        self.place = place
        self._passed = place.unread, place.edition
        highest, end = self._marks[-1] if self._marks else (0, -STRIDE)
        if self.tip.end - end >= STRIDE and place.position >= highest:
            self._marks.append((place.position, self.tip.end))

    def _frame(self, at: int) -> JournalTip | None:
        frame = self._next(at)
        return (
            None if frame is None else JournalTip(frame.at, frame.end, frame.checksum)
        )

    def _checked(self, at: int) -> JournalFrame:
        frame = self._next(at)
        if frame is None:
            raise DamagedError(self._file.name)
        return frame

    def _next(self, at: int) -> JournalFrame | None:
        """Read the frame at a place; None where there is no whole one."""
        self._file.seek(at)
        start = self._file.read(FRAME.size)
        if len(start) < FRAME.size:
            return None
        length, checksum = FRAME.unpack(start)
        body = self._file.read(length)
        # Only the first frame is written without knowing the genesis.
        if len(body) < length or checksum != self._checksum(body, first=not at):
            return None
        return JournalFrame(at, at + FRAME.size + length, checksum, body)

    def _checksum(self, body: bytes, *, first: bool = False) -> bytes:
        key = b"" if first else self.genesis.encode()[:64]
        return hashlib.blake2b(body, digest_size=16, key=key).digest()


def _head(place: JournalPlace, rows: int) -> bytes:
    position, listed, pruned, unread, edition = place
    passed = -1 if unread is None else unread
    return HEAD.pack(position, listed, pruned, passed, edition.encode(), rows)


def _place(body: bytes) -> JournalPlace:
    position, listed, pruned, passed, edition, _ = HEAD.unpack_from(body)
    unread = None if passed < 0 else passed
    return JournalPlace(
        position, listed, pruned, unread, edition.rstrip(b"\0").decode()
    )


def _rows(body: bytes) -> Iterator[Row]:
    at = HEAD.size
    for _ in range(HEAD.unpack_from(body)[-1]):
        offset, key, value = ROW.unpack_from(body, at)
        at += ROW.size
        yield offset, body[at : at + key], body[at + key : at + key + value]
        at += key + value


def _write(file: BinaryIO, data: bytes) -> None:
    """Write all of it: one call may take less, e.g. on a disk that is nearly full."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]

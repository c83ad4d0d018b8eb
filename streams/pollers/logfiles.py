"""Files that a log's writer rotates: what one is, wherever it was moved or packed.

A file is known by how it begins, so the place in it holds on when it is renamed,
copied before it is truncated, or packed with gzip. Everything here blocks: call it in
a thread.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import orjson
from attrs import define

if TYPE_CHECKING:
    from pathlib import Path

    from streams.services.reading import RecordReader

HEAD: Final = 4096  # bytes at the beginning that tell one file from another
_GZIP: Final = b"\x1f\x8b"
_PACKED_OTHERWISE: Final = frozenset({".bz2", ".lz4", ".xz", ".zip", ".zst"})


class FileStatus(NamedTuple):
    """What the folder says of a file; ``modified`` in ns."""

    inode: int
    size: int
    modified: int


class FileHead(NamedTuple):
    """How a file begins: a digest of so many bytes, since those may not be kept."""

    length: int
    digest: bytes


NOTHING: Final = FileHead(0, b"")


class FilePlace(NamedTuple):
    """How far a file was read, as it is saved.

    Attributes:
        number: of the file among those of one watch, in the order they were found.
        path: where it was last.
        position: everything before it is taken in (bytes, unpacked).
        length, digest: of its beginning.
        modified: when the file was last written, as of the last read (ns).
    """

    number: int
    path: str
    inode: int
    position: int
    length: int
    digest: bytes
    modified: int

    def dump(self) -> bytes:
        """JSON, as `load` reads it."""
        return orjson.dumps([*self[:5], self.digest.hex(), self.modified])

    @classmethod
    def load(cls, body: bytes) -> Self:
        """Read what `dump` wrote."""
        found = cls(*orjson.loads(body))
        return found._replace(digest=bytes.fromhex(str(found.digest)))


class LogFile:
    """An open file, packed with gzip or not; it can be read after it was deleted."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            OSError: it cannot be read.
        """
        self._raw = path.open("rb")
        self.packed = os.pread(self._raw.fileno(), len(_GZIP), 0) == _GZIP
        self._unpacked = gzip.GzipFile(fileobj=self._raw) if self.packed else None

    def status(self) -> FileStatus:
        """Say what it is now, wherever it lies."""
        return _status(os.fstat(self._raw.fileno()))

    def read_at(self, position: int, size: int) -> bytes:
        """Read some bytes; of a packed file that is still written, what is there."""
        if self._unpacked is None:
            return os.pread(self._raw.fileno(), size, position)
        try:
            self._unpacked.seek(position)
            return self._unpacked.read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            # The reader's state is of no use after that.
            self._unpacked = gzip.GzipFile(fileobj=self._raw)
            self._raw.seek(0)
            return b""

    def close(self) -> None:
        """Let it go."""
        self._raw.close()


@define(eq=False)
class Generation:
    """One file of a log, as it is followed.

    Attributes:
        head: what it begins with.
        beginning: those bytes, as long as there are fewer than HEAD.
        status: as of the last look at it.
        file: held open, so that it can be read to its end wherever it goes.
        wanted, skipping: of a line that is longer than a read.
        orphaned: when another file was found in its place (s of a steady clock).
    """

    number: int
    path: Path
    reader: RecordReader
    status: FileStatus
    position: int = 0
    head: FileHead = NOTHING
    beginning: bytes = b""
    file: LogFile | None = None
    wanted: int = 0
    skipping: bool = False
    orphaned: float | None = None

    def is_in(self, file: LogFile, status: FileStatus) -> bool:
        """Whether a file is this one, wherever it lies: whole, or longer."""
        if not self.position:
            return status.inode == self.status.inode
        whole = file.packed or status.size >= self.position
        return whole and head_of(file.read_at(0, self.head.length)) == self.head

    def more(self) -> bytes:
        """Read on; nothing where the file turns out to be another one by now."""
        file = self.file
        if file is None:
            return b""
        if 0 < self.head.length < HEAD and not self.beginning:
            self.beginning = file.read_at(0, self.head.length)
        data = file.read_at(self.position, self.wanted)
        # Looked at after the read: it was the same file then, too.
        same = file.packed or self.is_in(file, file.status())
        return data if same else b""

    def after(self, data: bytes) -> FilePlace:
        """State to save once a piece was taken in."""
        return FilePlace(
            self.number, str(self.path), self.status.inode, self.position + len(data),
            *self._begun(data)[0], self.status.modified,
        )  # fmt: skip

    def take(self, data: bytes) -> None:
        """Note that it was taken in."""
        self.head, self.beginning = self._begun(data)
        self.position += len(data)

    def _begun(self, data: bytes) -> tuple[FileHead, bytes]:
        if self.head.length >= HEAD:
            return self.head, b""
        beginning = (self.beginning + data)[:HEAD]
        head = head_of(beginning)
        return head, (b"" if head.length >= HEAD else beginning)

    def release(self) -> None:
        """Let go of the open file."""
        if self.file is not None:
            self.file.close()
            self.file = None


def head_of(beginning: bytes) -> FileHead:
    """Fingerprint of a file's beginning."""
    digest = hashlib.blake2b(beginning, digest_size=16).digest()
    return FileHead(len(beginning), digest)


def is_whole(data: bytes) -> bool:
    """Whether a line needs nothing more: an object or array that is closed."""
    if not data.rstrip().endswith((b"}", b"]")):
        return False
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def look(path: Path) -> FileStatus:
    """Say what lies at a path.

    Raises:
        OSError: nothing, or it may not be looked at.
    """
    return _status(path.stat())


def rotated(path: Path) -> list[Path]:
    """Files beside a log that rotation may have made of it.

    ``audit.log.1``, ``audit.log-20260102.gz`` and ``audit-20260102.log`` are such.
    """
    name, stem, suffix = path.name, path.stem, path.suffix
    found = [
        each
        for each in path.parent.iterdir()
        if each.name != name
        and (
            each.name.startswith((f"{name}.", f"{name}-"))
            or (
                suffix
                and each.name.startswith((f"{stem}-", f"{stem}."))
                and suffix in each.suffixes
            )
        )
    ]
    return [each for each in found if each.suffix not in _PACKED_OTHERWISE]


def _status(found: os.stat_result) -> FileStatus:
    return FileStatus(found.st_ino, found.st_size, found.st_mtime_ns)

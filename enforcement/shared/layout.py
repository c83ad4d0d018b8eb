"""The form of a shared table: words that change, columns by name, and rows.

One process writes the file, and any number of processes read it while it changes.
docs/shared-table.md says what everything means, for readers in other languages.

A file is sparse: it has room for many more names than there are, and takes memory for
those alone. Room is reserved before it is written to, since a write to a full memory
file system would kill the process.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import re
from contextlib import contextmanager, suppress
from stat import S_ISVTX, S_IWOTH
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAGIC: Final = int.from_bytes(b"RSCTABLE", "little")
VERSION: Final = 1
DESCRIPTION: Final = 512  # where the description begins
PAGE: Final = 4096
MODE: Final = 0o640
STEP: Final = 1 << 20  # bytes reserved at once

# Words: 64 bits each, by place in the file.
IS_TABLE: Final = 0
OF_VERSION: Final = 1
DESCRIBED: Final = 2  # bytes of the description
CHANGES: Final = 8
DEADLINE: Final = 9
CLOCK: Final = 10
NAMES: Final = 11
GENERATION: Final = 12
HORIZON: Final = 13
APPLIED: Final = 14
STATE: Final = 15
KINDS: Final = 16
KEPT: Final = 17
ROWS_END: Final = 18
NAMES_END: Final = 19
SINCE: Final = 20
WORDS: Final = 32

CAUGHT_UP: Final = 1  # bits of the state
SERVED: Final = 2
SOUND: Final = 4

NO_HORIZON: Final = -(1 << 63)
ROW: Final = 8  # rows begin at multiples of it
LENGTH: Final = 4  # bytes before a row

# By name: type, as docs/table-format.md has it. One entry a name.
COLUMNS: Final = {
    "flags": "u8",
    "relation": "u8",
    "ring": "i32",
    "parent": "i32",
    "issued": "i64",
    "expires": "i64",
    "changed": "i64",
    "row": "u32",
    "start": "u32",
    "next": "u32",
    "clear": "i64",
    "marks": "i64",
    "nearest": "i32",
}
CODES: Final[dict[str, Any]] = {"u8": "B", "u32": "I", "i32": "i", "i64": "q"}
WIDTHS: Final = {"u8": 1, "u32": 4, "i32": 4, "i64": 8}
OF_A_NAME: Final = 64  # bytes of room, for names and for rows
MOST_BYTES: Final = 1 << 32  # of names, which are found by 32 bits


class NotATableError(Exception):
    """A file is no shared table that this code and this machine can read."""


class SharedFile:
    """A mapped file, and its parts.

    Attributes:
        words: see above.
        columns: by name.
        buckets: by hash of a name, its number and 1, 0 for none.
        names, rows: bytes.
        description: what does not change.
        room: how many names the file has room for.
    """

    def __init__(self, descriptor: int, size: int, *, writes: bool) -> None:
        """Map a file.

        Raises:
            NotATableError: it is no table, or one of another version.
        """
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writes else 0)
        if size < PAGE:
            raise NotATableError(f"{size} bytes are no table")
        self._descriptor = descriptor
        self._reserved: dict[str, int] = {}
        self.mapped = mmap.mmap(descriptor, size, mmap.MAP_SHARED, access)
        whole = memoryview(self.mapped)
        self.words = whole[: 8 * WORDS].cast("q")
        if self.words[IS_TABLE] != MAGIC or self.words[OF_VERSION] != VERSION:
            raise NotATableError(f"a table of version {self.words[OF_VERSION]}")
        try:
            end = DESCRIPTION + self.words[DESCRIBED]
            self.description: dict[str, Any] = json.loads(self.mapped[DESCRIPTION:end])
            self._sections: dict[str, list[Any]] = self.description["sections"]
            self.columns = {
                name: self._section(whole, name, of) for name, of in COLUMNS.items()
            }
            self.buckets = self._section(whole, "buckets", "u32")
            self.names = self._section(whole, "names", "u8")
            self.rows = self._section(whole, "rows", "u8")
        except (LookupError, TypeError, ValueError) as error:
            raise NotATableError(f"not the sections of a table: {error!r}") from error
        self.room = len(self.columns["flags"])

    def _section(self, whole: memoryview, name: str, of: str) -> memoryview:
        kind, start, size = self._sections[name]
        if kind != of or not 0 < start < start + size <= len(whole):
            raise ValueError(f"section {name}")
        return whole[start : start + size].cast(CODES[of])

    @classmethod
    def made(cls, path: Path, room: int, described: Mapping[str, Any]) -> Self:
        """Make a file that has no names yet, with room for some.

        Raises:
            OSError: there is no room on the disk.
        """
        room = min(room, MOST_BYTES // OF_A_NAME)
        sections, size = _sections(room)
        # The places of sections follow the description, and make it longer.
        text = json.dumps({**described, "sections": sections}).encode()
        start = -(-(DESCRIPTION + len(text)) // PAGE) * PAGE + PAGE
        sections = {n: [of, start + at, z] for n, (of, at, z) in sections.items()}
        text = json.dumps({**described, "sections": sections}).encode()
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(descriptor, MODE)
            os.ftruncate(descriptor, start + size)
            _reserve(descriptor, 0, start)
            head = (MAGIC, VERSION, len(text))
            os.pwrite(descriptor, b"".join(n.to_bytes(8, "little") for n in head), 0)
            os.pwrite(descriptor, text, DESCRIPTION)
            made = cls(descriptor, start + size, writes=True)
            made.reserve("buckets", len(made.buckets) * WIDTHS["u32"])
        except BaseException:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return made

    @classmethod
    def opened(cls, path: Path) -> tuple[Self, os.stat_result]:
        """Map an existing file to read it.

        Raises:
            NotATableError: it is no table that can be read.
            OSError: there is none.
        """
        descriptor = os.open(path, os.O_RDONLY)
        try:
            stat = os.fstat(descriptor)
            _require_trust(path, stat)
            return cls(descriptor, stat.st_size, writes=False), stat
        finally:
            os.close(descriptor)  # the mapping has its own

    def begin(self, name: str) -> int:
        """Where a section begins in the file."""
        start: int = self._sections[name][1]
        return start

    def reserve(self, name: str, size: int) -> None:
        """Make sure that there is memory for the first bytes of a section.

        Raises:
            OSError: there is none.
        """
        reserved = self._reserved.get(name, 0)
        if size <= reserved:
            return
        _, start, most = self._sections[name]
        if size > most:
            raise OSError(f"no room for {size} bytes of {name}")
        upto = min(-(-size // STEP) * STEP, most)
        _reserve(self._descriptor, start + reserved, upto - reserved)
        self._reserved[name] = upto

    def reserve_names(self, count: int) -> None:
        """Make sure that there is memory for the columns of so many names.

        Raises:
            OSError: there is none.
        """
        for name, of in COLUMNS.items():
            self.reserve(name, count * WIDTHS[of])

    def end(self) -> None:
        """Write no more to it: who reads it must look for another one."""
        self.words[DEADLINE] = 0
        if self._descriptor >= 0:
            # The mapping has a descriptor of its own, which shares the lock.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
        self._descriptor = -1


def beside(path: Path) -> Path:
    """Choose a name in the folder of a table, for a file of its agent."""
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}")


def put(file: Path, path: Path) -> None:
    """Have a file stand at a path, too.

    Raises:
        OSError: the folder takes no name.
    """
    name = beside(path)
    name.hardlink_to(file)
    try:
        name.replace(path)
    finally:
        # Two names of one file are both left where they are.
        name.unlink(missing_ok=True)


@contextmanager
def _table(path: Path, flags: int) -> Iterator[int]:
    """Descriptor of a file that is a table of any version, and no link to one.

    Raises:
        NotATableError: it is none.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if os.pread(descriptor, 8, 8 * IS_TABLE) != MAGIC.to_bytes(8, "little"):
            raise NotATableError(f"{path} is no table")
        yield descriptor
    finally:
        os.close(descriptor)


def has_lease(path: Path, now: int) -> bool:
    """Whether the table at a path may be used at a time (ns of CLOCK_BOOTTIME)."""
    with suppress(OSError, NotATableError), _table(path, os.O_RDONLY) as table:
        deadline = os.pread(table, 8, 8 * DEADLINE)
        return now < int.from_bytes(deadline, "little", signed=True)
    return False


def end_predecessor(path: Path) -> dict[str, Any]:
    """Take the lease from the table of an agent that died.

    Its successor may soon say that all its readers know what it knows, and some may
    still have the lease of before.

    Returns:
        The description of the table where its agent lives, empty otherwise.
    """
    with suppress(OSError, NotATableError), _table(path, os.O_RDWR) as table:
        try:
            fcntl.flock(table, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return SharedFile.opened(path)[0].description
        os.pwrite(table, bytes(8), 8 * DEADLINE)
    return {}


def remove_leftovers(path: Path) -> None:
    """Remove the files beside a table whose writers are no more: nobody locks them."""
    ours = re.compile(re.escape(f".{path.name}.") + r"[0-9a-f]{8}(\.gone)?")
    for file in list(path.parent.iterdir()):
        if ours.fullmatch(file.name):
            with suppress(OSError, NotATableError), _table(file, os.O_RDONLY) as left:
                fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.unlink()


def _require_trust(path: Path, stat: os.stat_result) -> None:
    """Refuse a file that others than its agent may have written.

    Raises:
        NotATableError: everybody may write to it; or everybody may make files in its
            folder, and it is neither ours nor of the owner of the folder, nor of root.
    """
    if stat.st_mode & S_IWOTH:
        raise NotATableError(f"everybody may write to {path}")
    folder = path.parent.stat()
    if folder.st_mode & S_ISVTX and stat.st_uid not in {0, os.geteuid(), folder.st_uid}:
        raise NotATableError(f"anybody may have put {path} into its folder")


def _sections(room: int) -> tuple[dict[str, list[Any]], int]:
    """Types, places and sizes of all sections, from 0."""
    sizes = {name: (of, room * WIDTHS[of]) for name, of in COLUMNS.items()}
    buckets = 1 << max(room // 2, 1).bit_length()
    sizes |= {"buckets": ("u32", buckets * WIDTHS["u32"])}
    sizes |= dict.fromkeys(("names", "rows"), ("u8", room * OF_A_NAME))
    sections: dict[str, list[Any]] = {}
    at = 0
    for name, (of, size) in sizes.items():
        sections[name] = [of, at, size]
        at += -(-size // PAGE) * PAGE
    return sections, at


def _reserve(descriptor: int, start: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # macOS has none
        os.posix_fallocate(descriptor, start, size)

"""Find out which file of a log is which, while its writer rotates them.

Rules:

- What lies at a path is the file that was followed there iff it begins the same and
  is no shorter. Else that one is looked for: under another name (renamed or packed),
  as a copy (copied, then truncated), or still held open (deleted).
- What begins as a file that is still followed is a copy of it, and what is shorter
  than what was read of it is not finished: they are left alone. In a folder, for a
  moment only: two logs may begin with the same line.
- Beside a single log, a file that is not known is read where it is newer than the
  oldest that is: it came and went while nobody looked.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.pollers.logfiles import (
    HEAD,
    FileHead,
    FileStatus,
    Generation,
    LogFile,
    head_of,
    look,
    rotated,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.pollers.logfiles import FilePlace
    from streams.services.reading import RecordReader

SEARCH: Final = 60.0  # seconds that a file is looked for that is gone from its path
SETTLED: Final = 2.0  # seconds without a change, then a file is no copy in the making
MOST_OPEN: Final = 32
KEPT: Final = 20  # files of one log whose places stay known


class LogRotation:
    """The files of one watched path.

    Attributes:
        unreadable: what the last scan could not read, and why.
    """

    def __init__(
        self,
        root: Path,
        make: Callable[[], RecordReader],
        clock: Callable[[], float],
        saved: Iterable[FilePlace] = (),
    ) -> None:
        """Go on from saved places; ``clock`` gives seconds that never go back."""
        self._root = root
        self._make = make
        self._clock = clock
        self._shared: RecordReader | None = None
        self._next = 0
        self._all: list[Generation] = []
        self._at: dict[Path, Generation] = {}
        self._done: dict[Path, FileStatus] = {}
        self._left: dict[Path, tuple[FileStatus, float]] = {}
        self._heads: dict[FileHead, list[Generation]] = {}
        self._unread: dict[int, Generation] = {}
        self._open: dict[int, Generation] = {}
        self._renamed: list[Generation] = []
        self._search_until = clock() + SEARCH
        # A cancelled call goes on in its thread, and must not open what nobody closes.
        self._working = threading.Lock()
        self._closed = False
        self.unreadable: dict[Path, OSError] = {}
        for place in saved:
            status = FileStatus(place.inode, 0, place.modified)
            path = Path(place.path)
            if path in self._at:  # we stopped before its new name was known
                self._at[path].orphaned = clock()
            generation = self._add(place.number, path, status)
            generation.position = place.position
            del self._unread[place.inode]
            generation.head = FileHead(place.length, place.digest)
            self._file_under(generation)

    def scan(self) -> list[Generation]:
        """Files that may have something new, the oldest first.

        Raises:
            OSError: a folder cannot be listed.
        """
        with self._working:
            return [] if self._closed else self._scan()

    def _scan(self) -> list[Generation]:
        found = {}
        self.unreadable = {}
        for path in self._paths():
            try:
                status = look(path)
                if self._done.get(path) == status:
                    continue
                generation = self._look_at(path)
            except OSError as error:
                self.unreadable[path] = error
                continue
            if generation is not None:
                found[generation.number] = generation
        for generation in self._open.values():
            file = generation.file
            if file is None or file.packed or generation.number in found:
                continue
            if file.status().size > generation.position:
                found[generation.number] = generation
        return sorted(found.values(), key=lambda each: each.status.modified)

    def more(self, generation: Generation) -> bytes:
        """Next bytes of a file; empty where another file took its place.

        Raises:
            OSError: it cannot be read.
        """
        with self._working:
            return b"" if self._closed else self._more(generation)

    def _more(self, generation: Generation) -> bytes:
        if generation.file is None:  # let go, since many are followed
            file = LogFile(generation.path)
            if not generation.is_in(file, file.status()):
                file.close()
                return b""
            generation.file = file
            self._limit_open(generation)
        return generation.more()

    def take(self, generation: Generation, data: bytes) -> None:
        """Note that the next bytes of a file were taken in."""
        before = generation.head
        generation.take(data)
        self._unread.pop(generation.status.inode, None)
        if generation.head != before:
            self._unfile(generation, before)
            self._file_under(generation)

    def done(self, generation: Generation) -> None:
        """Note that there is nothing more in a file until it changes."""
        if self._at.get(generation.path) is generation:
            self._done[generation.path] = generation.status

    def renamed(self) -> list[FilePlace]:
        """Places of files found under another name, each once."""
        places = [each.after(b"") for each in self._renamed if each.position]
        self._renamed.clear()
        return places

    def lost(self) -> list[Generation]:
        """Files looked for in vain for long enough, each once."""
        late = self._clock() - SEARCH
        gone = [
            each
            for each in self._all
            if each.orphaned is not None and each.orphaned <= late
        ]
        for each in gone:
            each.orphaned = None
        # In a folder files come and go, and one that moved on was read to its end.
        lost = [each for each in gone if not each.file and each.path == self._root]
        for each in gone:
            each.release()
        return lost

    def forgotten(self) -> list[int]:
        """Numbers of the oldest files beyond those kept, each once."""
        if self._root.is_dir():
            return []
        gone = [each for each in self._all[:-KEPT] if each.orphaned is None]
        for each in gone:
            each.release()
            self._all.remove(each)
            self._unfile(each, each.head)
            self._unread.pop(each.status.inode, None)
            if self._at.get(each.path) is each:
                del self._at[each.path]
        return [each.number for each in gone]

    def close(self) -> None:
        """Let go of all open files, once a thread that uses them has ended."""
        with self._working:
            self._closed = True
            for each in self._all:
                each.release()

    def _add(self, number: int, path: Path, status: FileStatus) -> Generation:
        reader = self._shared
        if reader is None:
            reader = self._make()
            if not self._root.is_dir():
                self._shared = reader  # an event may begin in one file of a log
        generation = Generation(number, path, reader, status)
        self._next = max(self._next, number + 1)
        self._all.append(generation)
        self._at[path] = self._unread[status.inode] = generation
        return generation

    def _file_under(self, generation: Generation) -> None:
        self._heads.setdefault(generation.head, []).append(generation)

    def _unfile(self, generation: Generation, head: FileHead) -> None:
        filed = self._heads.get(head, [])
        if generation in filed:
            filed.remove(generation)
        if not filed:
            self._heads.pop(head, None)

    def _paths(self) -> list[Path]:
        root = self._root
        if root.is_dir():
            return [path for path in root.rglob("*") if path.is_file()]
        paths = [root] if root.is_file() else []
        if self._all and self._clock() < self._search_until:
            paths += [path for path in rotated(root) if path.is_file()]
        return paths

    def _look_at(self, path: Path) -> Generation | None:
        """File at a path, opened; None: it is left alone for now."""
        file = LogFile(path)
        try:
            status = file.status()
            known = self._at.get(path)
            if known is not None and not known.is_in(file, status):
                self._orphan(known)
                known = None
            known = known or self._identify(path, file, status)
            if known is None:
                return None
            if known.file is None or known.status.inode != status.inode:
                known.release()
                known.file = file
            known.status = status
        finally:
            if known is None or known.file is not file:
                file.close()
        self._limit_open(known)
        return known

    def _orphan(self, generation: Generation) -> None:
        """Note that another file lies where this one was."""
        del self._at[generation.path]
        self._done.pop(generation.path, None)
        generation.orphaned = self._clock()
        self._search_until = generation.orphaned + SEARCH
        for path in self._left:  # one of them may be it
            self._done.pop(path, None)
        file = generation.file
        if file is not None and not generation.is_in(file, file.status()):
            generation.release()  # truncated: only a copy has what was in it

    def _identify(
        self, path: Path, file: LogFile, status: FileStatus
    ) -> Generation | None:
        """Say which file this is that was not known at this path."""
        same = self._alike(file)
        unread = self._unread.get(status.inode)
        for each in (*same, *([unread] if unread else [])):
            gone = each.orphaned is not None or not each.path.exists()
            moved = gone or each.status.inode == status.inode
            if moved and each.is_in(file, status):
                return self._moved(each, path)
        if self._is_own(path, status, copies=bool(same)):
            self._left.pop(path, None)
            return self._add(self._next, path, status)
        return None

    def _alike(self, file: LogFile) -> list[Generation]:
        """Files that begin as this one, the longest beginning first."""
        start = file.read_at(0, HEAD)
        found: list[Generation] = []
        for length in sorted({head.length for head in self._heads}, reverse=True):
            if 0 < length <= len(start):
                found += self._heads.get(head_of(start[:length]), [])
        return found

    def _moved(self, generation: Generation, path: Path) -> Generation:
        if self._at.get(generation.path) is generation:
            del self._at[generation.path]
        self._left.pop(path, None)
        self._at[path] = generation
        generation.path, generation.orphaned = path, None
        self._renamed.append(generation)
        return generation

    def _is_own(self, path: Path, status: FileStatus, *, copies: bool) -> bool:
        """Whether a file is to be read from its start."""
        folder = self._root.is_dir()
        if path == self._root or (folder and not copies):
            return True
        before, since = self._left.get(path, (None, 0.0))
        if before != status:
            since = self._clock()
            self._left[path] = (status, since)
        if self._clock() - since < SETTLED:
            return False
        if folder or (not copies and self._is_news(status)):
            return True
        self._done[path] = status
        return False

    def _is_news(self, status: FileStatus) -> bool:
        """Whether a file beside the log is newer than the oldest that is known.

        All that were followed since then are known, so this one was missed.
        """
        return status.modified > min(each.status.modified for each in self._all)

    def _limit_open(self, used: Generation) -> None:
        """Let go of those that were not used for longest; an orphan is held."""
        self._open.pop(used.number, None)
        self._open[used.number] = used
        for each in list(self._open.values())[:-MOST_OPEN]:
            if each.orphaned is None:
                each.release()
            if each.file is None:
                del self._open[each.number]

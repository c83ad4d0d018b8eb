"""Follow growing log files: read new complete lines, remember how far.

The place in a file is saved in the same transaction as what was read there, so after
a crash no line is lost and none is read twice. A file that shrank or was replaced is
read from its start.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson
import structlog
from attrs import define

from streams.engine.ingest import read
from streams.failpoints import failpoint
from streams.intake import Delivery
from streams.records import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.engine.ingest import Ingest, Reader
    from streams.engine.store import Store
    from streams.engine.transaction import Transaction
    from streams.records import Record
    from streams.stages.admission import Rights
    from streams.stages.ingress import Origin

CHUNK: Final = 1 << 20
LONGEST_LINE: Final = 16 << 20
LINE_TOO_LONG: Final = (
    "line_too_long: more than 16 MiB without a line end; look at the file"
)

log = structlog.get_logger()


@define
class Followed:
    """A watched path: what reads it, and on whose behalf.

    Attributes:
        path: a file, or a folder whose files are all followed.
        make: makes a reader for one file.
        speaker: gives origin and rights, of now.
    """

    path: Path
    source: str
    make: Callable[[], Reader]
    speaker: Callable[[], tuple[Origin, Rights]]
    point: str = ""
    poll_seconds: float = 0.2


@define
class _File:
    inode: int
    position: int
    reader: Reader
    wanted: int = CHUNK
    skipping: bool = False


class Tail:
    """Follows one path."""

    def __init__(self, followed: Followed, store: Store, ingest: Ingest) -> None:
        """Set up; `run` reads."""
        self._followed = followed
        self._store = store
        self._ingest = ingest
        self._files: dict[Path, _File] = {}

    async def run(self) -> None:
        """Read what is there and what comes, until cancelled."""
        while True:
            worked = False
            for path in await asyncio.to_thread(self._listed):
                worked |= await self._poll(path)
            if not worked:
                await asyncio.sleep(self._followed.poll_seconds)

    def _listed(self) -> list[Path]:
        try:
            return self._paths()
        except OSError as error:
            # A folder that may not be entered for now is no reason to stop serving.
            path = str(self._followed.path)
            log.warning("not_readable", path=path, error=type(error).__name__)
            return []

    def _paths(self) -> list[Path]:
        path = self._followed.path
        if path.is_dir():
            return sorted(p for p in path.rglob("*") if p.is_file())
        return [path] if path.is_file() else []

    async def _poll(self, path: Path) -> bool:
        """Take in the next complete lines of a file; tell whether there were any."""
        try:
            inode, size = await asyncio.to_thread(_stat, path)
        except OSError:
            return False  # rotated away between listing and looking
        file = await self._file(path, inode, size)
        if size <= file.position:
            return False
        try:
            data = await asyncio.to_thread(_read_at, path, file.position, file.wanted)
        except OSError as error:
            log.warning("not_readable", path=str(path), error=type(error).__name__)
            return False
        failpoint("tail.read")
        return await self._take(path, file, data)

    async def _file(self, path: Path, inode: int, size: int) -> _File:
        file = self._files.get(path)
        if file is None:
            query = "SELECT inode, position FROM tails WHERE path = ?"
            rows = await self._store.read(query, str(path))
            known, position = rows[0] if rows else (inode, 0)
            file = _File(known, position, self._followed.make())
        if file.inode != inode or size < file.position:
            file = _File(inode, 0, self._followed.make())
        self._files[path] = file
        return file

    async def _take(self, path: Path, file: _File, data: bytes) -> bool:
        end = data.rfind(b"\n") + 1
        if end == 0:
            return await self._without_line_end(path, file, data)
        await self._take_lines(path, file, data[:end])
        return True

    async def _take_lines(self, path: Path, file: _File, data: bytes) -> None:
        lines = data
        if file.skipping:
            lines = lines[lines.find(b"\n") + 1 :]
        records: list[Record] = []
        if lines.strip():  # else the end of a line that was taken without it
            records = await read(file.reader, lines, self._followed.source)
        shift = file.position + len(data) - len(lines)
        await self._write(path, file, [_moved(r, shift) for r in records], len(data))
        file.wanted = CHUNK
        file.skipping = False

    async def _without_line_end(self, path: Path, file: _File, data: bytes) -> bool:
        """Wait for the rest of the line, or skip it where it has no end.

        A whole JSON value is a line without its end: CloudTrail's files have none.
        """
        if file.skipping:
            await self._write(path, file, [], len(data))
            return True
        if _is_whole(data):
            await self._take_lines(path, file, data)
            return True
        if len(data) < file.wanted:
            return False  # the writer has not finished it
        if file.wanted < LONGEST_LINE:
            file.wanted *= 2
            return True
        source = self._followed.source
        letter = DeadLetter(source, file.position, len(data), LINE_TOO_LONG)
        await self._write(path, file, [letter], len(data))
        file.skipping = True
        return True

    async def _write(
        self, path: Path, file: _File, records: list[Record], length: int
    ) -> None:
        position = file.position + length
        name, inode = str(path), file.inode

        def place(tx: Transaction) -> None:
            tx.set_tail(name, inode, position)

        origin, rights = self._followed.speaker()
        delivery = Delivery(
            records,
            origin,
            rights,
            self._followed.point,
            via=f"watch:{self._followed.path}",
            joined=True,
        )
        await self._ingest.records(delivery, place, patient=True)
        failpoint("tail.committed")
        file.position = position


def _stat(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_size


def _read_at(path: Path, position: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(position)
        return file.read(size)


def _is_whole(data: bytes) -> bool:
    """Tell whether a line needs nothing more: an object or array that is closed."""
    if not data.rstrip().endswith((b"}", b"]")):
        return False
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _moved(record: Record, shift: int) -> Record:
    """Give a record its place in the file instead of that in the chunk."""
    return record._replace(offset=record.offset + shift)

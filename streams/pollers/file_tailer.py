"""Follow growing log files: read new complete lines, remember how far.

The place in a file is saved with what was read there, or after it: after a crash no
line is lost, and in the embedded server none is read twice, however the files were
rotated meanwhile (`streams.pollers.log_rotation`). Where that cannot be had, it is a
finding.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from attrs import define, field

from streams.model.records import DeadLetter, moved
from streams.model.times import rfc3339
from streams.observability.failpoints import failpoint
from streams.pollers.log_rotation import LogRotation
from streams.pollers.logfiles import FilePlace, is_whole
from streams.ports.keyed_store import PLACE, Put, part, under
from streams.services.intake import IntakeBatch
from streams.services.reading import Records, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.model.records import Record
    from streams.pollers.logfiles import Generation
    from streams.ports.keyed_store import KeyedStore
    from streams.services.ingest import Intake
    from streams.services.reading import RecordReader
    from streams.stages.ingest.admission import Entitlements
    from streams.stages.ingest.ingress import Origin

CHUNK: Final = 1 << 20
LONGEST_LINE: Final = 16 << 20
LINE_TOO_LONG: Final = (
    "line_too_long: more than 16 MiB without a line end; look at the file"
)

MISSING: Final = (
    "{} was replaced or truncated, and what it held is nowhere beside it: lines after "
    "{} may be missing; keep rotated files beside the log until they were read"
)
NOT_THERE: Final = "there is no such file or folder yet; look at the path"
UNREADABLE: Final = "cannot be read: {}; give read access"

log = structlog.get_logger()


@define
class FollowedPath:
    """A watched path: what reads it, and on whose behalf.

    Attributes:
        path: a file, or a folder whose files are all followed.
        make: makes a reader for one file.
        speaker: gives origin and rights, of now.
    """

    path: Path
    source: str
    make: Callable[[], RecordReader]
    speaker: Callable[[], tuple[Origin, Entitlements]]
    point: str = ""
    poll_seconds: float = 0.2


@define(eq=False, repr=False)
class FileTailer:
    """Follows one path.

    Attributes:
        followed: what is watched.
        kept: remembers how far.
        ingest: takes in what was read.
        clock: gives the time (ns).
        count: notes by the source's name that it failed, or goes on.
        owner: name of the process, where others have a file at this path.
    """

    _followed: FollowedPath
    _kept: KeyedStore
    _ingest: Intake
    _clock: Callable[[], int]
    _count: Callable[[str, str, str], None] = lambda _name, _result, _why: None
    _owner: str = ""
    _trouble: str = field(default="", init=False)
    _warned: set[Path] = field(factory=set, init=False)
    _root: str = field(init=False)

    @_root.default
    def _place(self) -> str:
        return under(self._owner, part(str(self._followed.path)))

    async def run(self) -> None:
        """Read what is there and what comes, until cancelled."""
        files = LogRotation(
            self._followed.path,
            self._followed.make,
            asyncio.get_running_loop().time,
            await self._places(),
        )
        try:
            while True:
                if not await self._round(files):
                    await asyncio.sleep(self._followed.poll_seconds)
        finally:
            files.close()

    async def _places(self) -> list[FilePlace]:
        """Files of the path as they were left, in the order they were found.

        A process with a name takes up what a server without one has left once.
        """
        own = self._under(self._root)
        shared = part(str(self._followed.path))
        if own or self._root == shared:
            return own
        left = self._under(shared)
        # The oldest first: after an end in between, only newer files are read anew.
        for each in left:
            await self._keep(each)
        return left

    def _under(self, root: str) -> list[FilePlace]:
        kept = self._kept.items(PLACE).items()
        return sorted(
            FilePlace.load(body) for name, body in kept if name.startswith(f"{root}/")
        )

    async def _keep(self, place: FilePlace) -> None:
        name = f"{self._root}/{place.number}"
        await self._kept.put(PLACE, name, place.dump(), patient=True)

    def _put(self, place: FilePlace) -> Put:
        return Put(PLACE, f"{self._root}/{place.number}", place.dump())

    async def _round(self, files: LogRotation) -> bool:
        """Take in the next complete lines of each file; tell whether there were any."""
        try:
            found, there = await asyncio.to_thread(self._look, files)
        except OSError as error:
            there = True
            # A folder that may not be entered for now is no reason to stop serving.
            files.unreadable[self._followed.path] = error
            found = []
        self._warn(files)
        self._tell(files, there=there)
        worked = False
        for each in found:
            if await self._poll(files, each):
                worked = True
            else:
                files.done(each)
        await self._tidy(files)
        return worked

    def _look(self, files: LogRotation) -> tuple[list[Generation], bool]:
        return files.scan(), self._followed.path.exists()

    def _tell(self, files: LogRotation, *, there: bool) -> None:
        """Note in the health of the source what keeps it from being read."""
        trouble = "" if there else NOT_THERE
        if files.unreadable:
            trouble = UNREADABLE.format(", ".join(sorted(map(str, files.unreadable))))
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble == NOT_THERE:
            log.warning("watched_path_missing", path=str(self._followed.path))
        result = "failed" if trouble else "taken"
        self._count(f"watch:{self._followed.path}", result, trouble)

    def _warn(self, files: LogRotation) -> None:
        for path in files.unreadable.keys() - self._warned:
            error = files.unreadable[path]
            log.warning("not_readable", path=str(path), error=type(error).__name__)
        self._warned = set(files.unreadable)

    async def _tidy(self, files: LogRotation) -> None:
        lost, forgotten, renamed = files.lost(), files.forgotten(), files.renamed()
        if not (lost or forgotten or renamed):
            return
        also = [self._put(place) for place in renamed]
        also += [Put(PLACE, f"{self._root}/{number}", None) for number in forgotten]
        delivery = self._delivery([])
        if lost:
            since = min(each.status.modified for each in lost)
            delivery.gap = since, self._clock()
            delivery.loss = MISSING.format(self._followed.path, rfc3339(since))
        await self._ingest.records(delivery, also, patient=True)

    def _delivery(self, records: list[Record]) -> IntakeBatch:
        origin, rights = self._followed.speaker()
        return IntakeBatch(
            records,
            origin,
            rights,
            self._followed.point,
            via=f"watch:{self._followed.path}",
            joined=True,
        )

    async def _poll(self, files: LogRotation, file: Generation) -> bool:
        file.wanted = file.wanted or CHUNK
        try:
            data = await asyncio.to_thread(files.more, file)
        except OSError as error:
            log.warning("not_readable", path=str(file.path), error=type(error).__name__)
            return False
        failpoint("tail.read")
        return bool(data) and await self._take(files, file, data)

    async def _take(self, files: LogRotation, file: Generation, data: bytes) -> bool:
        end = data.rfind(b"\n") + 1
        if end == 0:
            return await self._without_line_end(files, file, data)
        await self._take_lines(files, file, data[:end])
        return True

    async def _take_lines(
        self, files: LogRotation, file: Generation, data: bytes
    ) -> None:
        lines = data
        if file.skipping:
            lines = lines[lines.find(b"\n") + 1 :]
        records = Records()
        if lines.strip():  # else the end of a line that was taken without it
            records = await read(file.reader, lines, self._followed.source)
        shift = file.position + len(data) - len(lines)
        placed = records.with_each(partial(moved, by=shift))
        await self._write(files, file, placed, data)
        file.wanted = CHUNK
        file.skipping = False

    async def _without_line_end(
        self, files: LogRotation, file: Generation, data: bytes
    ) -> bool:
        """Wait for the rest of the line, or skip it where it has no end.

        A whole JSON value is a line without its end: CloudTrail's files have none.
        """
        if file.skipping:
            await self._write(files, file, [], data)
            return True
        if is_whole(data):
            await self._take_lines(files, file, data)
            return True
        if len(data) < file.wanted:
            return False  # the writer has not finished it
        if file.wanted < LONGEST_LINE:
            file.wanted *= 2
            return True
        source = self._followed.source
        letter = DeadLetter(source, file.position, len(data), LINE_TOO_LONG)
        await self._write(files, file, [letter], data)
        file.skipping = True
        return True

    async def _write(
        self, files: LogRotation, file: Generation, records: list[Record], data: bytes
    ) -> None:
        also = [self._put(file.after(data))]
        await self._ingest.records(self._delivery(records), also, patient=True)
        failpoint("tail.committed")
        files.take(file, data)

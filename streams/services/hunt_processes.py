"""Read the logs of a hunt in several processes.

The main process hands out parts of files and merges excerpts as they come; excerpts
wait in pipes, so a process that is ahead waits too. What a source that pairs lines
wrote is read by one process, in the order of its files.

Processes are forks where that is safe, else they are spawned. They share the seed of
the hashes of strings, by which the main process recognises repeats, and the pepper of
the run.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import secrets
import signal
from collections import deque
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import define, field

from streams.model.keyed_names import LEAST_BYTES
from streams.model.use_batch import UseBatch
from streams.services.excerpt_writer import ExcerptWriter
from streams.services.hunt_excerpts import MOST_RECORDS, Excerpt, places
from streams.services.hunt_forks import in_fork, judge_in_forks, may_fork
from streams.services.log_blocks import FilePart
from streams.services.parse import LogReader, chosen
from streams.services.secret_names import SecretNames
from streams.services.unread_input import ParseTally, UnreadInput, UnreadPiece

if TYPE_CHECKING:
    from array import array
    from collections.abc import Collection, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkContext, SpawnContext
    from multiprocessing.process import BaseProcess

    from streams.model.records import Record
    from streams.services.hunt import Hunt
    from streams.services.parse import ReadProgress

AHEAD: Final = 2  # parts that a process was given and has not read
_SEED: Final = "PYTHONHASHSEED"
_PROBE: Final = "rescind"
_Unread = dict[tuple[str, str], UnreadInput]


class HuntProcessError(RuntimeError):
    """A process of the hunt ended: what it had read is lost."""


class LogChoice(NamedTuple):
    """How the logs are read.

    Attributes:
        source: name of the source, None to recognise it file by file.
        mapping: a mapping file, instead of a source.
        named: files that somebody named.
        pepper: of this run alone: what is hashed is compared with nothing else.
    """

    source: str | None
    mapping: Path | None
    named: Collection[Path]
    pepper: bytes

    @classmethod
    def of(
        cls, source: str | None, mapping: Path | None, named: Collection[Path]
    ) -> LogChoice:
        """Choice with a fresh pepper."""
        return cls(source, mapping, named, secrets.token_bytes(LEAST_BYTES))


class PartRead(NamedTuple):
    """A part was read, or all were.

    Attributes:
        unread: what could not be read; lines count from the beginning of the part.
        lines: line ends in it, where its file may be cut.
        left: parts of the same file that are to be read apart.
        in_order: nothing was read: the file must be read after those before it.
    """

    part: FilePart
    unread: _Unread
    lines: int = 0
    left: Sequence[FilePart] = ()
    in_order: bool = False


class LogShare:
    """Reads some of the logs of a hunt."""

    def __init__(self, choice: LogChoice, progress: ReadProgress | None = None) -> None:
        """Open the source that is chosen.

        Raises:
            ValueError: there is no such source, or the mapping has an error.
        """
        self.tally = ParseTally()
        reader = chosen(choice.source, choice.mapping)
        self._reader = LogReader(reader, choice.named, self.tally, progress)
        self._names = SecretNames((choice.pepper,))
        self._writer = ExcerptWriter()

    def read(self, part: FilePart, *, cut: bool = False) -> Iterator[Excerpt]:
        """Excerpts of a part; see `LogReader.read`."""
        writer, count = self._writer, 0
        conceal = self._names.conceal
        records: list[Record] = []  # many go through each step together: that is faster
        for item in self._reader.batches(part, cut=cut):
            if isinstance(item, UseBatch):
                count += len(records) + len(item.callers)
                writer.add_all(list(map(conceal, records)))
                records.clear()
                writer.add_batch(item, conceal)
            else:
                records.append(item)
            if count + len(records) >= MOST_RECORDS:
                writer.add_all(list(map(conceal, records)))
                records.clear()
                count = 0
                yield writer.take()
        writer.add_all(list(map(conceal, records)))
        writer.close_event()
        yield writer.take()

    def left(self) -> list[FilePart]:
        """Take what of the file is to be read apart, once the first block is begun."""
        left, self._reader.left = self._reader.left, []
        return left

    def done(self, part: FilePart) -> PartRead:
        """Return what else there is to say at the end of a part."""
        unread, self.tally.unread = self.tally.unread, {}
        reader = self._reader
        return PartRead(part, unread, reader.lines, reader.left, reader.in_order)

    def close(self) -> Excerpt:
        """Excerpt of what waited for its other half."""
        for record in self._reader.close():
            self._writer.add(self._names.conceal(record))
        self._writer.close_event()
        return self._writer.take()


def read_alone(
    files: Sequence[Path], choice: LogChoice, hunt: Hunt, progress: ReadProgress | None
) -> ParseTally:
    """Read the files of a hunt in this process.

    Raises:
        OSError, ValueError: as `LogReader` and `LogShare` do.
    """
    share, here = LogShare(choice, progress), places()
    for file in files:
        for excerpt in share.read(FilePart(file)):
            hunt.merge(excerpt, here)
    hunt.merge(share.close(), here)
    return share.tally


def start_context() -> ForkContext | SpawnContext:
    """How processes start: as forks where these are whole."""
    if may_fork():
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


def work(pipe: Connection, choice: LogChoice, others: Sequence[Connection]) -> None:
    """Read what the main process hands out, until it closes the pipe or says None.

    Args:
        pipe: to the main process.
        choice: how the logs are read.
        others: its ends of pipes, which a fork has too; while they are open here, no
            process notices the end of the main one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends the others
    for other in others:
        other.close()
    gc.disable()  # millions of small objects in no cycle: a third of the time
    pipe.send(hash(_PROBE))
    try:
        share = LogShare(choice, lambda *news: pipe.send(news))
        while (task := pipe.recv()) is not None:
            part, cut = task
            for excerpt in share.read(part, cut=cut):
                if left := share.left():
                    pipe.send(left)
                pipe.send(excerpt)
            pipe.send(share.done(part))
        pipe.send(share.close())
        pipe.send(share.tally)
    except (OSError, ValueError) as error:
        if not isinstance(error, BrokenPipeError | ConnectionError):
            pipe.send(error)
    except EOFError:
        pass  # the main process ended


@define(eq=False)
class _Reader:
    """A process, and what it was given."""

    process: BaseProcess
    pipe: Connection
    parts: deque[FilePart] = field(factory=deque)
    places: array[int] = field(factory=places)
    seen: str = ""

    def give(self, part: FilePart, *, cut: bool) -> None:
        self.parts.append(part)
        self.seen = str(part.file)
        self._send((part, cut))

    def end(self) -> None:
        self._send(None)

    def _send(self, message: object) -> None:
        try:
            self.pipe.send(message)
        except OSError as error:
            raise self.died() from error

    def died(self) -> HuntProcessError:
        """Name what a process that ended was reading."""
        self.process.join(5)
        code = self.process.exitcode
        how = f"exit code {code}"
        if code is not None and code < 0:
            how = f"{signal.Signals(-code).name}"
        file = self.parts[0].file if self.parts else self.seen or "no file yet"
        return HuntProcessError(
            f"the process that read {file} ended ({how}), so there is no report; "
            "if memory was short, hunt again with fewer --jobs"
        )


class HuntProcesses:
    """Several processes that read for one hunt."""

    def __init__(
        self, choice: LogChoice, hunt: Hunt, progress: ReadProgress | None = None
    ) -> None:
        """Start none yet."""
        self._choice, self._hunt, self._progress = choice, hunt, progress
        self._readers: list[_Reader] = []
        self._waiting: deque[FilePart] = deque()
        self._in_order: list[FilePart] = []
        self._read: list[PartRead] = []
        self._tally = ParseTally()

    def run(self, files: Sequence[Path], jobs: int) -> ParseTally:
        """Read files; no process is left when this ends, however it does.

        Raises:
            HuntProcessError: a process ended.
            OSError, ValueError: as `read_alone` does.
        """
        order = {file: number for number, file in enumerate(files)}
        self._waiting.extend(map(FilePart, files))
        try:
            self._start(jobs)
            self._read_all(cut=True)
            self._waiting.extend(sorted(self._in_order, key=lambda p: order[p.file]))
            self._read_all(cut=False)
            for reader in self._readers:
                reader.end()
            while self._readers:
                self._hear()
        finally:
            for reader in self._readers:
                reader.process.kill()
                reader.process.join()
        self._read.sort(key=lambda read: (order[read.part.file], read.part.start))
        waited = PartRead(FilePart(Path()), self._tally.unread)
        self._tally.unread = joined([*self._read, waited])
        self._hunt.spread = partial(judge_in_forks, shares=jobs)
        if jobs > 1:
            self._hunt.beside = in_fork
        return self._tally

    def _start(self, jobs: int) -> None:
        context = start_context()
        before = os.environ.get(_SEED)
        os.environ[_SEED] = str(secrets.randbelow(1 << 32))
        try:
            for _ in range(jobs):
                ours, theirs = context.Pipe()
                open_ones = [*(reader.pipe for reader in self._readers), ours]
                others = open_ones if context.get_start_method() == "fork" else []
                process = context.Process(
                    target=work, args=(theirs, self._choice, others), daemon=True
                )
                process.start()
                theirs.close()
                self._readers.append(_Reader(process, ours))
        finally:
            os.environ.pop(_SEED)
            if before is not None:
                os.environ[_SEED] = before
        if len({self._next(reader) for reader in self._readers}) > 1:
            raise HuntProcessError(
                f"Python ignores {_SEED} here, so processes cannot compare what they "
                "read: hunt with --jobs 1"
            )

    def _next(self, reader: _Reader) -> object:
        try:
            return reader.pipe.recv()
        except (EOFError, OSError) as error:
            raise reader.died() from error

    def _read_all(self, *, cut: bool) -> None:
        """Hand out all that waits; what is read in order goes to the first process."""
        readers = self._readers if cut else self._readers[:1]
        while self._waiting or any(reader.parts for reader in readers):
            for _ in range(AHEAD):
                for reader in readers:
                    if self._waiting and len(reader.parts) < AHEAD:
                        reader.give(self._waiting.popleft(), cut=cut)
            self._hear()

    def _hear(self) -> None:
        """Take one message of each process that has any."""
        by_pipe = {reader.pipe: reader for reader in self._readers}
        for pipe in wait(list(by_pipe)):
            reader = by_pipe[pipe]  # type: ignore[index]
            self._take(reader, self._next(reader))

    def _take(self, reader: _Reader, message: object) -> None:
        match message:
            case Excerpt():
                self._hunt.merge(message, reader.places)
            case list():
                # Before other files: the end of a large file is not left to the last.
                self._waiting.extendleft(reversed(message))
            case PartRead():
                reader.parts.popleft()
                self._waiting.extendleft(reversed(message.left))
                if message.in_order:
                    self._in_order.append(message.part)
                else:
                    self._read.append(message)
            case ParseTally():
                self._readers.remove(reader)
                reader.process.join()
                self._tally.read += message.read
                self._tally.unknown.update(message.unknown)
                self._tally.unread |= message.unread
            case Exception():
                raise message
            case tuple() if self._progress is not None:
                self._progress(*message)


def joined(parts: Sequence[PartRead]) -> _Unread:
    """Put together what could not be read; lines count from the file's first."""
    found: _Unread = {}
    file, before = None, 0
    for part in parts:
        if part.part.file != file:
            file, before = part.part.file, 0
        for key, unread in part.unread.items():
            line = unread.first.line
            first = UnreadPiece(unread.first.file, line + before if line else 0)
            known = found.setdefault(key, UnreadInput(first))
            known.pieces += unread.pieces
        before += part.lines
    return found

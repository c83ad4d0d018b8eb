"""Read log files and folders into canonical records.

Folders are read recursively in name order, gzip is recognised by its content, and
the source of each file by its first events where none is named. Offsets count the
bytes of the (unpacked) file.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from streams.model.keyed_names import LEAST_BYTES
from streams.model.records import DeadLetter, Lifecycle
from streams.services.event_id_conflicts import EventIdConflicts
from streams.services.log_blocks import FilePart, blocks, is_packed, parts_behind
from streams.services.secret_names import SecretNames
from streams.services.unread_input import LetterPlaces, ParseTally, together
from streams.sources.catalogue import source as make_source
from streams.sources.guess import guess_bytes
from streams.sources.reading.envelope import Event, events
from streams.sources.stream import open_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from streams.model.records import Record
    from streams.model.use_batch import UseBatch
    from streams.sources import Source
    from streams.sources.stream import Stream

UNKNOWN: Final = "unknown"
NO_SOURCE: Final = (
    "unknown_source: the content tells no source; name it with --source or --mapping"
)
UNREADABLE: Final = "unreadable_file: {}; give read access, then read it again"


class ReadProgress(Protocol):
    """Told, after each block, how many more bytes on disk were read of a file."""

    def __call__(self, file: Path, more: int, size: int) -> None:
        """Take the news."""


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Files below the paths in name order, without hidden ones.

    What is named itself may also be a pipe; what a folder holds must be a file.

    Raises:
        FileNotFoundError: a path does not exist, or a folder holds no files.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            message = f"no such file or folder: {path}"
            raise FileNotFoundError(message)
        if not path.is_dir():  # a pipe too: <(zcat ...), /dev/stdin
            found.append(path)
            continue
        below = (one for one in path.rglob("*") if one.is_file())
        shown = sorted(
            one
            for one in below
            if not any(part.startswith(".") for part in one.relative_to(path).parts)
        )
        if not shown:
            raise FileNotFoundError(f"there are no files in the folder {path}")
        found += shown
    return found


def parse_paths(
    paths: Iterable[Path | str],
    source: str | Callable[[], Source] | None = None,
    *,
    progress: ReadProgress | None = None,
    tally: ParseTally | None = None,
) -> Iterator[Record]:
    """Return the records of all files below the paths, in file order.

    Args:
        paths: files and folders.
        source: the name of a source or its maker; None recognises it file by file.
        progress: told after each block.
        tally: gets, at the end, what was read.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: there is no source of that name.

    A secret that is named by its value has a hash of its own in each call.
    """
    named = [Path(path) for path in paths]
    # A pepper of this run alone: what is named here is compared with nothing else.
    names = SecretNames((secrets.token_bytes(LEAST_BYTES),))
    compare = EventIdConflicts().noted
    reader = LogReader(source, named, tally or ParseTally(), progress, compare)
    return map(names.conceal, reader.all(files_of(named)))


class LogReader:
    """Reads files one after the other.

    Attributes:
        left: what of the last file is to be read apart, where files may be cut; known
            with the first record.
        in_order: the last file was not read: its source pairs lines, over all files.
        lines: line ends in the last part.
    """

    def __init__(
        self,
        source: str | Callable[[], Source] | None,
        named: Collection[Path],
        tally: ParseTally,
        progress: ReadProgress | None = None,
        compare: Callable[[Iterable[Record]], Iterable[Record]] = iter,
    ) -> None:
        """Open the source that is chosen.

        Args:
            source: as `parse_paths` takes it.
            named: files that somebody named: that one cannot be opened is an error.
            tally: gets what was read.
            progress: told after each block.
            compare: passes the records on, with dead letters of its own.
        """
        self._chosen: Stream | None = None
        if source is not None:
            made = make_source(source) if isinstance(source, str) else source()
            self._chosen = open_stream(made)
        self._named, self._tally = frozenset(named), tally
        self._progress, self._compare = progress, compare
        # One a name, over all files: a pair may be split by the rotation of a log.
        self._streams = {} if self._chosen is None else {"": self._chosen}
        self._fed: dict[int, list[LetterPlaces]] = {}  # by stream that pairs lines
        self.left: list[FilePart] = []
        self.in_order = False
        self.lines = 0

    def all(self, files: Iterable[Path]) -> Iterator[Record]:
        """Return the records of files, in their order, and of what waited."""
        for file in files:
            yield from self.read(FilePart(file))
        yield from self.close()

    def read(self, part: FilePart, *, cut: bool = False) -> Iterator[Record]:
        """Return the records of a part.

        Args:
            part: a file, or a part that ``left`` told.
            cut: read only the first block of a large file of lines, and nothing of one
                whose source pairs lines; see ``left`` and ``in_order``.

        Raises:
            OSError: a file that was named cannot be opened.
        """
        return self._read(part, self._feed, cut=cut)

    def batches(
        self, part: FilePart, *, cut: bool = False
    ) -> Iterator[Record | UseBatch]:
        """Return what `read` does, uses in batches; nothing is compared."""
        return self._read(part, _batches, cut=cut)

    def _feed(self, stream: Stream, data: bytes, base: int) -> Iterable[Record]:
        return self._compare(stream.feed(data, base))

    def _read(
        self,
        part: FilePart,
        feed: Callable[[Stream, bytes, int], Iterable[Any]],
        *,
        cut: bool,
    ) -> Iterator[Any]:
        file, self.left, self.in_order, self.lines = part.file, [], False, 0
        places = LetterPlaces(str(file), self._tally)
        try:
            opened = file.open("rb")
        except OSError as error:
            if file in self._named:  # a wrong argument, no accident within a folder
                raise
            self._tally.read += 1
            letter = DeadLetter(UNKNOWN, 0, 0, UNREADABLE.format(error))
            yield from places.noted((letter,))
            return
        stream = self._chosen
        with opened:
            size = os.fstat(opened.fileno()).st_size
            plain, at = not is_packed(opened), part.start
            for base, data, broken in blocks(opened, part):
                if stream is None:
                    stream = self._stream(part.source or guess_bytes(data) or UNKNOWN)
                if cut and stream.pairs:
                    self.in_order = True
                    return
                self._enter(stream, places, data, base)
                self.lines = places.lines
                first = cut and plain and not base and 0 < len(data) < size
                if first:  # told before the block is read: others may begin
                    name = next(n for n, s in self._streams.items() if s is stream)
                    parts = parts_behind(opened, part, len(data), size, name or None)
                    self.left = list(parts)
                made = feed(stream, data, base) if data or not broken else ()
                yield from places.noted(chain(made, _broken(base + len(data), broken)))
                if self._progress is not None and opened.seekable():
                    before, at = at, base + len(data) if plain else opened.tell()
                    self._progress(file, at - before, size)
                if first:
                    return

    def _stream(self, name: str) -> Stream:
        if name not in self._streams:
            made = _NoSource() if name == UNKNOWN else make_source(name)
            self._streams[name] = open_stream(made)
        return self._streams[name]

    def _enter(
        self, stream: Stream, places: LetterPlaces, data: bytes, base: int
    ) -> None:
        places.enter(data, base)
        if stream.pairs:
            fed = self._fed.setdefault(id(stream), [])
            if not fed or fed[-1] is not places:
                for before in fed:
                    before.enter(b"", 0)  # its last block is needed no more
                fed.append(places)

    def close(self) -> Iterator[Record]:
        """Return the records of what waited for its other half; complete the tally."""
        for stream in self._streams.values():
            places = together(self._fed.get(id(stream), []), self._tally)
            yield from places.noted(self._compare(stream.close()))
            self._tally.read += stream.read
            self._tally.unknown.update(stream.unknown)


def _broken(offset: int, why: str) -> Iterator[DeadLetter]:
    """Say what is broken behind a block, if anything is."""
    if why:
        yield DeadLetter(UNKNOWN, offset, 0, why)


def _batches(stream: Stream, data: bytes, base: int) -> Iterator[Record | UseBatch]:
    return stream.batches(data, base)


class _NoSource:
    """Account for the events of a file that no source recognises."""

    def __init__(self) -> None:
        self.read = 0

    def records(self, data: bytes) -> Iterator[Record]:
        """Dead letter for each event and each bad piece."""
        for item in events(data, UNKNOWN):
            self.read += 1
            if isinstance(item, Event):
                yield DeadLetter(UNKNOWN, item.offset, item.length, NO_SOURCE)
            else:
                yield item


def summary(counts: Counter[str], tally: ParseTally) -> str:
    """Paragraph for a person: what was read, and what had no effect."""
    unknown = tally.unknown
    records = f"{counts['lifecycle']} lifecycle, {counts['access']} access"
    letters = f"{counts['dead_letter']} dead letters"
    lines = [f"{tally.read} events read: {records}, {letters}"]
    if unknown:
        shown = ", ".join(f"{name} {n}" for name, n in unknown.most_common(5))
        more = len(unknown) - 5
        lines.append(
            f"{unknown.total()} events of {len(unknown)} types change no authority: "
            f"{shown}" + (f" and {more} more types" if more > 0 else "")
        )
    return "\n".join(lines)


def kind_of(record: Record) -> str:
    """``lifecycle``, ``access`` or ``dead_letter``."""
    if isinstance(record, DeadLetter):
        return "dead_letter"
    return "lifecycle" if isinstance(record, Lifecycle) else "access"


def chosen(
    source: str | None, mapping: Path | None
) -> str | Callable[[], Source] | None:
    """Source that the options name: a name, a maker, or None to guess.

    Raises:
        ValueError: both options are given, or the mapping has an error.
    """
    if mapping is None:
        return source
    if source is not None:
        message = "give either --source or --mapping: a mapping is a source"
        raise ValueError(message)
    # Each process of a hunt imports this module; models of mappings take half as long.
    from streams.sources.mapped.generic import Generic  # noqa: PLC0415
    from streams.sources.mapped.mapping import load_mapping  # noqa: PLC0415

    loaded = load_mapping(mapping.read_text(encoding="utf-8"), str(mapping))
    return lambda: Generic(loaded)

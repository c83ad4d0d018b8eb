"""Read log files and folders into canonical records.

Folders are read recursively in name order, gzip is recognised by its content, and
the source of each file by its first events where none is named. Offsets count the
bytes of the (unpacked) file.
"""

from __future__ import annotations

import secrets
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from attrs import define, field

from streams.model.keyed_names import LEAST_BYTES
from streams.model.records import DeadLetter, Lifecycle
from streams.services.event_id_conflicts import COLLISION, EventIdConflicts
from streams.services.secret_names import SecretNames
from streams.sources.catalogue import source as make_source
from streams.sources.guess import guess_bytes
from streams.sources.mapped.generic import Generic
from streams.sources.mapped.mapping import load_mapping
from streams.sources.reading.envelope import TOO_LARGE, Event, events, has_lines
from streams.sources.stream import open_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from io import BufferedReader

    from streams.model.records import Record
    from streams.sources import Source
    from streams.sources.stream import Stream

BLOCK: Final = 32 << 20  # bytes read at once; a document is read whole
DOCUMENT: Final = 1 << 30  # bytes of a document (or of a gzip bomb) held in memory
UNKNOWN: Final = "unknown"
NO_SOURCE: Final = (
    "unknown_source: the content tells no source; name it with --source or --mapping"
)
GZIP: Final = "truncated_gzip: the archive breaks off here; fetch the file again"
UNREADABLE: Final = "unreadable_file: {}; give read access, then read it again"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_BITS: Final = zlib.MAX_WBITS | 16
_PACKED: Final = 1 << 20


class UnreadPiece(NamedTuple):
    """Where something lies that could not be read.

    Attributes:
        file: its path.
        line: from 1; 0 where that is not known.
    """

    file: str
    line: int = 0


@define
class UnreadInput:
    """What could not be read of a file for one reason: the first, and how many."""

    first: UnreadPiece
    pieces: int = 0


@define
class ParseTally:
    """What was read.

    Attributes:
        read: events and unreadable pieces.
        unknown: how often each event type came that changes no authority.
        unread: what could not be read, by file and reason.
        last: where the dead letter lies that was given last.
    """

    read: int = 0
    unknown: Counter[str] = field(factory=Counter)
    unread: dict[tuple[str, str], UnreadInput] = field(factory=dict)
    last: UnreadPiece | None = None

    def lost(self, letter: DeadLetter, piece: UnreadPiece) -> None:
        """Count a dead letter where it lies."""
        self.last = piece
        known = self.unread.setdefault((piece.file, letter.reason), UnreadInput(piece))
        known.pieces += letter.pieces


class ReadProgress(Protocol):
    """Told, after each block, how many bytes on disk were read of how many."""

    def __call__(self, done: int, total: int) -> None:
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
    chosen: Stream | None = None
    if source is not None:
        made = make_source(source) if isinstance(source, str) else source()
        chosen = open_stream(made)
    files = files_of(named)
    # A pepper of this run alone: what is named here is compared with nothing else.
    names = SecretNames((secrets.token_bytes(LEAST_BYTES),))
    found = _read(files, frozenset(named), chosen, progress, tally or ParseTally())
    return map(names.conceal, found)


def _read(
    files: list[Path],
    named: frozenset[Path],
    chosen: Stream | None,
    progress: ReadProgress | None,
    tally: ParseTally,
) -> Iterator[Record]:
    done, total = 0, sum(file.stat().st_size for file in files)
    # One a name, over all files: a pair may be split by the rotation of a log.
    open_streams: dict[str, Stream] = {} if chosen is None else {"": chosen}
    fed: dict[int, list[_Places]] = {}  # by stream
    collisions = EventIdConflicts()
    for file in files:
        reader = chosen
        try:
            opened = file.open("rb")
        except OSError as error:
            if file in named:  # a wrong argument, no accident within a folder
                raise
            tally.read += 1
            letter = DeadLetter(UNKNOWN, 0, 0, UNREADABLE.format(error))
            yield from _Places(str(file), tally).noted((letter,))
            continue
        places = _Places(str(file), tally)
        with opened:
            for base, data, broken in _blocks(opened):
                if reader is None:
                    reader = _recognised(data, open_streams)
                if places not in fed.setdefault(id(reader), []):
                    fed[id(reader)].append(places)
                places.enter(data, base)
                yield from places.noted(collisions.noted(reader.feed(data, base)))
                if broken:
                    letter = DeadLetter(UNKNOWN, base + len(data), 0, broken)
                    yield from places.noted((letter,))
                if progress is not None and opened.seekable():
                    progress(done + opened.tell(), total)
        done += file.stat().st_size
    for stream in open_streams.values():
        places = _together(fed.get(id(stream), []), tally)
        yield from places.noted(collisions.noted(stream.close()))
        tally.read += stream.read
        tally.unknown.update(stream.unknown)


class _Places:
    """Finds the lines of dead letters in the blocks of a file; they mostly ascend."""

    def __init__(self, file: str, tally: ParseTally) -> None:
        self.file, self._tally = file, tally
        self._data, self._base, self._begin = b"", 0, 1  # line that the block begins
        self._line = 1
        self._at = 0  # up to where in the block lines are counted

    def enter(self, data: bytes, base: int) -> None:
        """Go on with the next block."""
        self._line += self._data.count(b"\n", self._at)
        self._data, self._base, self._at = data, base, 0
        self._begin = self._line

    def noted(self, records: Iterable[Record]) -> Iterator[Record]:
        """Return records; the dead letters among them are counted where they lie."""
        for record in records:
            # Of two contents of one id both were read.
            if isinstance(record, DeadLetter) and record.reason != COLLISION:
                self._tally.lost(record, self._of(record))
            yield record

    def _of(self, letter: DeadLetter) -> UnreadPiece:
        """Place of a dead letter; without its line where the block is gone."""
        start = letter.offset - self._base
        if start < 0 or not self._data:
            return UnreadPiece(self.file)
        if start < self._at:
            self._line, self._at = self._begin, 0
        self._line += self._data.count(b"\n", self._at, start)
        self._at = start
        return UnreadPiece(self.file, self._line)


def _together(files: Sequence[_Places], tally: ParseTally) -> _Places:
    """Places of what a stream gives at its end: nothing says of which of its files."""
    if len(files) == 1:
        return files[0]
    return _Places(" to ".join(each.file for each in (*files[:1], *files[-1:])), tally)


def _recognised(data: bytes, open_streams: dict[str, Stream]) -> Stream:
    name = guess_bytes(data)
    if name is None:
        return open_streams.setdefault(UNKNOWN, open_stream(_NoSource()))
    if name not in open_streams:
        open_streams[name] = open_stream(make_source(name))
    return open_streams[name]


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


def _blocks(stream: BufferedReader) -> Iterator[tuple[int, bytes, str]]:
    """(offset, bytes, what is broken) of a file: blocks of whole lines.

    A document that is not made of lines comes in one block, whatever its size.
    """
    base, rest, first, broken = 0, b"", True, ""
    for piece, broken in _pieces(stream):
        rest += piece
        if len(rest) > DOCUMENT:
            yield base, b"", TOO_LARGE
            return
        cut = rest.rfind(b"\n") + 1
        if broken or not cut or len(rest) < BLOCK or (first and not has_lines(rest)):
            continue
        yield base, rest[:cut], ""
        base, rest, first = base + cut, rest[cut:], False
    if rest or first or broken:
        yield base, rest, broken


def _pieces(stream: BufferedReader) -> Iterator[tuple[bytes, str]]:
    """Unpacked bytes of a file, and GZIP where an archive breaks off."""
    if not stream.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC):  # a pipe cannot seek
        while piece := stream.read(BLOCK):
            yield piece, ""
        return
    unpacker, inside = zlib.decompressobj(_GZIP_BITS), False
    while packed := stream.read(_PACKED):
        while packed:
            try:
                yield unpacker.decompress(packed, BLOCK), ""
            except zlib.error:
                yield b"", GZIP
                return
            packed, inside = unpacker.unconsumed_tail, not unpacker.eof
            if unpacker.eof:  # further members or padding (RFC 1952 section 2.2)
                packed = unpacker.unused_data.lstrip(b"\0")
                unpacker = zlib.decompressobj(_GZIP_BITS)
    if inside:
        yield unpacker.flush(), GZIP


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
    loaded = load_mapping(mapping.read_text(encoding="utf-8"), str(mapping))
    return lambda: Generic(loaded)

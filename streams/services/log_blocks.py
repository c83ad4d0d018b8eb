"""Cut files into blocks of whole lines, and large ones into parts.

Gzip is recognised by its content. A packed file cannot be entered in the middle, and a
document (one JSON value) has no lines: neither is read in parts.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streams.sources.reading.envelope import TOO_LARGE, has_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

BLOCK: Final = 4 << 20  # bytes of lines read at once; a document is read whole
# Bytes of a part at most, blocks of it. Callers come again near by, and each process
# learns them anew: parts of one block took a tenth longer than parts of four.
PART: Final = 64 << 20
_PARTS: Final = 16  # or more, of a file: several processes end at the same time
_PIECES: Final = 4  # blocks read at once of what cannot be entered in the middle
DOCUMENT: Final = 1 << 30  # bytes of a document (or of a gzip bomb) held in memory
GZIP: Final = "truncated_gzip: the archive breaks off here; fetch the file again"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_BITS: Final = zlib.MAX_WBITS | 16
_PACKED: Final = 1 << 20
_PACKED_IN: Final = 10  # bytes of a log in one of an archive: between 8 and 20
_TAIL: Final = 1 << 16  # bytes read at once to find the end of a line
_NEWLINE: Final = ord("\n")
_COUNTED: Final = 1 << 20  # bytes at once


class FilePart(NamedTuple):
    """What one process reads: a file, or whole lines of a large one.

    Attributes:
        start: offset of its first byte.
        stop: that behind its last byte; None: the end of the file.
        source: name of the source, where the first part of the file told it.
    """

    file: Path
    start: int = 0
    stop: int | None = None
    source: str | None = None


def blocks(opened: BufferedReader, part: FilePart) -> Iterator[tuple[int, bytes, str]]:
    """(offset, bytes, what is broken) of a part: blocks of whole lines.

    A document that is not made of lines comes in one block, whatever its size.
    """
    if part.start:
        yield from _lines(opened, part.start, part.stop)
        return
    enterable = opened.seekable() and not is_packed(opened)
    base, rest, first, broken = 0, b"", True, ""
    for piece, broken in _pieces(opened):
        rest += piece
        if len(rest) > DOCUMENT:
            yield base, b"", TOO_LARGE
            return
        cut = rest.rfind(b"\n") + 1
        if broken or not cut or len(rest) < BLOCK or (first and not has_lines(rest)):
            continue
        yield base, rest[:cut], ""
        base, rest, first = base + cut, rest[cut:], False
        # In one go each: to put pieces together takes their time again.
        if enterable and _size(opened) > base:
            yield from _lines(opened, base, None)
            return
    if rest or first or broken:
        yield base, rest, broken


def _lines(
    opened: BufferedReader, start: int, stop: int | None
) -> Iterator[tuple[int, bytes, str]]:
    """Blocks of whole lines between two offsets; without the second up to the end."""
    end = _size(opened) if stop is None else stop
    for begin, behind in _cuts(opened, start, end, BLOCK):
        if behind - begin > DOCUMENT:
            yield begin, b"", TOO_LARGE
            continue
        opened.seek(begin)
        is_last = stop is None and behind == end  # it may hold more by now
        if data := opened.read(-1 if is_last else behind - begin):
            yield begin, data, ""


def line_ends(data: bytes) -> int:
    """Count line ends; of a block `bytes.count` takes thrice the time."""
    all_of = np.frombuffer(data, np.uint8)
    return sum(
        int(np.count_nonzero(all_of[at : at + _COUNTED] == _NEWLINE))
        for at in range(0, len(all_of), _COUNTED)
    )


def _size(opened: BufferedReader) -> int:
    return os.fstat(opened.fileno()).st_size


def parts_behind(
    opened: BufferedReader, part: FilePart, start: int, size: int, source: str | None
) -> Iterator[FilePart]:
    """Parts of a file of lines behind its first block: some blocks of it each."""
    step = max(1, min(PART, size // _PARTS) // BLOCK) * BLOCK
    for begin, behind in _cuts(opened, start, size, step):
        stop = None if behind == size else behind
        yield FilePart(part.file, begin, stop, source)


def _cuts(
    opened: BufferedReader, start: int, stop: int, step: int
) -> Iterator[tuple[int, int]]:
    """Offsets of pieces of whole lines, each up to a multiple of some bytes."""
    searched = start
    for end in range(step * (start // step + 1), stop, step):
        behind = _behind_line(opened, searched, end)
        if behind > searched:
            yield start, behind
            start = behind
        searched = end  # a line may be very long
    if start < stop:
        yield start, stop


def _behind_line(opened: BufferedReader, start: int, end: int) -> int:
    """Offset behind the last line that ends before an offset; start without one."""
    while end > start:
        begin = max(start, end - _TAIL)
        opened.seek(begin)
        found = opened.read(end - begin).rfind(b"\n") + 1
        if found:
            return begin + found
        end = begin
    return start


def is_packed(opened: BufferedReader) -> bool:
    """Whether a file begins as gzip does."""
    return opened.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)  # a pipe cannot seek


def bytes_to_read(file: Path) -> int:
    """Estimate of a file's bytes once it is unpacked; 0 of one that cannot be read."""
    try:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            return size * _PACKED_IN if is_packed(opened) else size
    except OSError:
        return 0


def _pieces(stream: BufferedReader) -> Iterator[tuple[bytes, str]]:
    """Unpacked bytes of a file, and GZIP where an archive breaks off."""
    if not is_packed(stream):
        size = BLOCK
        while piece := stream.read(size):
            yield piece, ""
            size = BLOCK * _PIECES
        return
    unpacker, inside = zlib.decompressobj(_GZIP_BITS), False
    while packed := stream.read(_PACKED):
        while packed:
            try:
                yield unpacker.decompress(packed, BLOCK * _PIECES), ""
            except zlib.error:
                yield b"", GZIP
                return
            packed, inside = unpacker.unconsumed_tail, not unpacker.eof
            if unpacker.eof:  # further members or padding (RFC 1952 section 2.2)
                packed = unpacker.unused_data.lstrip(b"\0")
                unpacker = zlib.decompressobj(_GZIP_BITS)
    if inside:
        yield unpacker.flush(), GZIP

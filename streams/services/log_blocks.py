"""Cut files into blocks of whole lines, and large ones into parts.

Gzip is recognised by its content. A packed file cannot be entered in the middle, and a
document (one JSON value) has no lines: neither is read in parts.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from streams.sources.reading.envelope import TOO_LARGE, has_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

BLOCK: Final = 16 << 20  # bytes read at once; a document is read whole
DOCUMENT: Final = 1 << 30  # bytes of a document (or of a gzip bomb) held in memory
GZIP: Final = "truncated_gzip: the archive breaks off here; fetch the file again"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_BITS: Final = zlib.MAX_WBITS | 16
_PACKED: Final = 1 << 20
_PACKED_IN: Final = 10  # bytes of a log in one of an archive: between 8 and 20
_TAIL: Final = 1 << 16  # bytes read at once to find the end of a line


class FilePart(NamedTuple):
    """What is read in one go: a file, or whole lines of a large one.

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
        opened.seek(part.start)
        size = -1 if part.stop is None else part.stop - part.start
        data = b"" if size > DOCUMENT else opened.read(size)
        yield part.start, data, TOO_LARGE if size > DOCUMENT else ""
        return
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
    if rest or first or broken:
        yield base, rest, broken


def cuts(
    opened: BufferedReader, part: FilePart, start: int, size: int, source: str | None
) -> Iterator[FilePart]:
    """Parts of a file of lines behind a first one, as `blocks` would read them."""
    for end in range(BLOCK * (start // BLOCK + 1), size, BLOCK):
        stop = _behind_line(opened, start, end)
        if stop > start:
            yield FilePart(part.file, start, stop, source)
            start = stop
    yield FilePart(part.file, start, None, source)


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

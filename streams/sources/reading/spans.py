"""Find where the values of a JSON text stand, without making them."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_KEY: Final = re.compile(rb'\{\s*"[^"\\]*"')
# The end of the last element, where nothing but the ends of what holds it follows.
_LAST: Final = re.compile(rb"\}(?=\s*\](?:\s*\})*\s*\Z)")
_TAIL: Final = 64  # bytes
GAP: Final = re.compile(rb"[\s,]*")
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}"]', re.DOTALL)
_SCALAR: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s,\]]+', re.DOTALL)


def cheap_spans(
    data: bytes, array: int, end: int, count: int
) -> list[tuple[int, int]] | None:
    """Offset and length of each element, found by its first key.

    None when the first key does not occur exactly once an element: the answer would
    be a guess.
    """
    first = FIRST_KEY.search(data, array, end)
    if first is None:
        return None if count else []
    key, position, starts = first.group(), first.start(), []
    find = data.find
    while position >= 0:
        starts.append(position)
        position = find(key, position + 1, end)
    if len(starts) != count:
        return None
    spans = [
        (one, (data.rfind(b"}", one, following) + 1 or following) - one)
        for one, following in pairwise(starts)
    ]
    last = starts[-1]
    closed = _LAST.search(data, max(last, end - _TAIL), end)
    return [*spans, (last, (closed.start() + 1 if closed else end) - last)]


def scanned_spans(
    data: bytes, array: int, end: int, count: int
) -> Iterator[tuple[int, int]]:
    """Offset and length of each element of a sound list, token by token.

    Where the list begins is a guess (an earlier key may have its name): an element
    that is not there has the offset of what is left.
    """
    for _ in range(count):
        start = GAP.match(data, array, end).end()  # type: ignore[union-attr]
        scalar = _SCALAR.match(data, start, end)
        stop = scalar.end() if scalar else end
        if data[start : start + 1] in (b"{", b"["):
            stop = value_end(data, start, end) or end
        yield start, stop - start
        array = stop


def value_end(data: bytes, start: int, end: int) -> int | None:
    """Offset behind the object or array at start; None: it has no end."""
    depth = 0
    for token in _TOKEN.finditer(data, start, end):
        first = data[token.start()]
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
            if depth <= 0:
                return token.end()
        elif token.end() - token.start() == 1:
            return None  # a string that never ends
    return None


def broken_inside(piece: bytes) -> bool:
    """Whether UTF-8 is broken elsewhere than in a character cut at the end."""
    try:
        piece[:-3].decode()
    except UnicodeDecodeError as error:
        return error.end < len(piece[:-3]) or error.reason != "unexpected end of data"
    return False

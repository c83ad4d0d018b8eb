"""Take events out of what carries them: lines, arrays, documents, strings.

Rules:

- One malformed event never costs its neighbours: each is a counted dead letter with
  its reason, byte offset and length, and reading goes on behind it.
- Whole documents and lines are read by one fast parse. Only where that fails does a
  scanner look for the boundaries of the single events.
- No input raises, wherever it was cut.

An event's offset is that of its own first byte.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from streams.model.records import DeadLetter
from streams.sources.reading.csv_export import is_table, rows
from streams.sources.reading.spans import (
    FIRST_KEY,
    GAP,
    broken_inside,
    cheap_spans,
    scanned_spans,
    value_end,
)
from streams.sources.reading.wrapping import (
    CONTAINER,
    LISTS,
    SYSLOG,
    WRAPPING,
    inside,
    list_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LIMIT: Final = 1 << 20  # bytes of one event; the largest real ones have 256 KiB

EMPTY: Final = "empty: the input has no bytes to read; check how it was written"
TOO_LARGE: Final = "too_large: an event has more than 1 MiB; shorten it at the source"
TOO_DEEP: Final = "too_deep: the JSON nests too deeply; no source writes this"
ENCODING: Final = "wrong_encoding: not UTF-8; convert the input to UTF-8"
NUL: Final = "nul_bytes: NUL bytes in the text; a torn write or a truncated log"
MALFORMED: Final = "malformed: not JSON; look at these bytes at the source"
TRUNCATED: Final = "truncated: the input ends inside an event; read the file again"
TABLE: Final = (
    "csv: a table, and no column holds the event as JSON; export the log as JSON, or "
    "read it from the system's API"
)
NOT_OBJECT: Final = "not_an_object: an event is a JSON object; look at the source"

_LISTS: Final = {name: re.compile(rb'"%b"\s*:\s*\[' % name.encode()) for name in LISTS}
_LIST: Final = re.compile(
    rb"""\s*(?:\{(?:
        [^\[{]{0,1024}?"(?:R|r)ecords"\s*:\s*
        |\s*"Events"\s*:\s*
        |[^\[{]{0,256}?"EventList"[^\[{]{0,256}?
            (?:"metadata"\s*:\s*\{[^\[{}]{0,256}\}[^\[{]{0,64}?)?"items"\s*:\s*
        |[^\[{]{0,1024}?"com\.okta\.[^\[{]{0,1024}?"data"\s*:\s*\{\s*"events"\s*:\s*
        |\s*"@odata[^\[{]{0,1024}?"value"\s*:\s*
        |\s*(?:"object"\s*:\s*"list"\s*,\s*)?"data"\s*:\s*
        |\s*"audit_logs"\s*:\s*
    ))?\[""",
    re.VERBOSE,
)
_SAID: Final = re.compile(rb"\S")  # to strip a block copies it
_BETWEEN: Final = b" \t\r\n,"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"[\0", b"\0{\0", b"\0[\0")
_BOM: Final = b"\xef\xbb\xbf"
# Bytes that are scanned for the end of a value without a result; at least once all.
_MOST_LOST: Final = 4 << 20
# Broken pieces that are looked at closely. Of an input with more of them, a further
# short one, or one that begins like no event, is only counted.
_MOST_EXPLAINED: Final = 1_000
_SHORT: Final = 7  # bytes; no event with a name and a value has less
_BEGINS: Final = b"{[ \t\r\0\xef"  # of what may be an event, a list or torn
_TAIL: Final = 64  # bytes at the end that may be blank
_MAX_PROBES: Final = 1_000


class Event(NamedTuple):
    """One event, unwrapped, and where it stood in the input."""

    offset: int
    length: int
    body: dict[str, Any]


Item = Event | DeadLetter


def events(data: bytes, source: str) -> Iterator[Item]:
    """Events of an input in its order, and a dead letter per bad piece.

    Args:
        data: the bytes of a file, a request body or a block of whole lines.
        source: the name that the dead letters carry.
    """
    return EnvelopeReader(data, source).items()


class EnvelopeReader:
    """Reads one input; what it makes of lines is another thing in a batch."""

    def __init__(self, data: bytes, source: str) -> None:
        """Start at the first byte; see `events`."""
        self.data = data
        self.source = source
        self._may_lose = max(_MOST_LOST, len(data))
        self._unexplained = _MOST_EXPLAINED
        self._passed = self._last = 0
        self._first = 0, 0
        # Behind it there is nothing: what breaks off here was cut, not malformed.
        self.end = max(0, len(data) - _TAIL) + len(data[-_TAIL:].rstrip(_BETWEEN))

    def items(self) -> Iterator[Any]:
        """Return events and dead letters in their order."""
        data = self.data
        start = len(_BOM) if data.startswith(_BOM) else 0
        if _SAID.search(data, start) is None:
            yield self._dead(0, len(data), EMPTY)
        elif data.startswith(_UTF16):
            yield self._dead(0, len(data), ENCODING)
        else:
            yield from self._choose(start)
            yield from self._told()

    def _pass(self, start: int, end: int) -> bool:
        """Count a piece that is not worth a look; tell whether it is none."""
        if self._unexplained > 0 or (
            end - start >= _SHORT and self.data[start] in _BEGINS
        ):
            return False
        if not self._passed:
            self._first = start, end - start
        self._passed += 1
        self._last = start
        return True

    def _told(self) -> Iterator[DeadLetter]:
        if self._passed:
            offset, length = self._first
            letter = self._dead(offset, length, MALFORMED)
            yield letter._replace(pieces=self._passed, span=self._last - offset)

    def _choose(self, start: int) -> Iterator[Any]:
        data = self.data
        start = len(data) - len(data[start:].lstrip())
        if _first_line_is_json(data, start):
            yield from self._lines(start)
            return
        if data[start] not in b"{[" and is_table(data, start):
            yield from self._table(start)
            return
        document = _loads(data[start:] if start else data)
        if document is not None:
            yield from self._expand(document, start, len(data))
        elif has_lines(data, start):
            yield from self._lines(start)
        elif (array := _array_start(data, start)) is not None:
            yield from self._salvage(array, len(data), unclosed=True)
        elif data[start] in b"{[":
            yield from self._salvage(start, len(data))
        else:
            yield from self._lines(start)

    def _table(self, start: int) -> Iterator[Item]:
        """Read the rows of a CSV export; those without an event are one letter."""
        plain: list[tuple[int, int]] = []
        held = False
        for offset, length, text in rows(self.data, start):
            value = None if text is None else _loads(text)
            if type(value) is dict and length <= LIMIT:
                held = True
                yield self._unwrap(value, offset, length)
            elif text is None:
                plain.append((offset, length))
            else:
                reason = TOO_LARGE if length > LIMIT else MALFORMED
                yield self._dead(offset, length, reason)
        if held and plain and plain[0][0] == start:
            del plain[0]  # a header of few columns
        if plain:
            offset, length = plain[0]
            letter = self._dead(offset, length, TABLE)
            yield letter._replace(pieces=len(plain), span=plain[-1][0] - offset)

    def _lines(self, start: int) -> Iterator[Any]:
        return self.single_lines(start, len(self.data))

    def single_lines(self, start: int, stop: int) -> Iterator[Item]:
        """Read the lines that begin in a range, one by one."""
        data = self.data
        loads, find, bare = orjson.loads, data.find, WRAPPING.isdisjoint
        while start < stop:
            end = find(b"\n", start, stop)
            if end < 0:
                end = stop
            if self._unexplained <= 0 and end > start and self._pass_line(start, end):
                start = end + 1
                continue
            line = data[start:end]
            try:
                value = loads(line)
                if type(value) is dict and bare(value) and end - start <= LIMIT:
                    yield Event(start, end - start, value)
                else:
                    yield from self._expand(value, start, end)
            except orjson.JSONDecodeError:
                if line.strip():
                    yield from self._bad_line(line, start)
            start = end + 1

    def _pass_line(self, start: int, end: int) -> bool:
        """Count a line that cannot be an event, without parsing it."""
        return self.data[start] not in _BEGINS and self._pass(start, end)

    def _bad_line(self, line: bytes, start: int) -> Iterator[Item]:
        """Save what can be saved of a line that is not one JSON value."""
        end = start + len(line)
        if self._pass(start, end):
            return
        array = _array_start(line, 0)
        if array is not None:
            whole = start <= len(_BOM) and end >= self.end
            yield from self._salvage(start + array, end, unclosed=whole)
            return
        header = CONTAINER.match(line) or SYSLOG.match(line)
        if header is not None and _loads(line[header.end() :]) is not None:
            yield from self._one(start + header.end(), end)
            return
        text = line.lstrip(b"\0")
        if len(text) < len(line) and text.strip(b"\0 \r"):
            # copytruncate and crashes leave a run of NULs before a sound line
            yield self._dead(start, len(line) - len(text), NUL)
            start = end - len(text)
            yield from self._one(start, end)
            return
        yield self._dead(start, len(line), self._why(line, start))

    def _expand(self, value: Any, start: int, end: int) -> Iterator[Item]:
        """Events of one parsed value that stood at start..end."""
        if type(value) is list:
            array = self.data.find(b"[", start) + 1
            yield from self._elements(value, array, end)
            return
        name, inner = list_of(value) if type(value) is dict else ("", None)
        if inner is not None:
            found = _LISTS[name].search(self.data, start, end)
            array = found.end() if found else start + 1
            yield from self._elements(inner, array, end)
            return
        if type(value) is not dict:
            yield self._dead(start, end - start, NOT_OBJECT)
        elif end - start > LIMIT:
            yield self._dead(start, end - start, TOO_LARGE)
        else:
            yield self._unwrap(value, start, end - start)

    def _elements(self, values: list[Any], array: int, end: int) -> Iterator[Item]:
        spans: Iterable[tuple[int, int]] | None
        spans = cheap_spans(self.data, array, end, len(values))
        if spans is None:
            spans = scanned_spans(self.data, array, end, len(values))
        for value, (offset, length) in zip(values, spans, strict=True):
            if type(value) is not dict:
                yield self._dead(offset, length, NOT_OBJECT)
            elif length > LIMIT:
                yield self._dead(offset, length, TOO_LARGE)
            else:
                yield self._unwrap(value, offset, length)

    def _salvage(
        self, position: int, end: int, *, unclosed: bool = False
    ) -> Iterator[Item]:
        """Read value by value: sound ones are events, the rest dead letters.

        A list that was cut between two events is one too, where ``unclosed``.
        """
        data = self.data
        first = FIRST_KEY.search(data, position, end)
        separator = first.group() if first else b"\n{"
        while (position := GAP.match(data, position, end).end()) < end:  # type: ignore[union-attr]
            if data[position] in b"]}":
                position += 1  # the tail of the array or document
                unclosed = False
                continue
            stop = None
            if self._may_lose > 0 and data[position] in b"{[":
                stop = value_end(data, position, end)
                self._may_lose -= 0 if stop else end - position
            if stop is None:
                found = data.find(separator, position + 1, end)
                stop = found if found >= 0 else end
            for item in self._one(position, stop):
                unclosed = unclosed and not isinstance(item, DeadLetter)
                yield item
            position = stop
        if unclosed:
            yield self._dead(self.end, 0, TRUNCATED)

    def _one(self, start: int, end: int) -> Iterator[Item]:
        piece = self.data[start:end].rstrip(_BETWEEN)
        if self._pass(start, start + len(piece)):
            return
        value = _loads(piece)
        if value is None:
            yield self._dead(start, len(piece), self._why(piece, start))
        else:
            yield from self._expand(value, start, start + len(piece))

    def _unwrap(self, value: dict[str, Any], start: int, length: int) -> Item:
        body = inside(value)
        if body is value:
            return Event(start, length, value)
        if type(body) is str:
            body = _loads(body.encode(errors="replace"))
        if type(body) is not dict:
            return self._dead(start, length, NOT_OBJECT)
        return Event(start, length, body)

    def _why(self, piece: bytes, start: int) -> str:
        """Name the reason why a piece did not parse."""
        if len(piece) > LIMIT:
            return TOO_LARGE
        self._unexplained -= 1
        if self._unexplained < 0:
            return MALFORMED
        try:
            orjson.loads(piece)
        except orjson.JSONDecodeError as error:
            if "depth" in str(error) or "recursion" in str(error).lower():
                return TOO_DEEP
        try:
            piece.decode()
        except UnicodeDecodeError:
            at_cut = start + len(piece) >= self.end
            cut = at_cut and not broken_inside(piece)
            return TRUNCATED if cut else ENCODING
        if b"\0" in piece:
            return NUL
        if start + len(piece) >= self.end and (
            piece[:1] in b"{[" and value_end(piece, 0, len(piece)) is None
        ):
            return TRUNCATED
        return MALFORMED

    def _dead(self, offset: int, length: int, reason: str) -> DeadLetter:
        return DeadLetter(self.source, offset, length, reason)


def has_lines(data: bytes, start: int = 0) -> bool:
    """Whether an input is made of lines that are events by themselves.

    The first line may be torn. (Else it is one document, or several.)
    """
    if _first_line_is_json(data, start):
        return True
    if data[start : start + _TAIL].lstrip(_BOM + _BETWEEN)[:1] not in b"{[":
        return True  # text, or a torn first line
    # In an array commas end the lines, except the last one.
    probes = _MAX_PROBES if _array_start(data, start) is None else 1
    line_end = start
    for _ in range(probes):
        line = data.find(b"\n{", line_end) + 1
        if line == 0:
            return False
        line_end = data.find(b"\n", line)
        if line_end < 0:
            line_end = len(data)
        if _loads(data[line:line_end]) is not None:
            return True
    return False


def _first_line_is_json(data: bytes, start: int) -> bool:
    line_end = data.find(b"\n", start)
    return line_end < 0 or _loads(data[start:line_end]) is not None


def _loads(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _array_start(data: bytes, start: int) -> int | None:
    """Offset behind the ``[`` of an array or of a document's list."""
    match = _LIST.match(data, start)
    return match.end() if match else None

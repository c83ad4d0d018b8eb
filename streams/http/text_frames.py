"""Frames of a WebSocket (RFC 6455): a text of ours as bytes, and texts out of pieces.

Bytes of a text frame are made once and shared by all connections that get it. Of what a
client sends, only whole short text frames are read here; everything else (long frames,
parts of messages, control frames, what breaks the rules) is handed on as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT: Final = 0x81  # a whole message
LAST: Final = 0x80
OPCODE: Final = 0x0F
CONTROL: Final = 0x08
MASKED: Final = 0x80
LENGTH: Final = 0x7F
LENGTH_16, LENGTH_64 = 126, 127
MASK: Final = 4  # bytes
SHORT: Final = 4096  # bytes of a text that is read here; pings and receipts are less


def text_frame(text: bytes) -> bytes:
    """Frame of a server with a whole text."""
    size = len(text)
    if size < LENGTH_16:
        return bytes((TEXT, size)) + text
    if size < 1 << 16:
        return bytes((TEXT, LENGTH_16)) + size.to_bytes(2) + text
    return bytes((TEXT, LENGTH_64)) + size.to_bytes(8) + text


class ClientPart(NamedTuple):
    """Something that a client sent.

    Attributes:
        raw: bytes as they came.
        text: of a whole short text frame; None: something else.
        ends: it is the end of a message.
    """

    raw: bytes
    text: bytes | None
    ends: bool


class ClientFrames:
    """Frames of a client, of bytes that come in any pieces."""

    def __init__(self) -> None:
        self._rest = b""  # the beginning of a frame
        self._out = 0  # bytes of it that are with who takes all the rest
        self._left = 0  # bytes that a long frame lacks
        self._ends = False  # whether that one ends a message
        self._within = False  # a message of which not all frames came

    def hand_on(self) -> None:
        """Have the beginning that was kept not come out again: it is elsewhere."""
        self._out = len(self._rest)

    def parts(self, data: bytes) -> Iterator[ClientPart]:
        """Take a piece; all bytes come out again but the beginning of a short frame."""
        if self._left:
            raw, data = data[: self._left], data[self._left :]
            self._left -= len(raw)
            yield ClientPart(raw, None, self._ends and not self._left)
        if self._rest:
            data, self._rest = self._rest + data, b""
        while data:
            head = _head(data)
            if head is None:
                self._rest = data
                return
            begin, size = head
            stop, ends = begin + size, self._ended(data[0])
            text = None
            if size > SHORT:
                self._left, self._ends = max(0, stop - len(data)), ends
                ends = ends and not self._left
            elif len(data) < stop:
                self._rest = data
                return
            elif data[0] == TEXT and data[1] & MASKED and not self._within:
                text = _unmasked(data[begin - MASK : begin], data[begin:stop])
            if data[0] & OPCODE < CONTROL:
                self._within = not data[0] & LAST
            out, self._out = self._out, 0
            yield ClientPart(data[out:stop], None if out else text, ends)
            data = data[stop:]

    def _ended(self, first: int) -> bool:
        return bool(first & LAST) and first & OPCODE < CONTROL


def _head(data: bytes) -> tuple[int, int] | None:
    """Where the payload of a frame begins, and its size; None: not all of it came."""
    if len(data) < 2:  # noqa: PLR2004 - bytes of the shortest head
        return None
    size, begin = data[1] & LENGTH, 2
    if size >= LENGTH_16:
        begin += 2 if size == LENGTH_16 else 8
        if len(data) < begin:
            return None
        size = int.from_bytes(data[2:begin])
    begin += MASK if data[1] & MASKED else 0
    return (begin, size) if len(data) >= begin else None


def _unmasked(mask: bytes, payload: bytes) -> bytes:
    size = len(payload)
    key = int.from_bytes((mask * (size // MASK + 1))[:size])
    return (int.from_bytes(payload) ^ key).to_bytes(size)

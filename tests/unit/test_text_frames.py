"""Frames of a WebSocket as bytes: the edges of lengths, and what is handed on."""

from __future__ import annotations

import pytest

from streams.http.text_frames import SHORT, ClientFrames, text_frame

pytestmark = pytest.mark.unit

MASK = b"\x11\x22\x33\x44"


def of_client(payload: bytes, first: int = 0x81, mask: bytes | None = MASK) -> bytes:
    """Give a frame as a client sends it (RFC 6455 section 5.2)."""
    size, bit = len(payload), 0x80 if mask else 0
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 1 << 16:
        head = bytes((first, bit | 126)) + size.to_bytes(2)
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8)
    if mask is None:
        return head + payload
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + masked


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_text_has_the_head_of_its_length(size: int, head: bytes) -> None:
    """As RFC 6455 has it; a server masks nothing."""
    assert head + b"x" * size == text_frame(b"x" * size)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 125, 126, SHORT])
def test_a_whole_short_text_is_read(size: int) -> None:
    """Whatever its mask."""
    text = bytes(range(256)) * (size // 256 + 1)
    ((raw, read, ends),) = ClientFrames().parts(of_client(text[:size]))

    assert (of_client(text[:size]), text[:size], True) == (raw, read, ends)


@pytest.mark.parametrize(
    ("frames", "ends"),
    [
        ([of_client(b"x" * (SHORT + 1))], [True]),
        ([of_client(b"bye", 0x88)], [False]),
        ([of_client(b"", 0x89)], [False]),
        ([of_client(b"binary", 0x82)], [True]),
        ([of_client(b"text", mask=None)], [True]),
        ([of_client(b"packed", 0xC1)], [True]),
        # A ping of the WebSocket may come between the parts of a message.
        (
            [
                of_client(b"pa", 0x01),
                of_client(b"", 0x89),
                of_client(b"rt", 0x00),
                of_client(b"s", 0x80),
            ],
            [False, False, False, True],
        ),
    ],
)
def test_everything_else_is_handed_on_as_it_came(
    frames: list[bytes], ends: list[bool]
) -> None:
    """And a message counts where it ends; control frames are none."""
    reader = ClientFrames()
    parts = [part for frame in frames for part in reader.parts(frame)]

    assert frames == [part.raw for part in parts]
    assert ends == [part.ends for part in parts]
    assert {None} == {part.text for part in parts}
    assert b"next" == next(iter(reader.parts(of_client(b"next")))).text


def test_a_text_within_another_message_is_handed_on() -> None:
    """It breaks the rules: whoever reads the other part says so."""
    reader = ClientFrames()
    parts = [*reader.parts(of_client(b"pa", 0x01)), *reader.parts(of_client(b"text"))]

    assert [None, None] == [part.text for part in parts]


def test_a_long_frame_is_not_kept() -> None:
    """Its bytes are handed on as they come; it ends a message with the last one."""
    frame, reader = of_client(b"x" * (3 * SHORT)), ClientFrames()
    pieces = [frame[at : at + 100] for at in range(0, len(frame), 100)]
    parts = [part for piece in pieces for part in reader.parts(piece)]

    assert pieces == [part.raw for part in parts]
    assert [len(parts) - 1] == [at for at, part in enumerate(parts) if part.ends]

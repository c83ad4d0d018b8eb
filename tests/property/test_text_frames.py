"""Whatever a client sends, in whatever pieces: two ways of reading lose no message."""

from __future__ import annotations

import asyncio
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp.http import WebSocketReader
from aiohttp.http_websocket import WSMsgType

from streams.http.text_frames import SHORT, ClientFrames
from tests.unit.test_text_frames import of_client

pytestmark = pytest.mark.property

WORLDS = 200
SIZES = (0, 1, 5, 40, 125, 126, 300, SHORT, SHORT + 1, 3 * SHORT)


def message(random: Random, number: int) -> tuple[bytes, list[bytes]]:
    """Give a text and the frames that it is sent in, control frames between them."""
    text = f"{number}:".encode() + b"x" * random.choice(SIZES)
    mask = random.randbytes(4)
    if random.random() < 0.7:
        return text, [of_client(text, mask=mask)]
    cuts = sorted(random.randrange(len(text) + 1) for _ in range(random.randint(1, 3)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    frames = []
    for at, piece in enumerate(pieces):
        first = (0x80 if at == len(pieces) - 1 else 0) | (0x01 if at == 0 else 0)
        frames.append(of_client(piece, first, mask))
        if random.random() < 0.3:
            frames.append(of_client(b"beat", 0x89, mask))
    return text, frames


def long_way(data: bytes) -> list[bytes]:
    """Texts that aiohttp reads of bytes."""
    from aiohttp._websocket.reader import WebSocketDataQueue  # noqa: PLC0415

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        protocol = SimpleNamespace(_reading_paused=False, pause_reading=lambda: None)
        queue = WebSocketDataQueue(cast("Any", protocol), 1 << 30, loop=loop)
        reader = WebSocketReader(queue, 1 << 20, compress=False, decode_text=False)
        reader.feed_data(data)
        reader.feed_eof()
        assert queue.exception() is None
        found = []
        for frame, _ in queue._buffer:
            if frame.type is WSMsgType.TEXT:
                found.append(bytes(frame.data))
        return found


@pytest.mark.parametrize("seed", range(4))
def test_no_message_is_lost_or_read_twice(seed: int) -> None:
    """Of each world aiohttp reads what was handed on, and the rest was read here."""
    read = 0
    for world in range(WORLDS // 4):
        random = Random(f"{seed}/{world}")
        told = [message(random, number) for number in range(random.randint(1, 12))]
        stream = b"".join(frame for _, frames in told for frame in frames)
        reader, short, passed = ClientFrames(), [], b""
        ended = at = 0
        while at < len(stream):
            size = random.choice((1, 2, 7, 50, 5000))
            for part in reader.parts(stream[at : at + size]):
                if part.text is not None and random.random() < 0.8:
                    short.append(part.text)
                else:
                    passed += part.raw
                    ended += part.ends
            at += size
        others = long_way(passed)

        assert ended == len(others)
        assert sorted(text for text, _ in told) == sorted([*short, *others])
        order = [text for text, _ in told]
        for some in (short, others):
            assert some == sorted(some, key=order.index)
        read += len(short)
    assert read > WORLDS // 4

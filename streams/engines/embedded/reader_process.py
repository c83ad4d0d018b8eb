"""A process that reads large inputs: what it computes takes no turn from the server.

A single call on a large document (to decode 8 MB of JSON takes 100 ms and more) keeps
every thread of a process waiting, and a caller may send one after the other. So inputs
above `FROM` bytes are read here. Records come back in small pieces. The process is
started with the first such input, and anew after it died or was too slow.

Both ends of the pipes are ours; nothing else is unpickled.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
from typing import TYPE_CHECKING, BinaryIO, Final

import structlog

from streams.model.records import DeadLetter
from streams.services.reading import READER_FAILED, Records, read, read_now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.model.records import Record
    from streams.services.reading import RecordReader

FROM: Final = 256 << 10  # bytes; smaller inputs are read faster than handed over
SECONDS: Final = 120.0  # for one input
PIECE: Final = 100  # records
NICE: Final = 10  # whoever proves a lease goes first, where cores are scarce
PIECE_BYTES: Final = 64 << 10  # to take one in is about 1 ms
_LENGTH: Final = 8  # bytes of a frame's length

log = structlog.get_logger()


class ReaderProcess:
    """Reads one large input after the other."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._one_at_a_time = asyncio.Lock()

    async def read(self, reader: RecordReader, data: bytes, source: str) -> Records:
        """Return the records of some bytes; a dead letter where the reader breaks.

        Args:
            reader: keeps nothing from one input to the next.
            data: the input.
            source: its name, for the dead letter.
        """
        if len(data) < FROM:
            return await read(reader, data, source)
        return await self.apart(reader, data, source)

    async def apart(self, reader: RecordReader, data: bytes, source: str) -> Records:
        """Return the records of some bytes, as by `read`, however few they are."""
        asked = pickle.dumps((reader, source)), data
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(SECONDS):
                    return await self._ask(asked)
            except (TimeoutError, OSError, EOFError) as error:
                await self._end()
                log.warning("reader_process_ended", error=type(error).__name__)
                reason = READER_FAILED.format(type(error).__name__)
                return Records([DeadLetter(source, 0, len(data), reason)])
            except BaseException:
                await self._end()  # what it still says is of an input nobody wants
                raise

    async def _ask(self, frames: tuple[bytes, ...]) -> Records:
        process = await self._running()
        assert process.stdin is not None  # noqa: S101 - as it was started
        assert process.stdout is not None  # noqa: S101 - as above
        for frame in frames:
            process.stdin.write(len(frame).to_bytes(_LENGTH) + frame)
            await process.stdin.drain()
        records = Records()
        while size := int.from_bytes(await process.stdout.readexactly(_LENGTH)):
            piece = await process.stdout.readexactly(size)
            records += pickle.loads(piece)  # noqa: S301 - of our own process
        records.idle = int.from_bytes(await process.stdout.readexactly(_LENGTH))
        return records

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                __name__,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await asyncio.shield(process.wait())

    async def close(self) -> None:
        """End the process, if there is one."""
        await self._end()


def serve(asked: BinaryIO, told: BinaryIO) -> None:
    """Read inputs until there are no more: the program of the process."""
    while length := asked.read(_LENGTH):
        reader, source = pickle.loads(asked.read(int.from_bytes(length)))  # noqa: S301 - of the server
        data = asked.read(int.from_bytes(asked.read(_LENGTH)))
        records = read_now(reader, data, source)
        for start in range(0, len(records), PIECE):
            told.writelines(
                len(piece).to_bytes(_LENGTH) + piece
                for piece in pieces(records[start : start + PIECE])
            )
        told.write((0).to_bytes(_LENGTH) + records.idle.to_bytes(_LENGTH))
        told.flush()


def pieces(records: list[Record]) -> Iterator[bytes]:
    """Cut records for a hand-over: within `PIECE_BYTES`, or one alone."""
    piece = pickle.dumps(records)
    if len(piece) <= PIECE_BYTES or len(records) == 1:
        yield piece
        return
    middle = len(records) // 2
    yield from pieces(records[:middle])
    yield from pieces(records[middle:])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it
    os.nice(NICE)
    pipe = sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing else may speak there
    serve(sys.stdin.buffer, pipe)

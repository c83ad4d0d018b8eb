"""Content-Encoding: unpacked piece by piece, within a size and a ratio.

aiohttp would inflate every body by itself, whoever sends it and whether or not anybody
asks for it. So servers are told not to, and only what a handler reads is unpacked.
"""

from __future__ import annotations

import asyncio
import http
import zlib
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from streams.http.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterator

PIECE: Final = 64 << 10  # bytes unpacked at once: about 0.2 ms
# Logs pack 10 to 50 times; what packs better than this is made to cost us.
MOST_RATIO: Final = 200
ANY_RATIO: Final = 1 << 20  # bytes that may come of however few
MOST_MEMBERS: Final = 1024  # of one gzip body (RFC 1952 section 2.2)
IDENTITY: Final = "identity"
GZIP: Final = frozenset({"gzip", "x-gzip"})  # RFC 9110 section 8.4.1.3
DEFLATE: Final = "deflate"
_GZIP_BITS: Final = 16 + zlib.MAX_WBITS


class PackedError(ValueError):
    """A body is not what its Content-Encoding says."""


def encoding_of(request: web.Request) -> str:
    """Content-Encoding of a request, ``identity`` where it has none.

    Raises:
        ProblemError: 415, it is one that we do not read.
    """
    named = ", ".join(request.headers.getall(hdrs.CONTENT_ENCODING, ()))
    encoding = named.strip().lower() or IDENTITY
    if encoding in {IDENTITY, DEFLATE} or encoding in GZIP:
        return encoding
    raise _unsupported("send the body as it is, or with gzip or deflate, once")


def refuse_packed(request: web.Request) -> None:
    """Refuse a packed body of a sender whose body has to prove who sent it.

    Raises:
        ProblemError: 415.
    """
    if encoding_of(request) != IDENTITY:
        raise _unsupported("send the body as it is, without Content-Encoding")


def too_large(most: int, came: int) -> web.HTTPRequestEntityTooLarge:
    """Error of a body that has more than ``most`` bytes."""
    text = f"this takes a body of at most {most} bytes, unpacked: send it in pieces"
    return web.HTTPRequestEntityTooLarge(most, came, text=text)


def _unsupported(detail: str) -> ProblemError:
    status = http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    return ProblemError(status, "unknown encoding", detail)


async def unpacked(
    chunks: AsyncIterable[bytes], encoding: str, most: int
) -> AsyncIterator[bytes]:
    """Unpack a body; other tasks get a turn after each piece.

    Args:
        chunks: of the body as it came.
        encoding: as `encoding_of` gives it.
        most: bytes, of what comes as well as of what is unpacked.

    Raises:
        PackedError: it is not what the encoding says, or breaks off.
        web.HTTPRequestEntityTooLarge: it has more than ``most`` bytes, or unpacks to
            more than MOST_RATIO times its size.
    """
    plain = encoding == IDENTITY
    inflating = Inflating(encoding)
    came = gave = 0
    async for chunk in chunks:
        came += len(chunk)
        for piece in (chunk,) if plain else inflating.pieces(chunk):
            gave += len(piece)
            if came > most or gave > max(most if plain else 0, _room(came, most)):
                raise too_large(most, gave)
            yield piece
            await asyncio.sleep(0)
    if not plain:
        inflating.finish()


def _room(came: int, most: int) -> int:
    return min(most, max(ANY_RATIO, came * MOST_RATIO))


class Inflating:
    """A body that is unpacked as it comes."""

    def __init__(self, encoding: str) -> None:
        """Begin a body of ``gzip`` or ``deflate``."""
        self._gzip = encoding in GZIP
        self._inflater: zlib._Decompress | None = None
        self._members = 0

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Unpacked content of a chunk, at most PIECE bytes at once; some are empty.

        Raises:
            PackedError: it is not what the encoding says.
        """
        while chunk:
            inflater = self._inflater or self._member(chunk)
            try:
                yield inflater.decompress(chunk, PIECE)
            except zlib.error as error:
                raise PackedError(str(error)) from error
            if inflater.eof:
                chunk, self._inflater = inflater.unused_data, None
                if chunk and not self._gzip:
                    raise PackedError("there are bytes behind the end")
            else:
                chunk = inflater.unconsumed_tail

    def finish(self) -> None:
        """End the body.

        Raises:
            PackedError: it breaks off.
        """
        if self._inflater is not None:
            raise PackedError("it breaks off")

    def _member(self, chunk: bytes) -> zlib._Decompress:
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise PackedError(f"it has more than {MOST_MEMBERS} members")
        bits = _GZIP_BITS if self._gzip else zlib.MAX_WBITS
        if not self._gzip and chunk[0] & 0x0F != zlib.DEFLATED:
            bits = -zlib.MAX_WBITS  # without the zlib header, as some clients send it
        self._inflater = zlib.decompressobj(bits)
        return self._inflater

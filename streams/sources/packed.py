"""Unpack gzip into bounded memory: what a vendor sends may be small and grow large."""

from __future__ import annotations

import zlib
from typing import Final

MAGIC: Final = b"\x1f\x8b"
_BITS: Final = zlib.MAX_WBITS | 16


class UnpackError(ValueError):
    """Bytes that are no whole gzip, or too many once they are unpacked."""


def unpacked(data: bytes, most: int) -> bytes:
    """Give data without its compression; data that has none as it is.

    Args:
        data: one gzip member or several, or plain bytes.
        most: how many bytes may come out.

    Raises:
        UnpackError: it breaks off, is damaged, or is too large.
    """
    if not data.startswith(MAGIC):
        if len(data) > most:
            raise UnpackError("too_large")
        return data
    out = bytearray()
    while data:
        member = zlib.decompressobj(_BITS)
        try:
            out += member.decompress(data, most + 1 - len(out))
        except zlib.error as error:
            raise UnpackError("damaged_gzip") from error
        if len(out) > most:
            raise UnpackError("too_large")
        if not member.eof:
            raise UnpackError("truncated_gzip")
        data = member.unused_data
    return bytes(out)

"""Unpack gzip into bounded memory: what a vendor sends may be small and grow large."""

from __future__ import annotations

import gzip
import zlib
from io import BytesIO
from typing import Final

MAGIC: Final = b"\x1f\x8b"


class UnpackError(ValueError):
    """Bytes that are no whole gzip, or too many once they are unpacked."""


def unpacked(data: bytes, most: int) -> bytes:
    """Return the data without its compression; data that has none as it is.

    Args:
        data: one gzip member or several, or plain bytes.
        most: how many bytes may come out.

    Raises:
        UnpackError: it breaks off, is damaged, or is too large.
    """
    out = data
    if data.startswith(MAGIC):
        try:
            with gzip.GzipFile(fileobj=BytesIO(data)) as members:
                out = members.read(most + 1)
        except EOFError as error:
            raise UnpackError("truncated_gzip") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise UnpackError("damaged_gzip") from error
    if len(out) > most:
        raise UnpackError("too_large")
    return out

"""What Amazon Data Firehose delivers to an HTTP endpoint, and the answer it wants.

A request carries records in base64; each is bytes that were put on the stream: lines
of JSON, or what a CloudWatch Logs subscription put there, compressed.

Source: Amazon Data Firehose developer guide, "Understand HTTP endpoint delivery
request and response specifications".
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Final

import orjson

from streams.sources.reading.packed import unpacked

KEY: Final = "X-Amz-Firehose-Access-Key"
REQUEST: Final = "X-Amz-Firehose-Request-Id"
MOST: Final = 64 << 20  # bytes of all records of a request, unpacked
_MS: Final = 10**6


class NotFirehoseError(ValueError):
    """A body that is no delivery; the text says why."""


def lines(body: bytes) -> bytes:
    """Contents of a delivery's records, one after another, by lines.

    Raises:
        NotFirehoseError: it is none.
        UnpackError: a record cannot be unpacked.
    """
    try:
        delivery: Any = orjson.loads(body)
        pieces = [b64decode(one["data"], validate=True) for one in delivery["records"]]
    except (ValueError, KeyError, TypeError) as error:
        text = "the body has no records in base64; send it by Amazon Data Firehose"
        raise NotFirehoseError(text) from error
    found, room = [], MOST
    for piece in pieces:
        found.append(unpacked(piece, room).rstrip(b"\n"))
        room -= len(found[-1])
    return b"\n".join(found)


def answer(request_id: str, now: int) -> bytes:
    """Body that says that a delivery was taken."""
    return orjson.dumps({"requestId": request_id, "timestamp": now // _MS})

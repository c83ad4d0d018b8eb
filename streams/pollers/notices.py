"""What a message of a queue says: which objects hold events, or the events themselves.

A message comes from S3 (event notifications), from CloudTrail or from EventBridge,
straight or wrapped by SNS.

Sources: Amazon S3 user guide, "Event message structure"; CloudTrail user guide,
"Configuring Amazon SNS notifications"; EventBridge, "Amazon S3 events"; Amazon SNS
developer guide, "Amazon SNS message and JSON formats".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

import orjson
from attrs import field, frozen

from streams.sources.reading.fields import listed, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator

WRAPPED: Final = "Notification"
TEST: Final = "s3:TestEvent"
S3: Final = "aws.s3"
CREATED: Final = "ObjectCreated"
DIGESTS: Final = "/CloudTrail-Digest/"


class NotANoticeError(ValueError):
    """A message that names neither objects nor events; the text says why."""


@frozen(order=True)
class S3Object:
    """An object in a bucket; the key as S3 has it."""

    bucket: str
    key: str


@frozen
class QueueNotice:
    """A message that was read.

    Attributes:
        objects: to be fetched.
        events: to be read as they are.
    """

    objects: tuple[S3Object, ...] = ()
    events: bytes = field(default=b"", repr=False)


def read_notice(message: str) -> QueueNotice:
    """Read a message.

    Raises:
        NotANoticeError: it is none.
    """
    body = _decoded(message)
    if body.get("Type") == WRAPPED and "Message" in body:
        message = str(body["Message"])
        body = _decoded(message)
    if body.get("Event") == TEST:
        return QueueNotice()
    if "s3ObjectKey" in body:
        return QueueNotice(tuple(_of_trail(body)))
    if body.get("source") == S3:
        return QueueNotice(tuple(_of_bridge(body)))
    records = listed(body.get("Records"))
    if any("s3" in mapping(one) for one in records):
        return QueueNotice(tuple(_of_s3(records)))
    return QueueNotice(events=message.encode(errors="replace"))


def _decoded(message: str) -> dict[str, Any]:
    try:
        body = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise NotANoticeError("the message is not JSON") from error
    if not isinstance(body, dict):
        raise NotANoticeError("the message is no object")
    return body


def _of_trail(body: dict[str, Any]) -> Iterator[S3Object]:
    keys = body["s3ObjectKey"]
    for key in keys if isinstance(keys, list) else [keys]:
        yield from _named(body.get("s3Bucket"), key)


def _of_bridge(body: dict[str, Any]) -> Iterator[S3Object]:
    if body.get("detail-type") == "Object Created":
        detail = mapping(body.get("detail"))
        bucket, thing = mapping(detail.get("bucket")), mapping(detail.get("object"))
        yield from _named(bucket.get("name"), thing.get("key"))


def _of_s3(records: list[Any]) -> Iterator[S3Object]:
    for one in map(mapping, records):
        if CREATED in str(one.get("eventName")):
            inner = mapping(one.get("s3"))
            key = text(mapping(inner.get("object")).get("key"))
            # These keys alone are written as in a form.
            plain = None if key is None else unquote_plus(key)
            yield from _named(mapping(inner.get("bucket")).get("name"), plain)


def _named(bucket: Any, key: Any) -> Iterator[S3Object]:
    if text(bucket) is None or text(key) is None:
        raise NotANoticeError("the message names no bucket and key")
    if DIGESTS not in key:  # hashes of log files, no events
        yield S3Object(bucket, key)

"""Requests to AWS: signatures, and what the messages of a queue name."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.model.times import parse_time
from streams.pollers.notices import NotANoticeError, QueueNotice, read_notice
from streams.sources.aws.sigv4 import Credentials, Signer

pytestmark = pytest.mark.unit

KEY = "trail/AWSLogs/1/CloudTrail/a b+c.json.gz"


def signature(headers: dict[str, str]) -> str:
    """Give the signature alone."""
    return headers["authorization"].rpartition("Signature=")[2]


def test_the_published_example_of_iam() -> None:
    """The query is sorted, and no header of S3 is added."""
    by = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    headers = Signer("iam", "us-east-1").signed(
        "GET", "https://iam.amazonaws.com/?Version=2010-05-08&Action=ListUsers",
        {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}, b"", by,
        parse_time("2015-08-30T12:36:00Z") or 0,
    )  # fmt: skip

    wanted = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    assert wanted == signature(headers)
    assert "x-amz-content-sha256" not in headers


def test_the_published_example_of_s3() -> None:
    """An object, with a further header and the digest of no body."""
    by = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    headers = Signer("s3", "us-east-1").signed(
        "GET", "https://examplebucket.s3.amazonaws.com/test.txt",
        {"range": "bytes=0-9"}, b"", by, parse_time("2013-05-24T00:00:00Z") or 0,
    )  # fmt: skip

    wanted = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    assert wanted == signature(headers)
    assert "wJalr" not in repr(by)


def test_a_temporary_key_sends_its_token_signed() -> None:
    """Another token is another signature."""
    url, now = "https://sqs.eu-west-1.amazonaws.com/", 10**18
    one, two = (
        Signer("sqs", "eu-west-1").signed(
            "POST", url, {}, b"{}", Credentials("A", "k", session), now
        )
        for session in ("s1", "s2")
    )
    assert "s1" == one["x-amz-security-token"]
    assert signature(one) != signature(two)


def created(key: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    """Make an event notification of S3."""
    inner = {"bucket": {"name": "logs"}, "object": {"key": key}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": inner}]}


def wrapped(body: Any) -> dict[str, Any]:
    """Wrap a message as SNS does."""
    return {"Type": "Notification", "Message": orjson.dumps(body).decode()}


TRAIL = {"s3Bucket": "logs", "s3ObjectKey": [KEY]}
BRIDGE = {
    "detail-type": "Object Created", "source": "aws.s3",
    "detail": {"bucket": {"name": "logs"}, "object": {"key": KEY}},
}  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [created("trail/AWSLogs/1/CloudTrail/a+b%2Bc.json.gz"), TRAIL, BRIDGE,
     TRAIL | {"s3ObjectKey": KEY}],
    ids=["s3", "cloudtrail", "eventbridge", "one key"],
)  # fmt: skip
def test_a_message_names_objects(body: dict[str, Any]) -> None:
    """Straight or through SNS; only S3's own notifications encode the key."""
    for message in (body, wrapped(body)):
        (named,) = read_notice(orjson.dumps(message).decode()).objects
        assert ("logs", KEY) == (named.bucket, named.key)


@pytest.mark.parametrize(
    "body",
    [{"Service": "Amazon S3", "Event": "s3:TestEvent"}, {"s3Bucket": "b",
      "s3ObjectKey": ["AWSLogs/1/CloudTrail-Digest/eu/d.json.gz"]},
     created("a", "ObjectRemoved:Delete"), BRIDGE | {"detail-type": "Object Deleted"}],
    ids=["test", "digest", "removed", "deleted"],
)  # fmt: skip
def test_a_message_may_name_nothing(body: dict[str, Any]) -> None:
    """A test of the set-up, hashes of files, and what is gone."""
    assert QueueNotice() == read_notice(orjson.dumps(body).decode())


def test_events_come_as_they_are() -> None:
    """An EventBridge event, unwrapped from SNS."""
    event = {"detail-type": "AWS API Call via CloudTrail", "detail": {"eventID": "e"}}
    found = read_notice(orjson.dumps(wrapped(event)).decode())
    assert event == orjson.loads(found.events)
    assert () == found.objects


@pytest.mark.parametrize(
    "message",
    ["", "{", "[]", "7", '{"s3Bucket": 1, "s3ObjectKey": ["k"]}',
     '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {}}]}',
     '{"Type": "Notification", "Message": "x"}'],
)  # fmt: skip
def test_anything_else_is_said_to_be_no_notice(message: str) -> None:
    """And nothing else is raised."""
    with pytest.raises(NotANoticeError):
        read_notice(message)

"""Read a queue of Amazon SQS: take a message, fetch what it names, write, delete.

At least once: a message is deleted after its events are on disk, so a crash brings it
again, and the same facts are the same records. What cannot be had now (a refused or
slow request) leaves the message in the queue, whose redrive policy ends that. What can
never be had is a dead letter, and a finding where events are lost.

Source: Amazon SQS API reference, "ReceiveMessage", "DeleteMessage", and "Making query
API requests" (the JSON protocol).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import orjson
import structlog
from attrs import define, field, frozen

from streams.model.records import DeadLetter
from streams.outbound.answers import RequestError
from streams.outbound.client import HttpClient
from streams.outbound.waits import Backoff
from streams.pollers.notices import NotANoticeError, read_notice
from streams.services.intake import IntakeBatch, NotWrittenError, not_applied
from streams.services.reading import Records, read
from streams.sources.aws.sigv4 import Signer
from streams.sources.reading.packed import UnpackError, unpacked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.pollers.aws_credentials import Keys
    from streams.pollers.notices import S3Object
    from streams.services.intake import Acceptance
    from streams.services.reading import RecordReader
    from streams.settings.queues import QueueSettings
    from streams.stages.ingest.admission import Entitlements
    from streams.stages.ingest.ingress import Origin

AT_ONCE: Final = 10  # messages of one answer, the most that SQS gives
SHORTEST: Final = 0.2  # seconds between two requests where there is nothing
FIRST_WAIT: Final = 1.0
LONGEST: Final = 300.0  # seconds between two attempts
MOST: Final = 256 << 20  # bytes of an object, unpacked
JSON: Final = "application/x-amz-json-1.0"
_GONE: Final = 404
NO_NOTICE: Final = "not_a_notice: {}; look at who may send to the queue"
REFUSED: Final = (
    "bucket_refused: a message names the bucket {}, which is not among `buckets`; look "
    "at who may send to the queue"
)
LOST: Final = (
    "events_lost: {}/{}: {}; compare what exists there with `rescind inventory`, and "
    "revoke by hand what is gone"
)

log = structlog.get_logger()


@frozen(kw_only=True)
class Queued:
    """A queue, and what it takes to read it.

    Attributes:
        make: makes a reader of the source.
        speaker: gives origin and rights, of now.
        write: writes what was read, and waits until it can.
    """

    name: str
    settings: QueueSettings
    keys: Keys
    make: Callable[[], RecordReader]
    speaker: Callable[[], tuple[Origin, Entitlements]]
    write: Callable[[IntakeBatch], Awaitable[Acceptance]]


@define
class _Found:
    """What one message brought."""

    records: Records = field(factory=Records)
    lost: list[str] = field(factory=list)


class QueueReader:
    """Reads one queue until it is cancelled."""

    def __init__(
        self,
        queued: Queued,
        clock: Callable[[], int],
        count: Callable[[str, str, str], None],
    ) -> None:
        """Set up.

        ``count`` is told the queue's name, and how each request ended and why.
        """
        self._queued = queued
        self._settings = queued.settings
        self._clock = clock
        self._count = count
        self._backoff = Backoff(FIRST_WAIT, LONGEST)
        region = queued.settings.place
        self._sqs, self._s3 = Signer("sqs", region), Signer("s3", region)
        parts = urlsplit(queued.settings.url)
        self._endpoint = f"{parts.scheme}://{parts.netloc}/"
        objects = queued.settings.objects_url or f"https://s3.{region}.amazonaws.com"
        self._objects = objects.rstrip("/")

    async def run(self) -> None:
        """Read."""
        async with HttpClient() as client:
            while True:
                try:
                    wait = await self._round(client)
                    self._backoff.failures = 0
                except RequestError as failed:
                    wait = self._failed(failed)
                except NotWrittenError:
                    wait = self._failed(RequestError("not_written"))
                await asyncio.sleep(wait)

    async def _round(self, client: HttpClient) -> float:
        """Take the next messages; give the seconds until the next request."""
        answer = await self._ask(client, "ReceiveMessage", {
            "MaxNumberOfMessages": AT_ONCE, "WaitTimeSeconds": self._settings.wait,
        })  # fmt: skip
        messages = answer.get("Messages") or []
        if not isinstance(messages, list) or not all(map(_is_message, messages)):
            raise RequestError("unreadable")
        if not messages:
            self._count(self._queued.name, "empty", "")
        for message in messages:
            await self._take(client, message)
        return 0.0 if messages else SHORTEST

    async def _take(self, client: HttpClient, message: dict[str, Any]) -> None:
        found = await self._read(client, message["Body"])
        origin, rights = self._queued.speaker()
        name, at = self._queued.name, origin.received_at
        presented = ["source", f"queue:{name}"]
        signals = [not_applied(presented, at, why, point=name) for why in found.lost]
        delivery = IntakeBatch(found.records, origin, rights, signals=signals)
        await self._queued.write(delivery)
        handle = {"ReceiptHandle": message["ReceiptHandle"]}
        await self._ask(client, "DeleteMessage", handle)
        self._count(self._queued.name, "taken", "")

    async def _read(self, client: HttpClient, body: str) -> _Found:
        """Return the records of a message.

        Raises:
            RequestError: not now; the message must stay.
        """
        found, source = _Found(), self._settings.format
        try:
            notice = read_notice(body)
        except NotANoticeError as error:
            reason = NO_NOTICE.format(error)
            found.records.append(DeadLetter(source, 0, len(body), reason))
            return found
        if notice.events:
            found.records.take(await read(self._queued.make(), notice.events, source))
        for named in notice.objects:
            if named.bucket not in self._settings.buckets:
                self._lose(found, REFUSED.format(named.bucket))
                continue
            try:
                data = await self._object(client, named)
            except UnpackError as error:
                self._lose(found, LOST.format(named.bucket, named.key, error))
                continue
            found.records.take(await read(self._queued.make(), data, source))
        return found

    def _lose(self, found: _Found, reason: str) -> None:
        found.records.append(DeadLetter(self._settings.format, 0, 0, reason))
        found.lost.append(reason)

    async def _object(self, client: HttpClient, named: S3Object) -> bytes:
        """Fetch an object and unpack it.

        Raises:
            RequestError: not now.
            UnpackError: never: it is gone, too large, no whole gzip, or badly named.
        """
        # What stands between us and S3 may take such parts for another bucket's path.
        if not {".", ".."}.isdisjoint(named.key.split("/")):
            raise UnpackError("not_a_plain_key")
        key = quote(named.key, safe="/-_.~")
        url = f"{self._objects}/{quote(named.bucket, safe='-_.~')}/{key}"
        by, now = await self._queued.keys.current(client), self._clock()
        headers = self._s3.signed("GET", url, {}, b"", by, now)
        try:
            answer = (await client.request("GET", url, headers=headers)).ok()
        except RequestError as failed:
            if failed.status == _GONE or failed.reason == "too_large":
                raise UnpackError(failed.reason) from failed
            raise
        return await asyncio.to_thread(unpacked, answer.body, MOST)

    async def _ask(
        self, client: HttpClient, action: str, values: dict[str, Any]
    ) -> dict[str, Any]:
        body = orjson.dumps({"QueueUrl": self._settings.url} | values)
        by, now = await self._queued.keys.current(client), self._clock()
        headers = {"content-type": JSON, "x-amz-target": f"AmazonSQS.{action}"}
        signed = self._sqs.signed("POST", self._endpoint, headers, body, by, now)
        answer = await client.request("POST", self._endpoint, headers=signed, data=body)
        try:
            decoded = orjson.loads(answer.ok().body or b"{}")
        except orjson.JSONDecodeError as error:
            raise RequestError("unreadable") from error
        if not isinstance(decoded, dict):
            raise RequestError("unreadable")
        return decoded

    def _failed(self, failed: RequestError) -> float:
        wait = self._backoff.failed(failed, self._clock())
        name = self._queued.name
        self._count(name, "failed", str(failed))
        log.warning("queue_failed", queue=name, reason=str(failed), wait=wait)
        return wait


def _is_message(value: Any) -> bool:
    names = ("Body", "ReceiptHandle")
    return isinstance(value, dict) and all(type(value.get(n)) is str for n in names)

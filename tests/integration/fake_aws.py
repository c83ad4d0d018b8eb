"""SQS and S3 in the test's own process: they verify signatures, and can fail."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson
from aiohttp import web
from attrs import define, field

from streams.model.times import parse_time
from streams.sources.aws.sigv4 import Credentials, Signer
from tests.integration.fake_vendors import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
REGION = "eu-test-1"
_SCOPE = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


@define
class Aws:
    """One queue and some buckets.

    Attributes:
        waiting: bodies of messages that were not deleted, by their receipt handle.
        objects: content by ``bucket/key``.
        planned: statuses to answer for an object first, by ``bucket/key``.
        asked: what was asked of S3.
        received: how often messages were asked for.
        refused: requests whose signature was wrong.
        undeleted: how many deletions shall fail first.
        instead: what is answered first where messages are asked for.
    """

    url: str = ""
    key: Credentials = KEY
    waiting: dict[str, str] = field(factory=dict)
    objects: dict[str, bytes] = field(factory=dict)
    planned: dict[str, list[int]] = field(factory=dict)
    asked: list[str] = field(factory=list)
    received: int = 0
    refused: int = 0
    sent: int = 0
    undeleted: int = 0
    instead: list[Any] = field(factory=list)

    def send(self, body: Any) -> None:
        """Put a message on the queue."""
        text = body if isinstance(body, str) else orjson.dumps(body).decode()
        self.sent += 1
        self.waiting[f"h{self.sent}"] = text

    async def queue(self, request: web.Request) -> web.Response:
        """Answer as SQS does."""
        body = await request.read()
        self._verify(request, body, "sqs")
        asked = orjson.loads(body)
        if request.headers["x-amz-target"] == "AmazonSQS.DeleteMessage":
            if self.undeleted:
                self.undeleted -= 1
                return web.Response(status=500)
            if self.waiting.pop(asked["ReceiptHandle"], None) is None:
                return web.Response(status=400)
            return web.json_response({})
        assert asked["QueueUrl"] == f"{self.url}/111122223333/trail"
        self.received += 1
        if self.instead:
            return web.json_response(self.instead.pop(0))
        messages = [
            {"MessageId": handle, "ReceiptHandle": handle, "Body": text}
            for handle, text in list(self.waiting.items())[:10]
        ]
        return web.json_response({"Messages": messages} if messages else {})

    async def object(self, request: web.Request) -> web.Response:
        """Answer as S3 does."""
        self._verify(request, b"", "s3")
        name = unquote(request.raw_path).lstrip("/")
        self.asked.append(name)
        if self.planned.get(name):
            return web.Response(status=self.planned[name].pop(0))
        if name not in self.objects:
            return web.Response(status=404)
        return web.Response(body=self.objects[name])

    def _verify(self, request: web.Request, body: bytes, service: str) -> None:
        """Sign the request again, as AWS does, and compare."""
        given = request.headers.get("authorization", "")
        scope, names = _SCOPE.search(given), given.split("SignedHeaders=")[-1]
        time = parse_time(_spelt(request.headers.get("x-amz-date", "")))
        wanted = ""
        if scope is not None and time is not None:
            signed = [
                name for name in names.split(",")[0].split(";")
                if name in ("content-type", "x-amz-target")
            ]  # fmt: skip
            again = {name: request.headers[name] for name in signed}
            url = self.url + request.raw_path
            signer = Signer(service, REGION)
            wanted = signer.signed(
                request.method, url, again, body, self.key, time
            )["authorization"]  # fmt: skip
        if given != wanted:
            self.refused += 1
            raise web.HTTPForbidden


def _spelt(moment: str) -> str:
    """Write a time as RFC 3339 has it."""
    return re.sub(
        r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", r"\1-\2-\3T\4:\5:\6Z", moment
    )


@asynccontextmanager
async def aws() -> AsyncIterator[Aws]:
    """Run both until the context ends."""
    fake = Aws()
    async with serving(
        ("POST", "/", fake.queue), ("GET", "/{name:.*}", fake.object)
    ) as url:
        fake.url = url
        yield fake

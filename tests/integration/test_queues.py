"""The server reads a queue of SQS and objects of S3 that verify its signatures."""

from __future__ import annotations

import asyncio
import gzip
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from pydantic import ValidationError

from streams.model.times import SECOND, rfc3339
from streams.outbound.answers import RequestError
from streams.outbound.client import HttpClient
from streams.pollers import aws_credentials
from streams.pollers.aws_credentials import Configured, OfRole
from streams.pollers.sqs import Queued, QueueReader
from streams.services.intake import Acceptance, IntakeBatch, NotWrittenError
from streams.settings.queues import QueueSettings
from streams.sources.aws.cloudtrail import CloudTrail
from streams.stages.ingest.admission import Entitlements
from streams.stages.ingest.ingress import Origin
from tests.integration.fake_aws import KEY, REGION, aws
from tests.integration.fake_vendors import serving
from tests.integration.serving import (
    created_key,
    deleted_key,
    running,
    until,
)

if TYPE_CHECKING:
    from aiohttp import web

    from tests.integration.fake_aws import Aws
    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

BUCKET = "trail-logs"


def ago(seconds: float) -> str:
    """Give a time before now."""
    return rfc3339(time.time_ns() - int(seconds * SECOND)) or ""


def settings(fake: Aws, **more: Any) -> dict[str, Any]:
    """Give settings with one queue."""
    one = {
        "url": f"{fake.url}/111122223333/trail", "objects_url": fake.url,
        "authority": "aws", "buckets": [BUCKET], "region": REGION, "wait": 0,
        "key_id": KEY.key_id, "key": {"value": KEY.key}, "allow_http": True, **more,
    }  # fmt: skip
    return {"queues": {"trail": one}}


def pair(name: str) -> list[dict[str, Any]]:
    """Make a key and delete it."""
    return [
        created_key(name, "robot", ago(20), f"{name}-1"),
        deleted_key(name, "robot", ago(10), f"{name}-2"),
    ]


def put(fake: Aws, key: str, *events: dict[str, Any]) -> None:
    """Put an object there, and the notification on the queue."""
    fake.objects[f"{BUCKET}/{key}"] = gzip.compress(orjson.dumps({"Records": events}))
    fake.send({"s3Bucket": BUCKET, "s3ObjectKey": [key]})


async def dies(server: Server, name: str) -> None:
    """Wait until a key is denied for a cause."""

    async def denied() -> bool:
        _, why = await server.get(f"/v1/why/aws.access_key:{name}")
        return not why["allowed"] and 'cause":{' in orjson.dumps(why).decode()

    await until(denied)


async def test_objects_and_events_are_read_and_messages_deleted(tmp_path: Path) -> None:
    """After what they brought is on disk; keys are signed as they are written."""
    async with aws() as fake:
        put(fake, "AWSLogs/1/CloudTrail/eu/a b+c=ü.json.gz", *pair("AKIAOBJECT"))
        (created, deleted) = pair("AKIABRIDGE")
        for event in (created, deleted):
            fake.send({"detail-type": "AWS API Call via CloudTrail", "detail": event})
        fake.send({"Event": "s3:TestEvent"})
        async with running(tmp_path, **settings(fake)) as server:
            await dies(server, "AKIAOBJECT")
            await dies(server, "AKIABRIDGE")
            await until(lambda: not fake.waiting)
            _, letters = await server.get("/v1/dlq")
            _, table = await server.get("/v1/sources")
        assert [] == letters["dead_letters"]
        assert "queue:trail" in orjson.dumps(table).decode()
        assert 0 == fake.refused
        kept = (tmp_path / "data" / "rescind.db").read_bytes()
        assert KEY.key.encode() not in kept


async def test_what_cannot_be_had_now_stays_in_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket that refuses or breaks: the message is read again, nothing is lost."""
    monkeypatch.setattr("streams.pollers.sqs.FIRST_WAIT", 0.01)
    async with aws() as fake:
        put(fake, "one.json.gz", *pair("AKIALATER"))
        fake.planned[f"{BUCKET}/one.json.gz"] = [403, 503, 500]
        async with running(tmp_path, **settings(fake)) as server:
            await dies(server, "AKIALATER")
            await until(lambda: not fake.waiting)
            async with server.session.get(f"{server.url}/metrics") as got:
                metrics = await got.text()
        assert 4 == len(fake.asked)
        assert 'result="failed"' in metrics


async def test_what_can_never_be_had_is_a_finding_and_goes(tmp_path: Path) -> None:
    """Gone, of another bucket, damaged, or no notice: the queue does not stop there."""
    async with aws() as fake:
        fake.send({"s3Bucket": BUCKET, "s3ObjectKey": ["gone.json.gz"]})
        fake.send({"s3Bucket": "another", "s3ObjectKey": ["secret.json.gz"]})
        fake.objects["another/secret.json.gz"] = b"{}"
        fake.objects[f"{BUCKET}/torn"] = gzip.compress(b"{}" * 100)[:-5]
        fake.send({"s3Bucket": BUCKET, "s3ObjectKey": ["torn"]})
        for key in ("../another/secret.json.gz", "a/../../another/x", "./x", "a/.."):
            fake.send({"s3Bucket": BUCKET, "s3ObjectKey": [key]})
        fake.send("no notice")
        fake.send({"neither": "event"})
        put(fake, "good.json.gz", *pair("AKIAGOOD"))
        async with running(tmp_path, **settings(fake)) as server:
            await dies(server, "AKIAGOOD")
            await until(lambda: not fake.waiting)
            _, found = await server.get("/v1/dlq")
            letters = orjson.dumps(found).decode()
            for reason in (
                "events_lost: trail-logs/gone.json.gz: status 404",
                "bucket_refused: a message names the bucket another",
                "events_lost: trail-logs/torn: truncated_gzip",
                "not_a_notice: the message is not JSON", "not_cloudtrail",
                "events_lost: trail-logs/../another/secret.json.gz: not_a_plain_key",
            ):  # fmt: skip
                assert reason in letters

            async def told() -> bool:
                lost = orjson.dumps(await server.findings()).decode()
                return "source:queue:trail" in lost and "revocation_not_applied" in lost

            await until(told)
        assert {"gone.json.gz", "torn", "good.json.gz"} == {
            name.removeprefix(f"{BUCKET}/") for name in fake.asked
        }


async def test_an_answer_that_no_queue_gives_ends_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something between may answer in its place."""
    monkeypatch.setattr("streams.pollers.sqs.FIRST_WAIT", 0.01)
    async with aws() as fake:
        fake.instead = [
            {"Messages": ["x"]}, {"Messages": {"a": 1}}, {"Messages": 1},
            {"Messages": [{"Body": "{}"}]}, {"error": "no"},
        ]  # fmt: skip
        put(fake, "good.json.gz", *pair("AKIAAFTER"))
        async with running(tmp_path, **settings(fake)) as server:
            await dies(server, "AKIAAFTER")
            await until(lambda: not fake.waiting)


async def test_a_message_that_was_not_deleted_comes_again_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash between the commit and the deletion."""
    monkeypatch.setattr("streams.pollers.sqs.FIRST_WAIT", 0.01)
    async with aws() as fake:
        put(fake, "one.json.gz", *pair("AKIATWICE"))
        fake.undeleted = 2
        async with running(tmp_path, **settings(fake)) as server:
            await dies(server, "AKIATWICE")
            await until(lambda: not fake.waiting)
            _, found = await server.get("/v1/dlq")
            count = "SELECT count(*) FROM recent_facts"
            facts = await server.served.stages.store.read(count)
        assert 3 == len(fake.asked)
        again = tmp_path / "again"
        fake.send({"s3Bucket": BUCKET, "s3ObjectKey": ["one.json.gz"]})
        async with running(again, **settings(fake)) as server:
            await dies(server, "AKIATWICE")
            await until(lambda: not fake.waiting)
            assert facts == await server.served.stages.store.read(count)
        assert [] == found["dead_letters"]


class Refusing:
    """A log that cannot be written at first."""

    def __init__(self, times: int) -> None:
        """Refuse so many times."""
        self.times = times
        self.written: list[Any] = []

    async def write(self, delivery: IntakeBatch) -> Acceptance:
        """Write, or do not."""
        if self.times:
            self.times -= 1
            raise NotWrittenError
        self.written += delivery.records
        return Acceptance(len(delivery.records), 0, 0, "")


async def kept(fake: Aws, reader: type[QueueReader]) -> bool:
    """Tell whether a message stays until its events are written."""
    log = Refusing(3)
    queue = QueueSettings(**settings(fake)["queues"]["trail"])
    origin = Origin("aws", "r", received_at=1)
    queued = Queued(
        name="trail", settings=queue, keys=Configured(lambda: KEY),
        make=CloudTrail, speaker=lambda: (origin, Entitlements(())), write=log.write,
    )  # fmt: skip
    put(fake, "one.json.gz", *pair("AKIAKEPT"))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reader(queued, time.time_ns, lambda *_: None).run())
        await until(lambda: not fake.waiting)
        task.cancel()
    return bool(log.written)


class DeletesFirst(QueueReader):
    """The planted fault: the message is gone before its events are written."""

    async def _take(self, client: HttpClient, message: dict[str, Any]) -> None:
        handle = {"ReceiptHandle": message["ReceiptHandle"]}
        await self._ask(client, "DeleteMessage", handle)
        await super()._take(client, message)


async def test_a_message_stays_until_its_events_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reader that deletes first would be caught."""
    monkeypatch.setattr("streams.pollers.sqs.FIRST_WAIT", 0.01)
    async with aws() as fake:
        assert await kept(fake, QueueReader)
        assert not await kept(fake, DeletesFirst)


async def test_a_wrong_key_is_refused_and_counted(tmp_path: Path) -> None:
    """Nothing is read; the reader goes on trying."""
    async with aws() as fake:
        fake.send({"Event": "s3:TestEvent"})
        wrong = settings(fake, key={"value": "another"})
        async with running(tmp_path, **wrong):
            await until(lambda: fake.refused > 0)
        assert fake.waiting


@pytest.mark.parametrize("place", ["container", "machine", "pod"])
async def test_the_key_of_a_role_is_asked_for_until_it_ends(
    tmp_path: Path, place: str
) -> None:
    """From the container's address, the machine's service, or STS for a pod's token."""
    from aiohttp import web  # noqa: PLC0415 - and a server

    now, asked = 10**18, list[str]()
    keys = {
        "AccessKeyId": "ASIA1", "SecretAccessKey": "s", "Token": "t",
        "Expiration": rfc3339(now + 3600 * SECOND),
    }  # fmt: skip

    async def answer(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path}")
        sent = request.headers
        if request.path == "/sts":
            form = await request.post()
            assert ("arn:role", "pod") == (form["RoleArn"], form["WebIdentityToken"])
            assert "application/json" == sent["accept"]
            given = {
                "AccessKeyId": "ASIA1", "SecretAccessKey": "s", "SessionToken": "t",
                "Expiration": now // SECOND + 3600.0,
            }  # fmt: skip
            result = {"AssumeRoleWithWebIdentityResult": {"Credentials": given}}
            return web.json_response({"AssumeRoleWithWebIdentityResponse": result})
        if request.path == "/latest/api/token":
            return web.Response(text="imds")
        good = "imds" if place == "machine" else "pod"
        if good not in (
            sent.get("x-aws-ec2-metadata-token"), sent.get("authorization")
        ):  # fmt: skip
            return web.Response(status=401)
        if request.path.endswith("security-credentials/"):
            return web.Response(text="role-1\n")
        return web.json_response(keys)

    token = tmp_path / "token"
    token.write_text("pod\n")
    async with (
        serving(("*", "/{path:.*}", answer)) as url,
        HttpClient() as client,
    ):
        known = {
            "machine": {},
            "container": {
                aws_credentials.FULL: f"{url}/v1/credentials",
                aws_credentials.TOKEN_FILE: str(token),
            },
            "pod": {
                aws_credentials.ROLE: "arn:role",
                aws_credentials.WEB_TOKEN_FILE: str(token),
            },
        }[place]
        clock = [now]
        role = OfRole(known, lambda: clock[0], f"{url}/sts", url)
        for _ in range(3):
            given = await role.current(client)
            assert ("ASIA1", "s", "t") == (given.key_id, given.key, given.session)
        once = len(asked)
        clock[0] += 3400 * SECOND
        await role.current(client)
        assert (once, 2 * once) == (3 if place == "machine" else 1, len(asked))
        token.unlink()
        if place != "machine":
            with pytest.raises(RequestError, match="no_key"):
                await OfRole(known, lambda: now, f"{url}/sts").current(client)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"key_id": "A"}, "set both key_id and key"),
        ({"url": "https://queue.example/1/q"}, "set region"),
        ({"url": "http://sqs.eu-west-1.amazonaws.com/1/q"}, "url must be https"),
        ({"wait": 21}, "less than or equal to 20"),
        ({"bucket": "b"}, "Extra inputs"),
        ({"format": "csv"}, "no source 'csv': choose one of anthropic"),
    ],
)
def test_wrong_settings_say_what_to_do(wrong: dict[str, Any], said: str) -> None:
    """Before anything is asked; the region comes from AWS's own addresses."""
    good = {"url": "https://sqs.eu-west-1.amazonaws.com/1/q", "authority": "aws"}
    assert "eu-west-1" == QueueSettings.model_validate(good).place
    with pytest.raises(ValidationError, match=said):
        QueueSettings.model_validate(good | wrong)


@pytest.mark.parametrize(
    ("more", "said"),
    [({"authority": "nobody"}, "queue trail: no authority 'nobody'"),
     ({"key": {"file": "/nowhere"}}, "queue trail: /nowhere")],
)  # fmt: skip
async def test_a_queue_that_cannot_be_read_is_a_wrong_setting(
    tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    """The server says so before it serves."""
    async with aws() as fake:
        with pytest.raises(BaseExceptionGroup) as raised:
            async with running(tmp_path, **settings(fake, **more)):
                pass
    assert said in str(raised.value.exceptions[0])

"""Every part as it is run in production: over TLS, as a user with its rights alone."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import trustme
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from cryptography.hazmat.primitives import serialization

from agents_registry.identifiers import Identifier
from enforcement.kafka import KafkaGuard
from streams.apps.ingress import receive
from streams.apps.worker import work
from streams.devkafka.broker_properties import ServerTls
from streams.engines.kafka.audit.export import exported
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.topics.acls import Role, acls
from streams.settings.kafka import KafkaSettings, KafkaTls
from streams.settings.server import Settings
from streams.settings.worker import WorkerSettings
from tests.integration.kafka_cluster import settings_of
from tests.integration.notifying import child
from tests.integration.serving import (
    created_key,
    deleted_key,
    receiving,
    until,
    used_key,
    values,
)
from tests.integration.test_insights import counts
from tests.integration.test_kafka_acls import add
from tests.integration.test_kafka_topics import administer
from tests.integration.working import decoded, ends, facts_of, lay_out, task_of

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.integration.kafka_cluster import StartKafka

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
PREFIX, RAW = "rescind", "idp-events"
KEY, OTHER = "AKIAEXAMPLE000000001", "AKIAEXAMPLE000000002"
EVENTS = [
    created_key(KEY, "bob", "2026-01-01T10:00:00Z", "e1"),
    deleted_key(KEY, "bob", "2026-01-01T12:00:00Z", "e2"),
    used_key(KEY, "bob", "2026-01-01T13:00:00Z", "e3"),
]


def lately() -> dict[str, Any]:
    """Return the end of a key in an hour that insights counts."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return deleted_key("AKIAEXAMPLE000000003", "eve", now, "e4")


def server_tls(authority: trustme.CA, folder: Path) -> ServerTls:
    """Write the files of a broker on loopback."""
    issued = authority.issue_cert("127.0.0.1")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    keystore, ca = folder / "broker.pem", folder / "ca.pem"
    keystore.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    )
    authority.cert_pem.write_to_path(ca)
    return ServerTls(keystore, ca, mutual=True)


def client_tls(authority: trustme.CA, folder: Path) -> KafkaTls:
    """Write a client's certificate; give the settings that show it."""
    issued = authority.issue_cert("client.example")
    path = folder / "client.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    return KafkaTls(ca_file=folder / "ca.pem", cert_file=path)


async def reaches(settings: KafkaSettings) -> bool:
    """Tell whether a client connects."""
    admin = AIOKafkaAdminClient(**settings.client())
    try:
        await admin.start()
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()
    return True


@pytest.mark.long
async def test_every_part_runs_over_tls_with_its_own_rights(
    tmp_path: Path, start_kafka: StartKafka
) -> None:
    """Events over HTTP and a raw topic end as denials, findings and an alert."""
    authority = trustme.CA()
    cluster = await start_kafka(
        users=tuple(f"{PREFIX}-{role}" for role in Role),
        tls=server_tls(authority, tmp_path),
    )
    tls = client_tls(authority, tmp_path)
    admin = settings_of(cluster, prefix=PREFIX, tls=tls)
    await add(admin, list(acls(admin, {}, [RAW])))

    def of(role: Role) -> KafkaSettings:
        return settings_of(cluster, f"{PREFIX}-{role}", prefix=PREFIX, tls=tls)

    strange = trustme.CA()
    strange.cert_pem.write_to_path(tmp_path / "strange.pem")
    for wrong in (
        None,
        KafkaTls(ca_file=tls.ca_file),
        KafkaTls(ca_file=tmp_path / "strange.pem", cert_file=tls.cert_file),
    ):
        assert not await reaches(admin.model_copy(update={"tls": wrong}))
    await lay_out(of(Role.TOPICS))
    await administer(admin, "create_topics", [NewTopic(RAW, 1, 1)])
    more: dict[str, Any] = {
        "raw_topics": [{"topic": RAW, "source": "cloudtrail", "authority": "aws"}]
    }
    settings = Settings(**values(tmp_path, **more))
    async with AsyncExitStack() as stack:
        workers = {
            role: await stack.enter_async_context(one_stage(role, settings, of(role)))
            for role in (Role.REGISTRY, Role.SENTINEL, Role.CLOSURE, Role.AUDIT)
        }
        ingress = await stack.enter_async_context(
            task_of(
                lambda stop, told: receive(
                    settings, of(Role.INGRESS), "i0", stop=stop, started=told
                )
            )
        )
        hook = await stack.enter_async_context(receiving())
        folder = tmp_path / "notify"
        await stack.enter_async_context(child(of(Role.NOTIFY), folder, hook.url))
        guard = await stack.enter_async_context(
            KafkaGuard(of(Role.GUARD).client(), name="g", prefix=PREFIX)
        )
        await posted(ingress.url, json.dumps({"Records": [*EVENTS, lately()]}).encode())
        await published(
            admin,
            [
                json.dumps(created_key(OTHER, "eve", "2026-01-01T10:00:00Z", "r1")),
                "{poison",
            ],
        )
        dead = Identifier("aws.access_key", KEY)

        def judged() -> bool:
            return "revoked" in str(guard.check(dead).reason).lower()

        await until(judged)

        async def told() -> bool:
            ids = {fact.event_id for fact in await facts_of(admin)}
            letters = await decoded(admin, "dlq")
            found = [each["event_ids"] for each in await decoded(admin, "findings")]
            listed = [e["identifier"] for e in await decoded(admin, "invalidations")]
            return (
                "r1" in ids
                and RAW in {each["source"] for each in letters}
                and ["e3"] in found
                and str(dead) in listed
                and len(hook.got) > 0
            )

        await until(told)
        closure = workers[Role.CLOSURE].url

        async def removed() -> bool:
            headers = {"Authorization": "Bearer restorer"}
            url = f"{closure}/v1/guards/g"
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.delete(url) as got,
            ):
                return got.status == 200

        await until(removed)
        stage = workers[Role.AUDIT].process.audit
        number = partition_of("default", admin.partitions)
        end = (await ends(admin, "facts", admin.partitions))[number]
        await until(lambda: stage.progress.positions.get(number, 0) >= end)
        assert await counts(tmp_path, of(Role.INSIGHTS), 1, time.time_ns)
    lines = [line async for line in exported(of(Role.AUDITOR), "default")]
    assert str(dead) in str(lines)
    assert "head" in lines[-1]


def one_stage(
    role: Role, settings: Settings, kafka: KafkaSettings
) -> AbstractAsyncContextManager[Any]:
    """Run a worker of one stage."""
    worker = WorkerSettings.model_validate(
        {
            "name": str(role),
            "data_dir": settings.data_dir / role,
            "stages": {str(role)},
        }
    )
    return task_of(
        lambda stop, told: work(settings, kafka, worker, stop=stop, started=told)
    )


async def posted(url: str, body: bytes) -> None:
    """Post events until they are in."""
    headers = {"Authorization": "Bearer aws"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url}/v1/events/cloudtrail", data=body) as got,
    ):
        assert got.status == 202, await got.text()


async def published(kafka: KafkaSettings, texts: list[str]) -> None:
    """Write to the raw topic as its source does."""
    producer = AIOKafkaProducer(**kafka.client(), acks="all")
    await producer.start()
    try:
        await asyncio.gather(
            *[await producer.send(RAW, text.encode()) for text in texts]
        )
    finally:
        await producer.stop()

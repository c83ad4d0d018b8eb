"""Ids of a schema registry in every record, and what happens where it lacks one."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from aiohttp import encode_basic_auth
from pydantic import ValidationError

from agents_registry.facts import Node, fact_key
from agents_registry.inventory import table
from agents_registry.registry import Registry
from schemas.codec import (
    HEADER,
    Codec,
    bundled,
    encode_fact,
    id_of,
    in_force,
    published,
)
from schemas.errors import SchemaError
from streams.engines.kafka.records.codec import partition_of
from streams.engines.kafka.records.schema_registry import (
    NotPublishedError,
    RegistryError,
    SchemaRegistry,
    learn,
    take_ids,
)
from streams.engines.kafka.topics.topics import Kind, LayoutError, assert_layout, plan
from streams.http.table_answers import table_row
from streams.settings.kafka import KafkaSettings, SchemaRegistrySettings
from streams.sources.aws.cloudtrail import CloudTrail
from streams.stages.ingest.admission import Entitlements, admit
from streams.stages.ingest.entitlement import Grant
from streams.stages.ingest.ingress import Origin
from tests.integration.confluent_api import ConfluentApi, confluent_api
from tests.integration.serving import created_key, deleted_key, until
from tests.integration.test_kafka_topics import put
from tests.integration.working import facts_of, lay_out, pipeline, records

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

NOW = 1_800_000_000_000_000_000
KEY, NEWER = "AKIAEXAMPLE000000001", "AKIAEXAMPLE000000002"
EVENTS = [
    created_key(KEY, "bob", "2026-01-01T10:00:00Z", "e1"),
    deleted_key(KEY, "bob", "2026-01-01T12:00:00Z", "e3"),
]


def reaching(kafka: KafkaSettings, api: ConfluentApi, **more: Any) -> KafkaSettings:
    """Give settings with a registry."""
    registry = SchemaRegistrySettings(url=api.url, **more)
    return kafka.model_copy(update={"schema_registry": registry})


async def test_apply_registers_and_the_plan_is_empty_then(
    kafka_settings: KafkaSettings,
) -> None:
    """Every published schema has a subject, held to full compatibility for life."""
    async with confluent_api(ConfluentApi()) as api:
        kafka = reaching(kafka_settings, api)
        wanted = len(published())
        found = [d for d in await plan(kafka) if d.kind is Kind.SCHEMA]
        assert wanted == len(found)
        assert ("PUT", "/config/rescind.v1.Node") not in api.asked
        await lay_out(kafka)
        assert await plan(kafka) == []
        assert wanted == len(api.schemas)
        assert {"FULL_TRANSITIVE"} == set(api.configs.values())
        assert set(api.configs) == set(api.subjects)


async def test_records_carry_the_ids_of_the_registry(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Ingress and worker write and read with them; the table is that of the facts."""
    async with confluent_api(ConfluentApi()) as api:
        kafka = reaching(kafka_settings, api)
        await lay_out(kafka)
        async with pipeline(tmp_path, kafka) as run:
            body = json.dumps({"Records": EVENTS}).encode()
            assert (await run.post("/v1/events/cloudtrail", "aws", body))[0] == 202
            await run.settled()
            model = Registry.build(await facts_of(kafka))
            rows = await run.table(NOW)
            assert rows == [table_row(row) for row in table(model, NOW)]
            assert KEY in json.dumps(rows)
        for name in ("facts", "invalidations"):
            ids = {id_of(record.value) for record in await records(kafka, name)}
            assert ids
            assert ids <= set(api.schemas)


@pytest.mark.long
async def test_a_newer_writers_schema_is_asked_for_before_it_counts_as_poison(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """An id that came later is learned, and waited for while the registry is down."""
    async with confluent_api(ConfluentApi()) as api:
        kafka = reaching(kafka_settings, api)
        await lay_out(kafka)
        facts = kafka.topic("facts")
        number = partition_of("default", kafka.partitions)
        async with pipeline(tmp_path, kafka) as run:
            await run.settled()
            api.down = True
            ours = json.loads(api.schemas[api.subjects["rescind.v1.Node"][0]])
            ours["doc"] = "A newer one."
            newer = api.register("rescind.v1.Node", json.dumps(ours))
            node = encode_fact(a_node())
            await put(
                kafka,
                number,
                key=fact_key("default", a_node()).encode(),
                value=HEADER.pack(0, newer) + node[HEADER.size :],
            )
            await until(lambda: ("GET", f"/schemas/ids/{newer}") in api.asked)
            api.down = False
            await run.settled()
            assert NEWER in json.dumps(await run.table(NOW))
            await put(
                kafka, number, key=b"default/node/y", value=HEADER.pack(0, 7) + node
            )
            await run.settled()
        (letter,) = [in_force().decode(r.value) for r in await records(kafka, "dlq")]
        assert letter.record["source"] == facts
        assert letter.record["reason"].startswith("unknown_id:")
        # The registry, the replica of the sentinel and the audit, each once.
        assert api.asked.count(("GET", "/schemas/ids/7")) <= 3
        async with pipeline(tmp_path, kafka) as run:
            assert NEWER in json.dumps(await run.table(NOW))


def a_node() -> Node:
    """Give a fact that nobody else states."""
    made = created_key(NEWER, "eve", "2026-01-01T10:00:00Z", "n1")
    read = CloudTrail().records(json.dumps(made).encode())
    origin = Origin("aws", "default", NOW, "aws", 1, issuer_log=True)
    facts = admit(read, origin, Entitlements((Grant("aws.*"),)), fresh="").facts
    return next(fact for fact in facts if isinstance(fact, Node))


async def test_a_log_of_other_ids_is_refused(kafka_settings: KafkaSettings) -> None:
    """No log is read with ids that it was not written with, nor laid out anew."""
    await lay_out(kafka_settings)
    async with confluent_api(ConfluentApi()) as api:
        kafka = reaching(kafka_settings, api)
        with pytest.raises(LayoutError, match="other schema ids"):
            await lay_out(kafka)
        with pytest.raises(LayoutError, match="other schema ids"):
            await assert_layout(kafka, [])


async def test_a_registry_that_lacks_a_schema_stops_the_start(
    kafka_settings: KafkaSettings,
) -> None:
    """Nothing is registered by the way: who may write there is for an operator."""
    async with confluent_api(ConfluentApi()) as api:
        kafka = reaching(kafka_settings, api)
        with pytest.raises(NotPublishedError, match="rescind topics apply"):
            await assert_layout(kafka, [])
        assert api.schemas == {}
        api.down = True
        with pytest.raises(RegistryError, match="HTTP 500"):
            await assert_layout(kafka, [])
    with pytest.raises(RegistryError, match="ClientConnector"):
        await assert_layout(kafka, [])


async def test_nothing_is_asked_without_a_registry() -> None:
    """The bundled ids are in force."""
    kafka = KafkaSettings()
    await take_ids(kafka)
    await learn({})
    assert in_force() is bundled()


async def test_ids_of_one_task_are_not_those_of_another() -> None:
    """What a part takes up is in force for it alone, and for all that it starts."""
    async with confluent_api(ConfluentApi()) as api:
        settings = SchemaRegistrySettings(url=api.url)
        kafka = KafkaSettings(schema_registry=settings)
        await SchemaRegistry(settings).publish()

        async def part() -> Codec:
            await take_ids(kafka)
            return await asyncio.to_thread(in_force)

        codec = await asyncio.create_task(part())
        framed = encode_fact(a_node(), codec)
        assert id_of(framed) == api.subjects["rescind.v1.Node"][0]
        assert in_force() is bundled()
        with pytest.raises(SchemaError):
            bundled().decode(framed)


async def test_a_password_goes_over_tls_to_the_registry_alone(tmp_path: Path) -> None:
    """Who is no stranger is let in; a registry without our authority's name is not."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    api = ConfluentApi(auth=encode_basic_auth("us", "secret"))
    async with confluent_api(api, tls):
        ours: dict[str, Any] = {"url": api.url, "ca_file": tmp_path / "ca.pem"}
        known = {"username": "us", "password": "secret"}
        with pytest.raises(RegistryError, match="HTTP 401"):
            await SchemaRegistry(SchemaRegistrySettings(**ours)).missing()
        with pytest.raises(RegistryError, match="Certificate"):
            await SchemaRegistry(SchemaRegistrySettings(url=api.url, **known)).missing()
        us = SchemaRegistry(SchemaRegistrySettings(**ours, **known))
        await us.publish()
        assert await us.missing() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://registry", "username": "u", "password": "p"},
        {"url": "https://u:p@registry"},
        {"url": "https://registry", "username": "u"},
    ],
)
def test_settings_that_would_give_a_password_away_are_refused(
    wrong: dict[str, str],
) -> None:
    """No password in clear, none in a URL that is logged, and no half of a pair."""
    with pytest.raises(ValidationError):
        SchemaRegistrySettings.model_validate(wrong)

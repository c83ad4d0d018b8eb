"""Watched files and sockets at an ingress on Kafka: read on after a restart."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Node
from agents_registry.identifiers import extend
from agents_registry.inventory import table
from agents_registry.registry import Registry
from streams.apps.migration import Migration
from streams.engines.kafka.ingress.compacted_store import CompactedStore
from streams.engines.kafka.ingress.fact_log import TopicFactLog
from streams.http.table_answers import table_row
from streams.model.times import SECOND
from streams.ports.keyed_store import CURSOR, PLACE
from tests.integration.serving import running, until
from tests.integration.test_audit_devices import created, lines, socket
from tests.integration.test_kafka_lists import alike
from tests.integration.test_kafka_sources import ingress
from tests.integration.test_tails import knows, line, watching
from tests.integration.working import decoded, facts_of, lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings
    from tests.integration.serving import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

NOW = 1_800_000_000 * SECOND
BROKEN = b"{nonsense\n"


async def taken(kafka: KafkaSettings) -> list[int]:
    """Give the numbers of the lines that facts were made of, each time."""
    facts = await facts_of(kafka)
    return sorted(
        int(fact.node.value.removeprefix("AKIA"))
        for fact in facts
        if isinstance(fact, Node) and fact.node.value.startswith("AKIA0")
    )


async def has_taken(kafka: KafkaSettings, last: int) -> bool:
    """Tell whether a line was taken in."""
    return last in await taken(kafka)


async def health_of(server: Server, log: Path) -> tuple[int, int, str]:
    """Give what a source of a server took in and refused, and how it is."""
    _, answer = await server.get("/v1/sources")
    (row,) = [each for each in answer["sources"] if each["name"] == f"watch:{log}"]
    return row["accepted"], row["rejected"], row["state"]


async def test_a_watched_file_is_taken_in_as_the_embedded_server_does(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """It is rotated, also while nobody looks; no line is lost, and none comes twice."""
    await lay_out(kafka_settings)
    log = tmp_path / "trail.log"
    made = watching(log)

    async def both_took(server: Server, number: int) -> None:
        await until(partial(has_taken, kafka_settings, number))
        await until(partial(knows, server, number))

    log.write_bytes(line(1) + BROKEN + line(2))
    async with (
        ingress(tmp_path, kafka_settings, "i0", **made) as first,
        running(tmp_path / "embedded", **made) as server,
    ):
        await both_took(server, 2)
        log.rename(tmp_path / "trail.log.1")
        log.write_bytes(line(3))
        await both_took(server, 3)
        _, letters = await first.get("/v1/dlq")
        health = [await health_of(each, log) for each in (server, first)]
    with log.open("ab") as file:
        file.write(line(4))
    log.rename(tmp_path / "trail.log.2")
    log.write_bytes(line(5))
    async with (
        ingress(tmp_path, kafka_settings, "i0", **made),
        running(tmp_path / "embedded", **made) as server,
    ):
        for number in (4, 5):
            await both_took(server, number)
        _, wanted = await server.get(f"/v1/table?now={NOW}")
        _, told = await server.get("/v1/dlq")
    model = Registry.build(await facts_of(kafka_settings))

    assert [1, 2, 3, 4, 5] == await taken(kafka_settings)
    assert wanted["rows"] == [table_row(row) for row in table(model, NOW)]
    assert alike(told["dead_letters"]) == alike(letters["dead_letters"])
    assert health[0] == health[1] == (6, 1, "good")


@pytest.mark.parametrize("where", ["before the lines are acked", "before the place is"])
async def test_an_ingress_that_ends_in_between_loses_no_line(
    tmp_path: Path,
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """The place comes after the lines, so at worst some are read again."""
    await lay_out(kafka_settings)
    log = tmp_path / "trail.log"
    log.write_bytes(line(1))
    stuck = asyncio.Event()
    put, facts = CompactedStore.put, TopicFactLog._facts

    async def never(*_: object) -> Any:
        stuck.set()
        await asyncio.Event().wait()

    async def kept(
        self: CompactedStore, kind: str, name: str, body: bytes, **more: Any
    ) -> None:
        await (never() if kind == PLACE else put(self, kind, name, body, **more))

    async with ingress(tmp_path, kafka_settings, "i0", **watching(log)):
        await until(lambda: has_taken(kafka_settings, 1))
        if where == "before the place is":
            monkeypatch.setattr(CompactedStore, "put", kept)
        else:
            monkeypatch.setattr(TopicFactLog, "_facts", never)
        with log.open("ab") as file:
            file.write(line(2))
        await until(stuck.is_set)
    before = await taken(kafka_settings)
    monkeypatch.setattr(CompactedStore, "put", put)
    monkeypatch.setattr(TopicFactLog, "_facts", facts)
    with log.open("ab") as file:
        file.write(line(3))
    async with ingress(tmp_path, kafka_settings, "i0", **watching(log)):
        await until(lambda: has_taken(kafka_settings, 3))

    assert [1, 2, 3] == sorted(set(await taken(kafka_settings)))
    assert before == ([1, 2] if where == "before the place is" else [1])


async def test_two_ingresses_have_files_and_sockets_of_their_own(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """One path on two machines is two files, and two sockets."""
    await lay_out(kafka_settings)
    log, path = tmp_path / "trail.log", tmp_path / "bao.sock"
    made = watching(log) | socket(f"unix:{path}")
    for number, name in enumerate(("i0", "i1"), 1):
        log.write_bytes(line(number))
        async with ingress(tmp_path, kafka_settings, name, **made):
            await until(partial(has_taken, kafka_settings, number))
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(lines(*created(name)))
            writer.close()
            await until(partial(heard, kafka_settings, name))
    sources = await decoded(kafka_settings, "sources")
    names = {each["name"] for each in sources if each["kind"] in (PLACE, CURSOR)}

    assert {"i0/socket/bao", "i1/socket/bao"} < names
    assert {"i0", "i1"} == {name.partition("/")[0] for name in names}


async def heard(kafka: KafkaSettings, name: str) -> bool:
    """Tell whether a process heard something on its socket."""
    sources = await decoded(kafka, "sources")
    return f"{name}/socket/bao" in {each["name"] for each in sources}


async def test_a_file_of_a_server_that_moved_is_read_on(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """The ingress on its machine takes the place up, and has its own from then on."""
    await lay_out(kafka_settings)
    log = tmp_path / "trail.log"
    log.write_bytes(line(1))
    async with running(tmp_path, **watching(log)) as server:
        await until(partial(knows, server, 1))
    with log.open("ab") as file:
        file.write(line(2))
    moved = Migration(
        tmp_path / "data", "default", kafka_settings, extend({}), time.time_ns
    )
    await moved.run()
    for number in (2, 3):
        async with ingress(tmp_path, kafka_settings, "i0", **watching(log)):
            await until(partial(has_taken, kafka_settings, number))
        with log.open("ab") as file:
            file.write(line(3))

    assert [1, 2, 3] == await taken(kafka_settings)

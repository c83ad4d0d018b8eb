"""The log of an embedded server, moved to a real Kafka."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from agents_registry.facts import Cause
from agents_registry.identifiers import Identifier, extend
from enforcement.kafka import KafkaGuard
from streams.apps.migration import Migration, MigrationError, Moved
from streams.cli.data_folder import run_migrate
from streams.engines.embedded.data_folder import LostLogError
from streams.engines.embedded.store import Store
from streams.ports.keyed_store import CURSOR, SCIM
from streams.settings.kafka import KafkaSettings
from streams.stages.status.status_list import StatusEntry
from tests.integration.serving import (
    Server,
    created_key,
    deleted_key,
    running,
    until,
    used_key,
)
from tests.integration.working import (
    decoded,
    facts_of,
    keyed_facts_of,
    lay_out,
    pipeline,
    records,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from agents_registry.facts import Fact

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

LISTED = "ab" * 16
DEAD, LIVING = "AKIAEXAMPLE000000001", "AKIAEXAMPLE000000002"


async def tell(server: Server, *events: dict[str, Any]) -> None:
    """Have a source say something."""
    body = json.dumps({"Records": events}).encode()
    status, told = await server.post("/v1/events/cloudtrail", "aws", body)
    assert status == 202, told


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the data folder of a server that was stopped."""
    path = tmp_path_factory.mktemp("embedded")
    now = time.time()

    def at(ago: float) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - ago))

    async def make() -> None:
        async with running(path) as server:
            keys = [created_key(k, "bob", at(900), f"new-{k}") for k in (DEAD, LIVING)]
            await tell(server, *keys)
            await tell(server, deleted_key(DEAD, "bob", at(600), "end"))
            await tell(server, used_key(DEAD, "bob", at(300), "again"))
            await tell(server, used_key(LIVING, "bob", at(300), "fine"))
            await until(lambda: server.served.stages.idle)

    asyncio.run(make())
    with closing(sqlite3.connect(path / "data" / "rescind.db")) as db:
        row = ["aws", "User", "1", "ann", None, 1, 1, 2]
        kept = (
            (CURSOR, "okta/ours", b'{"at":1}'),
            (SCIM, "aws/User/1", orjson.dumps(row)),
        )
        db.executemany("INSERT INTO kept VALUES (?, ?, ?)", kept)
        body = orjson.dumps(StatusEntry((Identifier("jwt.jti", "t"),), 3).to_plain())
        lists = (
            ("status_list", LISTED, orjson.dumps(["old", 2, 16, 5])),
            ("status_entry", f"{LISTED}/11/c", body),
        )
        db.executemany("INSERT INTO kept VALUES (?, ?, ?)", lists)
        db.commit()
    return path


def copy_of(folder: Path, to: Path) -> Path:
    """Give a data folder of its own."""
    data = to / "data"
    data.mkdir()
    for path in (folder / "data").iterdir():
        (data / path.name).write_bytes(path.read_bytes())
    return data


async def migrated(
    data: Path, kafka: KafkaSettings, realm: str = "default", **more: Any
) -> Moved:
    """Move a folder."""
    migration = Migration(data, realm, kafka, extend({}), time.time_ns)
    return await migration.run(**more)


async def test_all_that_decides_is_on_kafka(
    tmp_path: Path, folder: Path, kafka_settings: KafkaSettings
) -> None:
    """Facts as they were, uses, cursors; roles and a guard go on from there."""
    data = copy_of(folder, tmp_path)
    await lay_out(kafka_settings)

    moved = await migrated(data, kafka_settings)

    with closing(sqlite3.connect(data / "rescind.db")) as db:
        (count,) = db.execute("SELECT count(*) FROM recent_facts").fetchone()
    assert (moved.facts, moved.there) == (count, 0)
    assert len(await facts_of(kafka_settings)) == count
    beats = [each.key for each in await records(kafka_settings, "facts")]
    assert b"heartbeat/migrate" in beats, "guards of other realms keep their leases"
    kept = {
        each["kind"]: each["name"] for each in await decoded(kafka_settings, "sources")
    }
    assert kept == {
        CURSOR: "okta/ours",
        "scim": "aws/User/1",
        "status_list": LISTED,
        "status_entry": f"{LISTED}/11/c",
    }
    dead, living = (Identifier("aws.access_key", key) for key in (DEAD, LIVING))
    async with pipeline(tmp_path / "kafka", kafka_settings) as pipe:
        await pipe.settled()
        found = await decoded(kafka_settings, "findings")
        assert ["again"] in [each["event_ids"] for each in found]
        async with KafkaGuard(
            kafka_settings.client(), name="g", prefix=kafka_settings.prefix
        ) as guard:
            await until(lambda: guard.check(living).allowed)
            assert not guard.check(dead).allowed
    with pytest.raises(LostLogError, match="moved"):
        Store.open(data, realm="default", genesis="g")


async def counted(kafka: KafkaSettings) -> dict[str, int]:
    """Give how many records there are in each topic, without heartbeats."""
    return {
        name: sum(
            not each.key.startswith(b"heartbeat/")
            for each in await records(kafka, name)
        )
        for name in ("facts", "access", "sources")
    }


async def test_a_run_that_was_killed_is_repeated(
    tmp_path: Path,
    folder: Path,
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is there twice, and the outcome is the same."""
    data = copy_of(folder, tmp_path)
    await lay_out(kafka_settings)

    def die(name: str) -> None:
        raise InterruptedError(name)

    with monkeypatch.context() as at:
        at.setattr("streams.apps.migration.failpoint", die)
        at.setattr("streams.apps.migration.PAGE", 2)
        with pytest.raises(InterruptedError):
            await migrated(data, kafka_settings)
    assert not (data / "moved").exists()
    first = await migrated(data, kafka_settings)
    there = await counted(kafka_settings)
    again = await migrated(data, kafka_settings)

    assert first.facts == 0
    assert (again.facts, again.there) == (0, first.there)
    assert again.digest == first.digest
    assert there == await counted(kafka_settings)
    keys = [key for key, _ in await keyed_facts_of(kafka_settings)]
    assert len(keys) == len(set(keys)) == first.there


async def test_tables_that_differ_are_no_success(
    tmp_path: Path,
    folder: Path,
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fact that was not written is found, and the server may go on."""
    data = copy_of(folder, tmp_path)
    await lay_out(kafka_settings)

    def lossy(facts: Iterable[Fact]) -> list[list[Fact]]:
        return [[fact for fact in facts if not isinstance(fact, Cause)]]

    monkeypatch.setattr("streams.apps.migration._pages", lossy)

    with pytest.raises(MigrationError, match="differ"):
        await migrated(data, kafka_settings)
    assert not (data / "moved").exists()


def change(data: Path, query: str) -> None:
    """Change the store of a server that does not run."""
    with closing(sqlite3.connect(data / "rescind.db")) as db:
        db.execute(query)
        db.commit()


async def test_what_is_not_ready_is_not_moved(
    tmp_path: Path, folder: Path, kafka_settings: KafkaSettings
) -> None:
    """Another realm, no folder, what waits: each is said before anything is."""
    data = copy_of(folder, tmp_path)
    with pytest.raises(MigrationError, match="name the data folder"):
        await migrated(tmp_path, kafka_settings)
    with pytest.raises(MigrationError, match="realm"):
        await migrated(data, kafka_settings, "other")
    with closing(sqlite3.connect(data / "rescind.db")) as db:
        db.execute("INSERT INTO deliveries VALUES ('task/1', '{}')")
        signal = {"kind": "unauthorised", "presented": ["aws.access_key", "x"], "at": 1}
        db.execute("DELETE FROM signals")
        db.execute("INSERT INTO signals VALUES (99, ?)", (orjson.dumps(signal),))
        db.commit()
    with pytest.raises(MigrationError, match="1 alerts wait"):
        await migrated(data, kafka_settings)

    change(data, """INSERT INTO kept VALUES ('pending', 'h', '{"kind": "held"}')""")
    with pytest.raises(MigrationError, match="1 revocations are held"):
        await migrated(data, kafka_settings, leave_alerts=True)
    change(data, "DELETE FROM kept WHERE kind = 'pending'")

    await lay_out(kafka_settings)
    assert (await migrated(data, kafka_settings, leave_alerts=True)).rows
    kinds = {each.get("kind") for each in await decoded(kafka_settings, "access")}
    assert "unauthorised" in kinds


def test_the_command_tells_what_is_next(
    tmp_path: Path,
    folder: Path,
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And what is missing, with an exit code of 2, before it is there."""
    data = copy_of(folder, tmp_path)
    for name in ("bootstrap_servers", "prefix", "partitions", "access_partitions",
                 "replication_factor", "min_insync_replicas"):  # fmt: skip
        value = str(getattr(kafka_settings, name))
        monkeypatch.setenv(f"RESCIND_KAFKA_{name.upper()}", value)

    assert run_migrate(tmp_path / "none.yaml", data, leave_alerts=False) == 2
    assert run_migrate(None, tmp_path / "nothing", leave_alerts=False) == 2
    assert run_migrate(None, data, leave_alerts=False) == 2
    assert "topics plan" in capsys.readouterr().err
    asyncio.run(lay_out(kafka_settings))
    assert run_migrate(None, data, leave_alerts=False) == 0
    assert "start ingress" in capsys.readouterr().out

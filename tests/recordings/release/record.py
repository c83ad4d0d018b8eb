"""Record the data folder and the topics of a release, for the releases after it.

In a checkout of that release, with its virtual environment::

    PYTHONPATH=. .venv/bin/python path/to/record.py FOLDER BOOTSTRAP

A broker serves at BOOTSTRAP (``rescind dev-kafka``). What both engines hold after one
story goes to FOLDER: the database as SQL, the records of the topics, and what the
release answered. The key of the audit chain in it signed nothing else. It imports only
what the tests of each release since 0.1 have.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.integration.kafka_cluster import Running, settings_of
from tests.integration.serving import (
    created_key,
    deleted_key,
    running,
    until,
    used_key,
)
from tests.integration.working import decoded, lay_out, pipeline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Post = Callable[[str, str, Any], Awaitable[tuple[int, Any]]]

LATER = 1_900_000_000_000_000_000  # when tables are compared, ns
PREFIX = "released"
DAY = "2026-03-02T"
KEYS = [f"AKIAEXAMPLE{number:09}" for number in range(24)]
OLD = "2026-01-05T08:00:00Z"


def switched(key: str, status: str, at: str) -> dict[str, Any]:
    """Give a CloudTrail event that switches a key off or on."""
    event = deleted_key(key, "u0", f"{DAY}{at}Z", f"switch-{key}-{status}")
    request = {"userName": "u0", "accessKeyId": key, "status": status}
    return event | {"eventName": "UpdateAccessKey", "requestParameters": request}


def trail() -> list[dict[str, Any]]:
    """Give 24 keys of 6 users: every fourth deleted, two switched off, one on again."""
    made = [
        created_key(key, f"u{n % 6}", f"{DAY}08:{n:02}:00Z", f"made-{key}")
        for n, key in enumerate(KEYS)
    ]
    ended = [
        deleted_key(key, f"u{n % 6}", f"{DAY}09:{n:02}:00Z", f"ended-{key}")
        for n, key in enumerate(KEYS)
        if n % 4 == 3
    ]
    switches = [
        switched(KEYS[0], "Inactive", "09:30:00"),
        switched(KEYS[1], "Inactive", "09:31:00"),
        switched(KEYS[1], "Active", "09:40:00"),
    ]
    used = [
        used_key(key, f"u{n % 6}", f"{DAY}10:{n:02}:00Z", f"used-{key}")
        for n, key in enumerate(KEYS)
    ]
    return [*made, *ended, *switches, *used]


def declared() -> list[dict[str, Any]]:
    """Give agents in three generations with owners, tokens, aliases and ends."""
    owner = {"issued_at": OLD, "owners": ["okta.user:ann"]}
    heads = [{"identifier": f"agent.id:head-{n}", **owner} for n in range(4)]
    children = [
        {
            "identifier": f"agent.id:child-{n}",
            "issued_at": OLD,
            "parents": [f"agent.id:head-{n % 4}"],
            "aliases": [f"spiffe.id:spiffe://kestrel.example/child/{n}"],
        }
        for n in range(12)
    ]
    tokens = [
        {
            "identifier": f"jwt.jti:token-{n}",
            "issued_at": f"2026-02-{1 + n % 27:02}T08:00:00Z",
            "expires_at": f"{2026 + n % 8}-06-01T00:00:00Z",
            "parents": [f"agent.id:child-{n % 12}"],
            "scope": ["crm:read", "crm:write"][: 1 + n % 2],
        }
        for n in range(36)
    ]
    odd = {
        "identifier": "agent.id:suspended", "issued_at": OLD, "suspended": "review",
        "suspended_at": f"{DAY}08:00:00Z",
    }  # fmt: skip
    return [*heads, *children, *tokens, odd]


async def story(post: Post) -> None:
    """Say everything that a release of either engine takes."""

    async def say(path: str, token: str, body: Any) -> dict[str, Any]:
        status, answer = await post(path, token, body)
        assert status in {201, 202}, (path, status, answer)
        return dict(answer)

    async def revoke(identifier: str) -> dict[str, Any]:
        body = {"identifier": identifier, "reason": "INC-77"}
        return await say("/v1/revocations", "revoker", body)

    await say("/v1/adopt", "restorer", {"credentials": declared()})
    lines = json.dumps({"Records": trail()}).encode()
    await say("/v1/events/cloudtrail", "aws", lines)
    await revoke("agent.id:head-1")
    await revoke("jwt.jti:token-0")
    await revoke("okta.user:bob")
    taken_back = await revoke("agent.id:child-4")
    why = {"reason": "a mistake"}
    order = {"identifier": "agent.id:child-4", "fact": taken_back["id"], **why}
    await say("/v1/withdrawals", "restorer", order)
    lift = {"identifier": "agent.id:suspended", "aspect": "review", **why}
    await say("/v1/lifts", "restorer", lift)
    owners = {"identifier": "agent.id:head-2", "owners": ["okta.user:bob"], **why}
    await say("/v1/owners", "restorer", owners)
    await say("/v1/events/cloudtrail", "aws", b"{not json\n")


def told(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give what identifies findings, in order."""
    short = [{"id": each["id"], "kind": each["kind"]} for each in findings]
    return sorted(short, key=lambda each: str(each["id"]))


def packed(text: str) -> bytes:
    """Compress a text; the same one gives the same bytes."""
    return gzip.compress(text.encode(), mtime=0)


async def embedded(into: Path) -> None:
    """Record the data folder of the embedded server."""
    with tempfile.TemporaryDirectory() as name:
        async with running(Path(name)) as server:
            await story(server.post)
            await until(lambda: server.served.stages.idle)
            _, table = await server.get(f"/v1/table?now={LATER}")
            answers = {"table": table, "findings": told(await server.findings())}
            answers["dead_letters"] = len(
                (await server.get("/v1/dlq"))[1]["dead_letters"]
            )
        data = Path(name) / "data"
        with closing(sqlite3.connect(data / "rescind.db")) as db:
            dump = "\n".join(db.iterdump())
            (version,) = db.execute("PRAGMA user_version").fetchone()
        kept = {
            path.name: path.read_text("utf-8")
            for path in sorted(data.iterdir())
            if path.suffix in {".key", ".pub"} or path.name == "genesis"
        }
    dump += f"\nPRAGMA user_version={version};\n"
    (into / "embedded.sql.gz").write_bytes(packed(dump))
    (into / "embedded.json").write_text(
        json.dumps({"files": kept, **answers}, indent=1)
    )


async def raw(settings: Any) -> list[dict[str, Any]]:
    """Read all records of all topics with this prefix, as they lie there."""
    admin = AIOKafkaAdminClient(**settings.client())
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name.startswith(PREFIX)]
        places = [
            TopicPartition(topic["topic"], each["partition"])
            for topic in await admin.describe_topics(names)
            for each in topic["partitions"]
        ]
    finally:
        await admin.close()
    consumer = AIOKafkaConsumer(**settings.client(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found = []
        while any([await consumer.position(tp) < ends[tp] for tp in places]):
            for got in (await consumer.getmany(timeout_ms=200)).values():
                found += [plain(each) for each in got]
        return sorted(
            found, key=lambda of: (of["topic"], of["partition"], of["offset"])
        )
    finally:
        await consumer.stop()


def plain(record: Any) -> dict[str, Any]:
    """Give a record as JSON."""

    def text(body: bytes | None) -> str | None:
        return None if body is None else base64.b64encode(body).decode()

    return {
        "topic": record.topic.removeprefix(PREFIX),
        "partition": record.partition,
        "offset": record.offset,
        "at": record.timestamp,
        "key": text(record.key),
        "value": text(record.value),
        "headers": [[name, text(value)] for name, value in record.headers],
    }


async def kafka(into: Path, bootstrap: str) -> None:
    """Record the topics that ingress and a worker leave."""
    settings = settings_of(Running(bootstrap), prefix=PREFIX)
    await lay_out(settings)
    with tempfile.TemporaryDirectory() as name:
        async with pipeline(Path(name), settings) as run:
            await story(run.post)
            await run.settled()
            table = await run.table(LATER)
            findings = await decoded(settings, "findings")
    answers = {"table": table, "findings": told(findings)}
    (into / "kafka.json").write_text(json.dumps(answers, indent=1))
    lines = [json.dumps(each) for each in await raw(settings)]
    (into / "kafka.jsonl.gz").write_bytes(packed("\n".join(lines) + "\n"))


async def record(into: Path, bootstrap: str) -> None:
    """Record both engines."""
    await embedded(into)
    await kafka(into, bootstrap)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(record(Path(sys.argv[1]), sys.argv[2]))

"""What an older release left, taken up by this one: its data folder, and its topics.

The samples are recorded in a checkout of that release by tests/recordings/release.
"""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from streams.engines.kafka.records.layout import topics
from tests.integration.kafka_guards import allowing, guard_of
from tests.integration.serving import running, until
from tests.integration.test_kafka_topics import administer
from tests.integration.working import decoded, lay_out, pipeline
from tests.recordings.release.record import LATER, told

if TYPE_CHECKING:
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

RELEASES = Path(__file__).parents[1] / "recordings/release"
NEXT = Identifier("agent.id", "head-3")  # lived in the older release
UNDER = Identifier("jwt.jti", "token-7")


@pytest.fixture(
    params=[path.parent.name for path in sorted(RELEASES.glob("*/*.sql.gz"))]
)
def release(request: pytest.FixtureRequest) -> Path:
    """Give the samples of one release."""
    return RELEASES / str(request.param)


def differences(before: list[Any], after: list[Any]) -> dict[str, tuple[Any, Any]]:
    """Compare rows of two tables by identifier."""
    rows = {row[0]: row for row in before}, {row[0]: row for row in after}
    return {
        name: (rows[0].get(name), rows[1].get(name))
        for name in rows[0].keys() | rows[1].keys()
        if rows[0].get(name) != rows[1].get(name)
    }


def unpacked(path: Path) -> str:
    """Read a compressed text."""
    return gzip.decompress(path.read_bytes()).decode()


def put_back(release: Path, data: Path) -> dict[str, Any]:
    """Write the recorded data folder; give what the release answered."""
    answers = json.loads((release / "embedded.json").read_text("utf-8"))
    data.mkdir(mode=0o700)
    for name, text in answers["files"].items():
        (data / name).touch(mode=0o600)
        (data / name).write_text(text, "utf-8")
    (data / "rescind.db").touch(mode=0o600)
    with closing(sqlite3.connect(data / "rescind.db")) as db:
        db.executescript(unpacked(release / "embedded.sql.gz"))
    return dict(answers)


async def test_the_data_folder_of_a_release_is_taken_up(
    release: Path, tmp_path: Path
) -> None:
    """Each state, finding and dead letter is there; what lived can be ended."""
    before = put_back(release, tmp_path / "data")
    async with running(tmp_path) as server:
        await until(lambda: server.served.stages.idle)
        _, table = await server.get(f"/v1/table?now={LATER}")
        found = told(await server.findings())
        _, letters = await server.get("/v1/dlq")

        assert not differences(before["table"]["rows"], table["rows"])
        assert [each for each in before["findings"] if each not in found] == []
        assert before["dead_letters"] == len(letters["dead_letters"])

        await server.post("/v1/revocations", "revoker", {"identifier": str(NEXT)})

        async def ended() -> bool:
            _, why = await server.get(f"/v1/why/{UNDER}")
            return (False, "revoked") == (why["allowed"], why["reason"])

        await until(ended)


async def put_topics_back(release: Path, kafka: KafkaSettings) -> None:
    """Make the topics that the release had, and write its records into them."""
    lines = unpacked(release / "kafka.jsonl.gz").splitlines()
    records = [json.loads(line) for line in lines]
    had = {kafka.prefix + record["topic"] for record in records}
    made = [
        NewTopic(each.name, each.partitions, 1, topic_configs=dict(each.configs))
        for each in topics(kafka)
        if each.name in had
    ]
    await administer(kafka, "create_topics", made)
    producer = AIOKafkaProducer(**kafka.client())
    await producer.start()
    try:
        for record in records:
            key, value = (
                None if body is None else base64.b64decode(body)
                for body in (record["key"], record["value"])
            )
            await producer.send_and_wait(
                kafka.prefix + record["topic"],
                value,
                key,
                partition=record["partition"],
                timestamp_ms=record["at"],
                headers=[(n, base64.b64decode(body)) for n, body in record["headers"]],
            )
    finally:
        await producer.stop()


@pytest.mark.long
async def test_the_topics_of_a_release_are_taken_up(
    release: Path, tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Each state and finding is there, on a guard as well; what lived can be ended."""
    before = json.loads((release / "kafka.json").read_text("utf-8"))
    await put_topics_back(release, kafka_settings)
    await lay_out(kafka_settings)
    async with pipeline(tmp_path, kafka_settings) as run:
        await run.settled()

        assert not differences(before["table"], await run.table(LATER))
        found = told(await decoded(kafka_settings, "findings"))
        assert [each for each in before["findings"] if each not in found] == []
        async with guard_of(kafka_settings) as guard:
            await allowing(guard, UNDER)
            # Some expire between now and the time of the table.
            denied = [row[0] for row in before["table"] if row[2] == "revoked"]
            assert denied
            assert not [n for n in denied if guard.check(n).allowed]

            await run.post("/v1/revocations", "revoker", {"identifier": str(NEXT)})
            await until(lambda: guard.check(UNDER).reason is Reason.REVOKED)

"""The projection on Faust builds lost tables again to the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from jsonschema import Draft202012Validator

from streams.apps.insights import Counting, count
from streams.model.times import SECOND
from streams.settings.insights import InsightsSettings
from streams.settings.server import Settings
from streams.stages.sentinel.episode import Episode
from tests.integration.notifying import NOW, finding, invalidate, report
from tests.integration.serving import DEADLINE, until, values
from tests.integration.test_kafka_topics import administer
from tests.integration.working import lay_out, task_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

API: dict[str, Any] = yaml.load(
    (Path(__file__).parents[2] / "docs/api/openapi.yaml").read_text(), yaml.CSafeLoader
)
DESCRIBED = Draft202012Validator(API["components"]["schemas"]["Insights"])
HOUR = "2027-01-15T08:00:00Z"
VIEWER = {"Authorization": "Bearer viewer"}


async def counts(
    folder: Path,
    kafka: KafkaSettings,
    wanted: int,
    clock: Callable[[], int] = lambda: NOW,
) -> dict[str, Any]:
    """Run a process until it counts so much; give its answer."""
    settings, own = Settings(**values(folder)), InsightsSettings()
    async with (
        task_of(
            lambda stop, told: count(
                settings, kafka, own, stop=stop, started=told, clock=clock
            )
        ) as running,
        aiohttp.ClientSession(headers=VIEWER) as session,
    ):
        # Where the broker missed that the last one left, its session has to end first.
        told: dict[str, Any] = await until(
            lambda: counted(session, running, wanted), 2 * DEADLINE
        )
        return told


async def counted(
    session: aiohttp.ClientSession, running: Counting, wanted: int
) -> dict[str, Any] | None:
    """Answer of a process once it counts so many."""
    async with session.get(f"{running.url}/v1/insights") as got:
        told: dict[str, Any] = await got.json()
    if got.status != 200:
        return None
    DESCRIBED.validate(told)
    found = sum(each["count"] for each in told["revocations"])
    for each in told["findings"]:
        found += each["opened"] + each["seconds_to_close"]["count"]
    return told if found == wanted else None


@pytest.mark.long
async def test_lost_tables_are_built_again_to_the_same_numbers(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Those of a realm, by hour; each start reads the topics again, and counts once."""
    kafka = kafka_settings
    await lay_out(kafka)
    said = {"realm": "default", "authority": "okta"}
    closed = Episode(finding(1, **said), 0, NOW, revision=2, open=False)
    await report(kafka, finding(1, **said), finding(2, **said), closed)
    await report(kafka, finding(3, realm="another"))
    death = {"identifier": "jwt.jti:t1", "authority": "okta"}
    await invalidate(
        kafka,
        death,
        death | {"identifier": "jwt.jti:t2"},  # of the same cause
        b"poison",
        death | {"cause": "c2", "at": NOW - 3600 * SECOND},
        death | {"cause": "c3", "realm": "another"},
    )

    first = await counts(tmp_path, kafka, 5)

    told = [(each["hour"], each["count"]) for each in first["revocations"]]
    assert [("2027-01-15T07:00:00Z", 1), (HOUR, 1)] == told
    (found,) = first["findings"]
    known = {name: found[name] for name in ("hour", "authority", "kind", "opened")}
    kind = "use_after_revocation"
    assert known == {"hour": HOUR, "authority": "okta", "kind": kind, "opened": 2}
    assert found["seconds_to_close"]["count"] == 1
    assert first == await counts(tmp_path, kafka, 5)

    group = kafka.group("insights")
    lost = [f"{group}-{name}-changelog" for name in ("revocations", "episodes")]
    await administer(kafka, "delete_topics", lost)

    async def gone() -> bool:
        return not {*lost} & {*await administer(kafka, "list_topics")}

    await until(gone)
    assert first == await counts(tmp_path, kafka, 5)

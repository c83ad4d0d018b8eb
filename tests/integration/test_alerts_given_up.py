"""What a receiver that was gone is told once it is back, by both engines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from streams.stages.notify.deliveries import Activity
from streams.stages.sentinel.episode import Episode
from tests.integration.test_alert_outage import OTHER, SOC, play
from tests.unit.test_notify import NOW, a_finding

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.test_alert_outage import Engine, Receivers

pytestmark = pytest.mark.integration

BOTH = [Activity.CREATE, Activity.CLOSE]


async def gone(engine: Engine, receivers: Receivers) -> Any:
    """Begin and end findings around a 410, with a restart, then replay."""
    known, met, unheard, late = (a_finding(number) for number in range(4))

    async def report(finding: Any, revision: int = 1) -> None:
        episode = Episode(finding, 0, NOW, revision=revision, open=revision == 1)
        await engine.report(episode)
        await asyncio.sleep(1)

    async with engine.running() as desk:
        await report(known)
        receivers.gone = True
        await report(met)
        await report(unheard)
        for finding in (known, met, unheard):
            await report(finding, 2)
        buried = await desk.buried()
    receivers.gone = False
    async with engine.running() as desk:
        await report(late)
        assert await desk.replay("other") == len(buried)
        await asyncio.sleep(1)
        assert await desk.buried() == []
    told: dict[str, list[Activity]] = {}
    for _, each in receivers.arrived["other"]:
        told.setdefault(each.finding.id, []).append(each.activity)
    return told, [each.id for each in (known, met, unheard, late)], len(buried)


@pytest.mark.parametrize("engine", ["embedded", "kafka"])
def test_no_incident_stays_open_at_a_receiver_that_was_gone(
    tmp_path: Path, engine: str
) -> None:
    """Every end comes, and every beginning that it has not heard."""
    told, findings, buried = play(engine, tmp_path, gone, SOC, OTHER)

    assert buried == 5
    assert [told[each] for each in findings] == [BOTH, BOTH, BOTH, BOTH[:1]]

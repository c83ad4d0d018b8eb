"""What a guard says of its lease, and to Prometheus."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from prometheus_client import CollectorRegistry

from enforcement.counters import Counters
from enforcement.prometheus import GuardCollector
from enforcement.readiness import report, wait
from enforcement.verdict import NotReadyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit


@define(eq=False)
class Fed:
    """Standing and feed of a guard in one; a test says what holds."""

    holding: bool = False
    last_error: str | None = None
    looked: asyncio.Event = field(factory=asyncio.Event)
    lease: Any = SimpleNamespace(length=2_000_000)  # noqa: RUF009 - never changed

    def holds(self) -> bool:
        """Whether it holds a lease."""
        self.looked.set()
        return self.holding

    async def run(self) -> None:
        """Feed nothing."""

    async def progress(self) -> None:
        """Wait a moment."""
        await asyncio.sleep(0.001)

    async def seen(self) -> None:
        """Wait until somebody looked, after what was changed last."""
        for _ in range(2):
            self.looked.clear()
            await self.looked.wait()


@pytest.fixture
async def fed() -> AsyncIterator[Fed]:
    """Give what a guard reports on meanwhile."""
    standing: Any = Fed()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(report(standing, standing))
        yield standing
        task.cancel()


async def test_each_change_is_logged_once(
    fed: Fed, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage of hours is a few lines, and each new reason is one."""
    caplog.set_level(logging.INFO, "rescind_guard")

    def said() -> list[str]:
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return lines

    for error in ("401", "401", "refused"):
        fed.last_error = error
        await fed.seen()
        await fed.seen()
    assert said() == ["the guard is not fed: 401", "the guard is not fed: refused"]
    fed.holding = True
    await fed.seen()
    await fed.seen()
    assert said() == ["the guard holds a lease"]
    fed.holding = False
    await fed.seen()
    await fed.seen()
    lapsed, why = said()
    assert "no lease" in lapsed
    assert why == "the guard is not fed: refused"


async def test_a_guard_that_must_be_ready_says_why_it_is_not() -> None:
    """Else a service starts and denies for ever."""
    standing: Any = Fed(last_error="401: wrong credential")
    assert not await wait(standing, standing, 0.01, required=False)
    with pytest.raises(NotReadyError, match="401: wrong credential"):
        await wait(standing, standing, 0.01, required=True)
    standing.last_error = None
    with pytest.raises(NotReadyError, match="proves nothing"):
        await wait(standing, standing, 0.01, required=True)
    standing.holding = True
    assert await wait(standing, standing, 0.01, required=True)


def test_prometheus_reads_what_the_guard_did() -> None:
    """Each answer with its reason."""
    ended = SimpleNamespace(denied=Counter(revoked=2))

    class Watched:
        ended: Any

        def __len__(self) -> int:
            return 3

    sessions = Watched()
    sessions.ended = ended
    guard: Any = SimpleNamespace(
        standing=Fed(holding=True),
        counters=Counters(5, Counter(revoked=4), Counter(expired=1), 6),
        sessions=sessions,
    )
    registry = CollectorRegistry()
    registry.register(GuardCollector(guard))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"rescind_guard_{name}", labels)

    assert value("lease") == 1
    assert value("checks_total", answer="allowed", reason="") == 5
    assert value("checks_total", answer="denied", reason="revoked") == 4
    assert value("checks_total", answer="observed", reason="expired") == 1
    assert value("stale_checks_total") == 6
    assert value("sessions") == 3
    assert value("ended_sessions_total", reason="revoked") == 2

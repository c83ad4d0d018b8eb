"""Who is over a quota is a finding, once an hour while it goes on."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from agents_registry.facts import HOUR
from streams.services.intake import NotWrittenError
from streams.services.quota_watch import FACTS, LETTERS, QuotaWatch
from streams.stages.ingest.ingress import Origin

pytestmark = pytest.mark.unit


class Log:
    """Has counts, and keeps the signals that are written."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.quotas = SimpleNamespace(exceeded=Counter())
        self.stated = SimpleNamespace(reasons=SimpleNamespace(exceeded=Counter()))
        self.told: list[tuple[str, str]] = []
        self.full = False

    async def records(self, delivery: Any) -> None:
        """Write."""
        if self.full:
            raise NotWrittenError("full")
        assert {"over_quota"} == {each["kind"] for each in delivery.signals}
        self.told += [
            (each["presented"][1], each["detail"]) for each in delivery.signals
        ]


async def test_each_authority_is_told_once_an_hour_for_each_quota() -> None:
    """And not again where it is over no more, nor lost where it cannot be written."""
    log, now = Log(), [10 * HOUR]
    made: Any = log
    watch = QuotaWatch(made, lambda: Origin("rescind", "r", now[0], "rescind", 1))
    await watch.look()
    log.quotas.exceeded["ci"] += 5
    log.full = True
    with pytest.raises(NotWrittenError):
        await watch.look()
    log.full = False
    for _ in range(3):
        log.quotas.exceeded["ci"] += 1
        log.stated.reasons.exceeded["hr"] += 1
        await watch.look()
    assert [("ci", FACTS), ("hr", LETTERS)] == log.told
    now[0] += HOUR
    await watch.look()
    assert [("ci", FACTS), ("hr", LETTERS)] * 2 == log.told
    now[0] += HOUR
    await watch.look()
    assert len(log.told) == 4

"""The embedded engine reads urgent findings ahead of all others, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from streams.engines.embedded import deliveries as engine
from streams.engines.embedded.deliveries import DeliveryRows
from streams.engines.embedded.store import Store
from streams.model.findings import FindingKind, Severity
from streams.pipeline import delivery
from streams.pipeline.delivery import DeliveryWorker
from streams.stages.notify.deliveries import ReceiverRoute
from streams.stages.notify.queue import urgent
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.episode import Episode
from tests.unit.test_notify import NOW, a_finding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from streams.model.findings import Finding

pytestmark = pytest.mark.unit

ROUTES = [ReceiverRoute(name="soc", minimum=Severity.INFORMATIONAL)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Give a store of its own."""
    opened = Store.open(tmp_path, realm="acme", genesis="g")
    yield opened
    await opened.close()


async def put(store: Store, *findings: Finding) -> None:
    """Write findings as they are now."""
    rows = [
        (f.id, True, orjson.dumps(saved_episodes.save(Episode(f, 0, NOW))))
        for f in findings
    ]
    await store.write(lambda tx: tx.stages.put_findings(rows))


def a_notifier(store: Store) -> DeliveryWorker:
    """Give a notifier that tells nobody yet."""
    rows = DeliveryRows(store)
    return DeliveryWorker(rows, ROUTES, None, lambda: NOW)  # type: ignore[arg-type]


async def read_all(notifier: DeliveryWorker) -> list[list[str]]:
    """Take in what changed until nothing is left; give the ids of each step."""
    steps = []
    while True:
        found = await notifier._next()
        steps.append([each.finding.id for each in found.changes])
        await notifier._step(found)
        if not found.more:
            return [ids for ids in steps if ids]


async def test_what_is_urgent_is_taken_ahead(store: Store) -> None:
    """It stands behind thousands, and is in the first step."""
    low = [a_finding(n, kind=FindingKind.OWNERLESS) for n in range(500)]
    await put(store, *low, a_finding(1000))

    first, *rest = await read_all(a_notifier(store))

    assert first[0] == a_finding(1000).id
    taken = first + [name for step in rest for name in step]
    assert sorted(taken) == sorted(f.id for f in (*low, a_finding(1000)))


async def test_a_restart_takes_nothing_twice_and_loses_nothing(store: Store) -> None:
    """Both positions are kept with what was made of the changes."""
    low = [a_finding(n, kind=FindingKind.OWNERLESS) for n in range(120)]
    await put(store, *low[:60], a_finding(1000), *low[60:])
    before = a_notifier(store)
    found = await before._next()
    taken = [each.finding.id for each in found.changes]
    await before._step(found)
    await put(store, a_finding(1001))

    after = a_notifier(store)
    taken += [name for step in await read_all(after) for name in step]

    expected = [*low, a_finding(1000), a_finding(1001)]
    assert sorted(taken) == sorted(f.id for f in expected)


async def test_a_file_of_an_earlier_release_is_read_on(store: Store) -> None:
    """It has one position, up to which all was taken."""
    await put(store, a_finding(1), a_finding(2))
    await store.write(lambda tx: tx.stages.set_position("notify", 1))
    notifier = a_notifier(store)

    assert await read_all(notifier) == [[a_finding(2).id]]


async def test_what_is_urgent_goes_in_steps_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, and however far ahead."""
    monkeypatch.setattr(delivery, "BATCH", 7)
    monkeypatch.setattr(engine, "AHEAD", 50)
    mixed = [
        a_finding(n, kind=[FindingKind.OWNERLESS, FindingKind.LEAK][n % 3 == 0])
        for n in range(300)
    ]
    await put(store, *mixed)

    steps = await read_all(a_notifier(store))

    taken = [name for step in steps for name in step]
    assert sorted(taken) == sorted(f.id for f in mixed)


@pytest.mark.parametrize("severity", Severity)
async def test_the_file_and_the_stage_agree_on_what_is_urgent(
    store: Store, severity: Severity
) -> None:
    """Of every kind."""
    findings = [
        a_finding(n, kind=kind, severity=severity) for n, kind in enumerate(FindingKind)
    ]
    await put(store, *findings)
    deliveries = DeliveryRows(store)
    rows: Any = await deliveries._between(0, 10_000, 1000, engine._URGENT)

    assert {c.finding.id for _, c in rows} == {f.id for f in findings if urgent(f)}

"""Bugs planted into alerting are caught by the streams and by the outage."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest

from streams.engines.embedded.stage_rows import StageRows
from streams.pipeline.delivery import DeliveryWorker
from streams.process.lifecycle import first_error
from streams.sinks.webhook import Webhook
from streams.stages.access import uses
from streams.stages.ingest import admission
from streams.stages.notify import lease as notify_lease
from streams.stages.notify import queue as delivery_queue
from tests.integration import test_alert_outage as outage
from tests.integration.alert_stream import ForeignConnectionError, play
from tests.integration.alert_truth import Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.stages.notify.deliveries import Delivery

pytestmark = [pytest.mark.planted, pytest.mark.timeout(240)]


def queue_not_saved(patch: pytest.MonkeyPatch) -> None:
    """Take findings in and keep what is to be sent in memory alone."""
    patch.setattr(StageRows, "put_deliveries", lambda *_: None)


def another_id_for_each_attempt(patch: pytest.MonkeyPatch) -> None:
    """Give a message that is tried again another id."""
    request = Webhook.request

    def numbered(sink: Webhook, delivery: Delivery, now: int) -> Any:
        name = f"{delivery.id}.{delivery.attempts}"
        return request(sink, attrs.evolve(delivery, id=name), now)

    patch.setattr(Webhook, "request", numbered)


def copies_counted(patch: pytest.MonkeyPatch) -> None:
    """Take each copy of a line for a use of its own."""

    def anonymous(*args: Any, **more: Any) -> Any:
        return uses.seen(*args, **more)._replace(event_id=None)

    patch.setattr(admission, "seen", anonymous)


@pytest.mark.parametrize(
    ("plant", "seed"),
    [
        (queue_not_saved, 5),
        pytest.param(another_id_for_each_attempt, 1, marks=pytest.mark.campaign),
        pytest.param(copies_counted, 1, marks=pytest.mark.campaign),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_stream_catches_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
    seed: int,
) -> None:
    """The same stream is right without it."""
    plant(monkeypatch)

    # A bug that shows where an answer is lost needs a stream in which one is.
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    assert any(play(seed + n, each, Tally(), 10) for n, each in enumerate(folders))


def test_a_redirect_that_is_followed_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would lead to the credentials of the machine."""
    request = aiohttp.ClientSession.request

    def followed(session: aiohttp.ClientSession, *where: Any, **more: Any) -> Any:
        return request(session, *where, **more | {"allow_redirects": True})

    monkeypatch.setattr(aiohttp.ClientSession, "request", followed)

    with pytest.raises(BaseExceptionGroup) as raised:
        play(0, tmp_path, Tally(), 10)

    assert isinstance(first_error(raised.value), ForeignConnectionError)


@pytest.mark.parametrize("engine", ["embedded", "kafka"])
def test_a_backlog_by_age_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """The oldest first instead of the most severe."""
    for module in (delivery_queue, notify_lease):
        monkeypatch.setattr(module, "urgency", lambda each: each.created_at)

    with pytest.raises(AssertionError):
        outage.test_a_dead_endpoint_loses_nothing_and_ends_with_the_worst_first(
            tmp_path, engine
        )


@pytest.mark.parametrize("engine", ["embedded", "kafka"])
def test_one_attempt_after_the_other_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """A loop that waits for each answer lets one endpoint hold up the others."""
    attempt = DeliveryWorker._attempt
    turns: dict[Any, asyncio.Lock] = {}

    async def in_turn(notifier: Any, delivery: Delivery) -> None:
        async with turns.setdefault(notifier, asyncio.Lock()):
            await attempt(notifier, delivery)

    monkeypatch.setattr(DeliveryWorker, "_attempt", in_turn)

    with pytest.raises(AssertionError):
        outage.test_one_that_hangs_does_not_move_the_others_slowest(tmp_path, engine)

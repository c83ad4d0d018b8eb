"""Bugs planted into the notify stage on Kafka are caught by its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from streams.engines.kafka.finding_records import FindingRecord, read_finding
from streams.engines.kafka.notify import inbox
from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.engines.kafka.notify.inbox import FindingInbox
from streams.stages.notify.state import DeliveryState
from tests.integration import test_kafka_notify as suite
from tests.integration.kafka_cluster import kafka, kafka_launcher, kafka_settings
from tests.property import test_kafka_notifier as worlds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agents_registry.steps import Steps
    from streams.settings.kafka import KafkaSettings

__all__ = ["kafka", "kafka_launcher", "kafka_settings"]

pytestmark = [pytest.mark.planted, pytest.mark.timeout(240)]


def acked_when_taken(patch: pytest.MonkeyPatch) -> None:
    """Let the commit pass a finding while its receiver fails."""

    def release(box: FindingInbox, *_: Any, **__: Any) -> Steps[None]:
        yield
        for acks in box._owed.values():
            for ack in acks:
                ack()
        box._owed.clear()

    patch.setattr(FindingInbox, "_release", release)


def schedule_in_memory(patch: pytest.MonkeyPatch) -> None:
    """Forget over a restart how often it was tried."""
    patch.setattr(DeliveryFile, "of_findings", lambda *_: DeliveryState())
    patch.setattr(DeliveryFile, "took", lambda *_: False)


def numbered_as_counted(patch: pytest.MonkeyPatch) -> None:
    """Give each message the number of those that this process has sent."""

    def read(value: bytes | None, headers: Any) -> FindingRecord:
        found = read_finding(value, headers)
        return attrs.evolve(found, change=found.change._replace(order=0))

    patch.setattr(inbox, "read_finding", read)


BUGS: dict[Callable[[pytest.MonkeyPatch], None], Any] = {
    acked_when_taken: suite.test_attempts_go_on_after_a_restart,
    schedule_in_memory: suite.test_attempts_go_on_after_a_restart,
    numbered_as_counted: suite.test_updates_are_numbered_by_the_revision,
}


def taken_twice(patch: pytest.MonkeyPatch) -> None:
    """Take a record in again that came again."""
    patch.setattr(DeliveryFile, "took", lambda *_: False)


def acked_with_its_message(patch: pytest.MonkeyPatch) -> None:
    """Let a finding go though something about it still waits to be told."""

    def release(
        box: FindingInbox, state: DeliveryState, _: Any, **__: Any
    ) -> Steps[None]:
        yield
        busy = {delivery.finding.id for delivery in state.deliveries.values()}
        for name in box._owed.keys() - busy:
            for ack in box._owed.pop(name):
                ack()

    patch.setattr(FindingInbox, "_release", release)


@pytest.mark.parametrize(
    "plant",
    [acked_when_taken, numbered_as_counted, taken_twice, acked_with_its_message],
    ids=lambda bug: bug.__name__,
)
def test_random_worlds_catch_it_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """One of the random crashes shows it, without a broker."""
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        worlds.test_whatever_dies_each_alert_is_told_before_its_commit(tmp_path)


@pytest.mark.parametrize("plant", BUGS, ids=lambda bug: bug.__name__)
async def test_a_wrong_line_is_caught(
    tmp_path: Path,
    kafka_settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """An assertion of the test fails, and nothing else."""
    plant(monkeypatch)
    with pytest.raises((AssertionError, BaseExceptionGroup)) as caught:
        await BUGS[plant](tmp_path, kafka_settings)

    assert all(isinstance(each, AssertionError) for each in leaves(caught.value))


def leaves(error: BaseException) -> list[BaseException]:
    """Give the errors that a group is made of."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in leaves(each)]

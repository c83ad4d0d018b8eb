"""Private names of libraries: one module has them all, and upstream still has each."""

from __future__ import annotations

import atexit
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer.group_coordinator import GroupCoordinator

from streams.engines.kafka.client.internals import (
    RenamedError,
    leave_on_stop,
    limit_requests,
    member_id,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.contract

PLACE = "streams/engines/kafka/client/internals.py"
OF_PYTHON = "streams/cli/options.py"
PACKAGES = ("agents_registry", "enforcement", "schemas", "streams")


def test_one_module_has_them_all(repository: Path) -> None:
    """The linter refuses what it does not excuse there; docs/testing.md lists them."""
    excused = {
        str(path.relative_to(repository))
        for package in PACKAGES
        for path in (repository / package).rglob("*.py")
        if "noqa: SLF001" in path.read_text("utf-8")
    }
    assert excused == {PLACE, OF_PYTHON}
    assert callable(atexit._run_exitfuncs)
    told = (repository / "docs/testing.md").read_text("utf-8")
    for name in (
        "_coordinator", "member_id", "fetch_committed_offsets",
        "ensure_coordinator_known", "_do_heartbeat", "_group_instance_id", "_sender",
        "_request_timeout_ms",
    ):  # fmt: skip
        assert f"`{name}`" in told
        assert name in (repository / PLACE).read_text("utf-8")


def test_a_coordinator_has_them() -> None:
    """Methods of the class, and attributes that its constructor sets."""
    assert "_coordinator" in AIOKafkaConsumer.__init__.__code__.co_names
    assert "member_id" in GroupCoordinator.__init__.__code__.co_names
    leaving = GroupCoordinator._maybe_leave_group.__code__.co_names
    assert "_group_instance_id" in leaving
    for name in (
        "fetch_committed_offsets", "ensure_coordinator_known", "_do_heartbeat",
    ):  # fmt: skip
        assert callable(getattr(GroupCoordinator, name))


async def test_a_producer_has_them() -> None:
    """Both parts take a limit of their own, and the client reads it."""
    producer = AIOKafkaProducer(request_timeout_ms=40_000)
    parts = (producer.client, producer._sender)
    assert [40_000] * 2 == [part._request_timeout_ms for part in parts]
    limit_requests(producer, 2_000)
    assert [2_000] * 2 == [part._request_timeout_ms for part in parts]
    await producer.stop()


def test_a_renamed_one_is_said_at_the_start() -> None:
    """It is not set where nobody reads it, nor asked for with a default."""
    renamed = SimpleNamespace(
        client=SimpleNamespace(_request_timeout=1), _sender=SimpleNamespace()
    )
    with pytest.raises(RenamedError):
        limit_requests(renamed, 2_000)
    with pytest.raises(RenamedError):
        leave_on_stop(SimpleNamespace(_coordinator=SimpleNamespace()))
    with pytest.raises(AttributeError):
        member_id(SimpleNamespace(_group_coordinator=None))

"""A table that is followed for a work is waited for while the cluster is silent."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.engines.kafka.ingress import current

pytestmark = pytest.mark.unit


async def test_a_cluster_that_does_not_answer_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each attempt is a new one."""
    monkeypatch.setattr(current, "WAIT_SECONDS", 0.0)
    errors: list[Exception] = [KafkaConnectionError(), OSError()]

    class Table:
        async def __aenter__(self) -> Any:
            if errors:
                raise errors.pop()
            return self

    made: list[Any] = []

    def make() -> Any:
        made.append(Table())
        return made[-1]

    found: Any = await current.followed(make)

    assert found is made[2]

"""Pages of an audit chain on Kafka: whole, in order, and read on where they ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.engines.kafka.audit import pages
from streams.engines.kafka.audit.pages import MOST, AuditExports
from streams.ports.findings_log import BehindError, SkippingError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from streams.settings.kafka import KafkaSettings

pytestmark = pytest.mark.unit

CHAIN: list[Any] = [
    {"sequence": 1}, {"sequence": 2}, {"head": "two"}, {"unchained": "x"},
    {"sequence": 3}, {"sequence": 4}, {"head": "four"}, {"sequence": 5},
]  # fmt: skip


class Topic:
    """A chain that counts how often it is read, and how many readers are open."""

    def __init__(self, lines: list[Any]) -> None:
        """Hold some lines."""
        self.chain = lines
        self.begun = self.open = 0

    async def lines(self, _: KafkaSettings, realm: str) -> AsyncGenerator[Any, None]:
        """Read them."""
        assert realm in {"default", "other"}
        self.begun += 1
        self.open += 1
        try:
            for line in self.chain:
                if line == "broken":
                    raise KafkaConnectionError
                yield line
        finally:
            self.open -= 1


def exports(topic: Topic) -> AuditExports:
    """Make the pages of a chain."""
    return AuditExports(cast("KafkaSettings", None), "default", topic.lines)


async def paged(made: AuditExports, limit: int) -> list[Any]:
    """Read all pages."""
    found: list[Any] = []
    after: int | None = 0
    while after is not None:
        lines, after = await made.page(after, limit)
        assert sum("sequence" in line for line in lines) <= limit
        found += lines
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 99])
async def test_pages_together_are_the_chain_to_its_last_head(limit: int) -> None:
    """It is read once, however many pages it has; nothing stays open."""
    topic = Topic(CHAIN)

    assert CHAIN[:-1] == await paged(exports(topic), limit)
    assert (1, 0) == (topic.begun, topic.open)


async def test_a_page_that_nobody_waits_for_is_read_from_the_beginning() -> None:
    """What stands between two entries is told rather twice than not at all."""
    topic = Topic(CHAIN)

    assert (CHAIN[2:7], None) == await exports(topic).page(2, 99)
    assert ([], None) == await exports(topic).page(9, 99)
    assert 0 == topic.open


async def test_a_chain_without_its_start_begins_with_a_head() -> None:
    """As an export of the topics does."""
    topic = Topic(CHAIN[1:])

    assert CHAIN[2:7] == await paged(exports(topic), 1)


async def test_readers_that_wait_are_few_and_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever asks for many beginnings keeps few of them open."""
    topic = Topic([{"sequence": n // 2} if n % 2 else {"head": n} for n in range(99)])
    made = exports(topic)
    for limit in range(1, 2 * MOST):
        await made.page(0, limit)
    assert MOST == topic.open

    monkeypatch.setattr(pages, "KEPT_SECONDS", 0.0)
    running = asyncio.create_task(made.run())
    for _ in range(100):
        await asyncio.sleep(0)
    running.cancel()
    assert 0 == topic.open


async def test_what_cannot_be_read_is_no_end() -> None:
    """Where the topics do not answer there is no page, and no reader is left."""
    topic = Topic([*CHAIN[:3], "broken"])
    with pytest.raises(BehindError, match="audit topics"):
        await exports(topic).page(0, 99)

    assert 0 == topic.open


async def test_a_page_far_in_a_chain_is_reached_in_several_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each says how far it is and goes on where the last one was; no request hangs."""
    monkeypatch.setattr(pages, "SKIP_SECONDS", 0.0)
    monkeypatch.setattr(pages, "TURN_SECONDS", -1.0)
    topic = Topic(CHAIN)
    made = exports(topic)
    for at in (1, 2, 2, 2):
        with pytest.raises(SkippingError, match=f"{at} entries so far") as error:
            await made.page(3, 9)
        assert error.value.at == at
    assert ([{"sequence": 4}, {"head": "four"}], None) == await made.page(3, 9)
    assert (1, 0) == (topic.begun, topic.open)

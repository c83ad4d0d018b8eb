"""What ends at issuers on Kafka: in a thread of an ingress, in one ingress at a time.

It follows the table of the realm by a client of its own, in an event loop of its own,
so that neither acts nor walks ever hold the loop that accepts.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog
from attrs import define, field

from streams.engines.embedded.analysis import Analysis
from streams.engines.kafka.client.errors import KafkaError
from streams.engines.kafka.ingress.current import FollowedTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from agents_registry.registry import Registry
    from streams.apps.builders.description import Described
    from streams.apps.builders.kafka_inputs import KafkaInputs

    Work = Callable[[], Coroutine[None, None, None]]

AGAIN_SECONDS: Final = 1.0

log = structlog.get_logger()


@define(eq=False)
class TableInTurn:
    """A followed table whose end is asked for by one at a time."""

    _table: FollowedTable
    _turn: asyncio.Lock = field(factory=asyncio.Lock)

    @property
    def registry(self) -> Registry:
        """Table as it is now."""
        return self._table.registry

    async def catch_up(self) -> str:
        """Wait until the table holds all that was accepted by now.

        Raises:
            BehindError: it does not in time.
        """
        async with self._turn:
            return await self._table.catch_up()


@asynccontextmanager
async def ending_beside(
    given: Described, taking: KafkaInputs
) -> AsyncIterator[Mapping[str, Work]]:
    """Works that one ingress of the realm does at a time, for the length of a block."""
    endings, kafka = taking.common.endings, taking.log.kafka
    if not endings.issuers:
        yield {}
        return

    async def end() -> None:
        realm, name = given.settings.realm, f"{taking.log.name}-ends"
        while True:
            try:
                async with FollowedTable(
                    kafka, realm, given.vocabulary, name, taking.log.facts
                ) as table:
                    await endings.run(TableInTurn(table))
            except (KafkaError, OSError) as error:
                log.warning("endings_stopped", error=type(error).__name__)
                await asyncio.sleep(AGAIN_SECONDS)

    aside = Analysis()

    async def run() -> None:
        await aside.run(end)

    async with aside.running():
        yield {"actuators": run}

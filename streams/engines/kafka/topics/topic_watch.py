"""Watch the topics that a process stands on: they may change under it.

A topic that is made anew, or set to delete what it holds, loses revocations without
an error for anybody. So each process compares its topics with what it started on, now
and then, and is not ready, nor accepts anything, while they are not as they must be.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka.errors import KafkaError

from streams.engines.kafka.records.schema_registry import RegistryError
from streams.engines.kafka.topics.topics import LayoutError, assert_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streams.engines.kafka.records.codec import Genesis
    from streams.settings.kafka import KafkaSettings

LOOK_SECONDS: Final = 5.0
TOPICS: Final = "topics"  # what a process waits for that is not ready by them

log = structlog.get_logger()


class TopicWatch:
    """Looks at the topics of a process.

    Attributes:
        fault: what is wrong with them, for people; None: nothing was found.
        changed: partitions whose genesis is another than at the start.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        names: Sequence[str],
        geneses: Mapping[int, Genesis],
    ) -> None:
        """Set up; `run` looks.

        Args:
            settings: of the cluster and the layout.
            names: of the process's topics, as `assert_layout` takes them.
            geneses: that it started on.
        """
        self.fault: str | None = None
        self.changed: list[int] = []
        self._settings = settings
        self._names = names
        self._stands_on = {n: each.genesis for n, each in geneses.items()}
        self._found = self._stands_on
        self._soon = asyncio.Event()

    def doubt(self, why: str) -> None:
        """Take note of a sign that a topic is another one, and look at once."""
        self._report(why)
        self._soon.set()

    async def run(self, asked: Callable[[], bool] = lambda: True) -> None:
        """Look until cancelled, or until the log is another one.

        Args:
            asked: tells whether there is a broker to ask.
        """
        while not self.changed:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._soon.wait()
            except TimeoutError:
                pass
            self._soon.clear()
            if asked():
                await self.look()

    async def follow(self, asked: Callable[[], bool] = lambda: True) -> None:
        """Look until cancelled, for who reads another log by itself."""
        while True:
            await self.run(asked)
            self._stands_on, self.changed = self._found, []
            self._report(None)

    async def look(self) -> None:
        """Compare once; what cannot be asked for is as it was."""
        try:
            async with asyncio.timeout(2 * LOOK_SECONDS):
                found = await assert_layout(self._settings, self._names)
        except LayoutError as error:
            self._report(f"{error}: run `rescind topics plan`")
        except (KafkaError, RegistryError, TimeoutError, OSError) as error:
            log.info("topics_not_looked_at", error=type(error).__name__)
        else:
            self._found = {n: each.genesis for n, each in found.items()}
            self.changed = [
                number
                for number, genesis in self._found.items()
                if genesis != self._stands_on.get(number)
            ]
            self._report(
                f"partition {self.changed[0]} of facts has another genesis"
                if self.changed
                else None
            )

    def _report(self, fault: str | None) -> None:
        if fault is not None and fault != self.fault:
            log.error("topics_unfit", fault=fault)
        elif fault is None and self.fault is not None:
            log.info("topics_fit")
        self.fault = fault

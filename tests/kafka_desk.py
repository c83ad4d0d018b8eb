"""The delivery worker over records of Kafka, without a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

from streams.engines.kafka.notify.inbox import FindingInbox
from streams.pipeline.delivery import DeliveryWorker
from streams.settings.kafka import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.engines.kafka.notify.delivery_file import DeliveryFile
    from streams.engines.kafka.notify.records import Record
    from streams.pipeline.delivery import Post
    from streams.stages.notify.deliveries import Delivery, ReceiverRoute
    from streams.stages.notify.state import DeliveryState


@frozen
class Desk:
    """An inbox and its worker, as a fresh process has them."""

    inbox: FindingInbox
    worker: DeliveryWorker

    @classmethod
    def over(
        cls,
        file: DeliveryFile,
        routes: Sequence[ReceiverRoute],
        post: Post,
        letters: Callable[[Sequence[Any]], Any],
        clock: Callable[[], int],
        partitions: int = 1,
    ) -> Self:
        """Give one over a file."""
        repeats = any(route.repeat for route in routes)
        settings = KafkaSettings(partitions=partitions)
        inbox = FindingInbox(settings, file, letters, repeats=repeats)
        return cls(inbox, DeliveryWorker(inbox, routes, post, clock))

    async def replay(self, route: str | None) -> int:
        """Deliver anew what was given up, once the saved state is there."""
        await self.step()
        return await self.worker.replay(route)

    @property
    def state(self) -> DeliveryState:
        """State of the worker."""
        return self.worker.state

    async def step(self, *records: Record) -> Sequence[Delivery]:
        """Take records in, with what lies there; give what is due."""
        for record in records:
            await self.inbox.take(record)
        return await self.worker._step(await self.worker._next())

    async def work(self, *records: Record) -> bool:
        """Take records in, and make every attempt that is due; tell if there were."""
        due = await self.step(*records)
        for delivery in due:
            await self.worker._attempt(delivery)
        return bool(due)

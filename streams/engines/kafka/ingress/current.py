"""The table of a realm for ingress on Kafka, where something must be counted in it.

Ingress needs no table otherwise. It follows ``facts`` as a guard does, without
receipts: closure does not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from enforcement.kafka import KafkaGuard

if TYPE_CHECKING:
    from types import TracebackType

    from agents_registry.identifiers import Vocabulary
    from agents_registry.registry import Registry
    from streams.engines.kafka.ingress.ingress import KafkaLog
    from streams.settings.kafka import KafkaSettings

WAIT_SECONDS: Final = 1.0


class FollowedTable:
    """The table of one realm; use it as a context manager.

    What another ingress wrote less than a lease ago may be missing in it.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        realm: str,
        vocabulary: Vocabulary,
        name: str,
        writer: KafkaLog,
    ) -> None:
        """Set up.

        Args:
            kafka: the cluster and the layout.
            realm: whose table.
            vocabulary: kind to class.
            name: of this process.
            writer: what this process wrote is in the table that is given.
        """
        self._guard = KafkaGuard(
            kafka.client(),
            name=f"{name}-reach",
            realm=realm,
            prefix=kafka.prefix,
            receipts=False,
            vocabulary=vocabulary,
        )
        self._realm = realm
        self._writer = writer

    async def __aenter__(self) -> Self:
        """Begin to follow."""
        await self._guard.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Follow no longer."""
        await self._guard.__aexit__(kind, error, trace)

    async def current(self) -> Registry | None:
        """Table while it is known to be new; None: it is not."""
        if not await self._guard.ready(WAIT_SECONDS):
            return None
        token = self._writer.written(self._realm)
        if not await self._guard.wait_for(token, WAIT_SECONDS):
            return None
        return self._guard.standing.replica.registry

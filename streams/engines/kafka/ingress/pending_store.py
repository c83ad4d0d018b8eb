"""What waits for a second person, in the topic ``sources`` of a realm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streams.engines.kafka.ingress.compacted_store import CompactedStore

PENDING: Final = "pending"


class KafkaPendingStore:
    """The records of the kind ``pending``, which every ingress of the realm follows."""

    def __init__(self, kept: CompactedStore) -> None:
        """Keep them in the topic."""
        self._kept = kept

    async def all(self) -> list[bytes]:
        """All acts that any process put and that were acked.

        Raises:
            NotWrittenError: the broker does not tell how far that is.
        """
        await self._kept.catch_up()
        entries = self._kept.entries.items()
        return [body for (kind, _), body in entries if kind == PENDING]

    async def put(self, identity: str, body: bytes) -> None:
        """Keep one; returns once it is acked.

        Raises:
            NotWrittenError: it is not, or it is too large for the log.
        """
        await self._kept.put(PENDING, identity, body)

    async def forget(self, identity: str) -> None:
        """Keep it no longer; returns once that is acked.

        Raises:
            NotWrittenError: it is not.
        """
        await self._kept.forget(PENDING, identity)

"""Silences in the topic ``sources``: every notify process of the realm follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
import structlog

from streams.stages.notify.silences import Silence, in_force

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engines.kafka.ingress.compacted_store import CompactedStore

SILENCE: Final = "silence"

log = structlog.get_logger()


class KeptSilences:
    """The silences that the operators of a realm ordered.

    Attributes:
        changed: is told of each order, whichever process took it.
    """

    def __init__(self, kept: CompactedStore, clock: Callable[[], int]) -> None:
        """Follow the topic from what is there.

        Args:
            kept: of the realm.
            clock: gives the time (ns).
        """
        self._kept = kept
        self._clock = clock
        self._known: dict[str, Silence] = {}
        self.changed: Callable[[], None] = lambda: None
        for (kind, name), body in kept.entries.items():
            self._apply(kind, name, body)
        kept.listeners.append(self._apply)

    def all(self) -> tuple[Silence, ...]:
        """Silences in force."""
        return in_force(self._known.values(), self._clock())

    async def put(self, silence: Silence) -> None:
        """Be silent from now on; returns once that is acked and heard here.

        Raises:
            NotWrittenError: it is not.
        """
        for name in self._known.keys() - {each.id for each in self.all()}:
            await self._kept.forget(SILENCE, name)
        body = orjson.dumps(silence.to_plain())
        await self._kept.put(SILENCE, silence.id, body)
        await self._kept.catch_up()

    async def drop(self, name: str) -> None:
        """Be silent no longer; returns once that is acked and heard here.

        Raises:
            NotWrittenError: it is not.
        """
        await self._kept.forget(SILENCE, name)
        await self._kept.catch_up()

    def _apply(self, kind: str, name: str, body: bytes | None) -> None:
        if kind != SILENCE:
            return
        self._known.pop(name, None)
        if body is not None:
            try:
                self._known[name] = Silence.from_plain(orjson.loads(body))
            except (ValueError, TypeError, KeyError) as error:
                # One that a newer version wrote: rather tell than be silent.
                log.warning("silence_not_read", error=type(error).__name__)
        self.changed()

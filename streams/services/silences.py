"""The silences that the operators of a realm ordered, kept until they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import structlog

from streams.ports.keyed_store import SILENCE
from streams.stages.notify.silences import Silence, in_force

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.ports.keyed_store import KeyedStore

log = structlog.get_logger()


class KeptSilences:
    """Silences, as every process of the realm that delivers alerts follows them.

    Attributes:
        changed: is told of each order, whichever process took it.
    """

    def __init__(self, kept: KeyedStore, clock: Callable[[], int]) -> None:
        """Follow a store from what is there.

        Args:
            kept: of the realm.
            clock: gives the time (ns).
        """
        self._kept = kept
        self._clock = clock
        self._known: dict[str, Silence] = {}
        self.changed: Callable[[], None] = lambda: None
        kept.follow(SILENCE, self._apply)

    def all(self) -> tuple[Silence, ...]:
        """Silences in force."""
        return in_force(self._known.values(), self._clock())

    async def put(self, silence: Silence) -> None:
        """Be silent from now on; returns once that is durable and heard here.

        What ended is forgotten with it.

        Raises:
            NotWrittenError: it is not.
        """
        for name in self._known.keys() - {each.id for each in self.all()}:
            await self._kept.forget(SILENCE, name)
        body = orjson.dumps(silence.to_plain())
        await self._kept.put(SILENCE, silence.id, body)
        await self._kept.catch_up()

    async def drop(self, name: str) -> None:
        """Be silent no longer; returns once that is durable and heard here.

        Raises:
            NotWrittenError: it is not.
        """
        await self._kept.forget(SILENCE, name)
        await self._kept.catch_up()

    def _apply(self, name: str, body: bytes | None) -> None:
        self._known.pop(name, None)
        if body is not None:
            try:
                self._known[name] = Silence.from_plain(orjson.loads(body))
            except (ValueError, TypeError, KeyError) as error:
                # One that a newer version wrote: rather tell than be silent.
                log.warning("silence_not_read", error=type(error).__name__)
        self.changed()

"""The acknowledgements of findings of a realm, kept until the findings are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
import structlog
from attrs import define, field

from streams.ports.keyed_store import ACKNOWLEDGEMENT, Put
from streams.stages.notify.acknowledgements import Acknowledgement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from schemas.entries import Act
    from streams.ports.keyed_store import KeyedStore
    from streams.services.ingest import Intake

LOOKED_AT: Final = 20  # acknowledgements of which each new one asks whether they stay

log = structlog.get_logger()


@define(eq=False)
class KeptAcknowledgements:
    """Acknowledgements, as every process of the realm that lists findings sees them.

    Attributes:
        kept: of the realm.
        log: takes a line of the audit chain together with each change.
    """

    _kept: KeyedStore
    _log: Intake
    _next: int = field(default=0, init=False)

    def of(self, finding: str) -> Acknowledgement | None:
        """Acknowledgement of a finding; None: there is none."""
        body = self._kept.get(ACKNOWLEDGEMENT, finding)
        if body is None:
            return None
        try:
            return Acknowledgement.from_plain(orjson.loads(body))
        except (ValueError, TypeError) as error:
            # One that a newer version wrote: rather show the finding as new.
            log.warning("acknowledgement_not_read", error=type(error).__name__)
            return None

    async def catch_up(self) -> None:
        """Hear all that is durable now, whoever wrote it.

        Raises:
            NotWrittenError: how far that is cannot be told now.
        """
        await self._kept.catch_up()

    async def put(self, given: Acknowledgement, act: Act) -> None:
        """Keep one, and who gave it; returns once that is durable and heard here.

        Raises:
            NotWrittenError: it is not.
        """
        body = orjson.dumps(given.to_plain())
        await self._log.record_act(act, [Put(ACKNOWLEDGEMENT, given.finding, body)])
        await self._kept.catch_up()

    async def drop(self, finding: str, act: Act) -> None:
        """Keep one no longer; returns once that is durable and heard here.

        Raises:
            NotWrittenError: it is not.
        """
        await self._log.record_act(act, [Put(ACKNOWLEDGEMENT, finding, None)])
        await self._kept.catch_up()

    async def forget_gone(self, is_there: Callable[[str], Awaitable[bool]]) -> None:
        """Look at some, and forget those whose findings are not kept any more.

        Args:
            is_there: whether a finding is kept.

        Raises:
            NotWrittenError: one could not be forgotten.
        """
        names = sorted(self._kept.items(ACKNOWLEDGEMENT))
        begin = self._next if self._next < len(names) else 0
        self._next = begin + LOOKED_AT
        for name in names[begin : self._next]:
            if not await is_there(name):
                await self._kept.forget(ACKNOWLEDGEMENT, name)

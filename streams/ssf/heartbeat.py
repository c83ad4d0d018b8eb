"""Watch over one stream: ask for verifications, ask for its status, miss its silence.

A verification event comes through the stream itself, so it proves what no other call
can: that a revocation said now would arrive. Whatever fails here is written into the
stream's health; serving goes on.
"""

from __future__ import annotations

import asyncio
import http
from typing import TYPE_CHECKING, Final

import attrs
import structlog
from attrs import define, field

from streams.services.intake import NotWrittenError
from streams.ssf import health as steps
from streams.ssf.transport import TransmitterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.services.health_records import HealthRecords
    from streams.ssf.management import Management
    from streams.ssf.receiver import StreamReceiver

LOOK_SECONDS: Final = 1.0

log = structlog.get_logger()


@attrs.frozen
class Rhythm:
    """How often is looked, in ns; 0: never.

    Attributes:
        verify: between two verifications.
        patience: without any event, after which a stream is silent.
    """

    verify: int = 0
    patience: int = 0


@define(eq=False)
class StreamHeartbeat:
    """Keeps the health of one stream."""

    _receiver: StreamReceiver
    _keeper: HealthRecords
    _rhythm: Rhythm
    _clock: Callable[[], int]
    _fresh_id: Callable[[], str]
    _asked_at: int | None = field(default=None, init=False)

    async def load(self) -> None:
        """Continue with the record that was kept."""
        body = await self._keeper.load(self._receiver.name)
        if body is not None:
            kept = steps.load(body)
            # Silence counts anew: we were away ourselves.
            self._receiver.health = attrs.evolve(kept, started_at=self._clock())

    async def run(self, manage: Callable[[], Awaitable[Management]] | None) -> None:
        """Look after the stream until cancelled.

        Args:
            manage: gives the management API; None where there is no token for it.
        """
        while True:
            try:
                if manage is not None and self._is_due():
                    await self._ask(manage)
                await self._look()
            except NotWrittenError as error:
                log.warning("not_written", error=type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        receiver = self._receiver
        patience, now = self._rhythm.patience, self._clock()
        for body in self._keeper.of_others(receiver.name):
            health = steps.alongside(receiver.health, steps.load(body))
            if health is not receiver.health:
                receiver.note(health)
        await receiver.tell(lambda health: steps.waited(health, patience, now))
        if receiver.changed:
            receiver.changed = False
            await self._keeper.save(receiver.name, steps.save(receiver.health))

    def _is_due(self) -> bool:
        if not self._rhythm.verify:
            return False
        last = self._asked_at
        return last is None or self._clock() - last >= self._rhythm.verify

    async def _ask(self, manage: Callable[[], Awaitable[Management]]) -> None:
        receiver, now = self._receiver, self._clock()
        self._asked_at = now
        try:
            management = await manage()
            if management.metadata.status_endpoint:
                said = await management.status(receiver.settings.stream_id)
                await receiver.tell(
                    lambda health: steps.updated(health, said.status, said.reason, now)
                )
            state = self._fresh_id()
            # Noted first: the event may come before the answer does.
            receiver.note(steps.asked(receiver.health, state, now))
            await self._keeper.asked(receiver.name, state)
            await management.verify(receiver.settings.stream_id, state)
        except TransmitterError as error:
            # Asked too often, by another process or before a restart: the next time.
            often = error.status == http.HTTPStatus.TOO_MANY_REQUESTS
            self._trouble("" if often else str(error))
        else:
            self._trouble("")

    def _trouble(self, text: str) -> None:
        receiver = self._receiver
        if text != receiver.health.trouble:
            log.warning("transmitter", stream=receiver.name, trouble=text)
            receiver.note(attrs.evolve(receiver.health, trouble=text))

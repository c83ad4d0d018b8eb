"""Revoke many leaked tokens in one request: GitHub takes 60 an hour, of 1,000 each.

Source: GitHub REST API, "Revocation": 202, and the revocation follows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from attrs import define, evolve, field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.actuators.calls import Call, IssuerApi
    from streams.outbound.answers import HttpAnswer

MOST: Final = 1000
WINDOW: Final = 1.0  # seconds in which acts join one request


@define(eq=False)
class BulkRevocation:
    """Sends the tokens of acts that come within a moment as one request.

    All of them get its answer; whether a token is dead is asked of each by itself.

    Attributes:
        api: without a credential.
        pause: waits for some seconds.
    """

    api: IssuerApi
    pause: Callable[[float], Awaitable[Any]] = asyncio.sleep
    _waiting: dict[str, asyncio.Future[HttpAnswer]] = field(
        factory=dict, init=False, repr=False
    )
    _sending: set[asyncio.Task[None]] = field(factory=set, init=False, repr=False)

    async def send(self, call: Call) -> HttpAnswer:
        """Send the tokens of a call, with those of others; the answer to all of them.

        Raises:
            RequestError: there is none.
        """
        loop = asyncio.get_running_loop()
        first = not self._waiting
        futures = [
            self._waiting.setdefault(token, loop.create_future())
            for token in call.json["credentials"]
        ]
        if first or len(self._waiting) >= MOST:
            task = loop.create_task(self._sent(call, WINDOW if first else 0.0))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        answers = [await asyncio.shield(future) for future in futures]
        return answers[0]

    async def _sent(self, call: Call, seconds: float) -> None:
        """Send what waits after a moment, or at once where it is full."""
        if seconds:
            await self.pause(seconds)
        some = dict(list(self._waiting.items())[:MOST])
        for token in some:
            del self._waiting[token]
        if not some:
            return
        whole = evolve(call, json={"credentials": list(some)})
        try:
            answer = await self.api.send(whole)
        except Exception as error:  # noqa: BLE001 - boundary: all that wait get it
            for future in some.values():
                if not future.done():
                    future.set_exception(error)
        else:
            for future in some.values():
                if not future.done():
                    future.set_result(answer)

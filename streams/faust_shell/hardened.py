"""Faust without its record losses: an app that commits only what is done.

Three ways in which faust-streaming 0.15 commits what was never written, and what stands
here against each; `tests/integration/test_faust_losses.py` shows the loss and its end,
and `streams.faust_shell.hard_consumer` has those of what is read:

- A produce that fails is only logged (``Topic._on_published``): `HardTopic` tells the
  app, and `HardConsumer._commit` crashes the app instead of committing.
- The producer is not idempotent, so a retry after a lost answer writes twice:
  `HardProducer` always asks for it, and for all acks.
- A flush gives up after 100 ms without progress, and the commit goes ahead:
  `HardBuffer.flush` ends when all is sent, the message in hand too.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import faust
from faust.topics import Topic
from faust.transport.drivers import aiokafka as driver
from faust.transport.producer import ProducerBuffer

from streams.faust_shell.hard_consumer import HardConsumer

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_SECONDS: Final = 0.1


class HardApp(faust.App):
    """A Faust app with everything of this module.

    Attributes:
        failure: why something that was to be produced is lost; nothing is committed
            any more.
    """

    failure: BaseException | None = None

    def lose(self, error: BaseException) -> None:
        """Take note of a produce that failed; the first one counts."""
        if self.failure is None:
            self.failure = error

    def _new_transport(self) -> Any:
        return HardTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return HardTransport(self.conf.broker_producer, self)


class HardTopic(Topic):
    """A topic whose failed sends are not forgotten."""

    def _on_published(
        self, fut: asyncio.Future[Any], message: Any, producer: Any, state: Any
    ) -> None:
        app = cast("HardApp", self.app)
        if fut.cancelled():
            app.lose(asyncio.CancelledError("a produce was cancelled"))
            message.cancel()
            return
        super()._on_published(fut, message, producer, state)
        if (error := fut.exception()) is not None:
            app.lose(error)
            message.exception()  # nobody else may ever ask for it


class HardBuffer(ProducerBuffer):
    """A buffer of messages to send; its flush waits for the last one."""

    in_hand = 0

    async def _send_pending(self, fut: Any) -> None:
        self.in_hand += 1
        try:
            await super()._send_pending(fut)
        except Exception as error:
            cast("HardApp", self.app).lose(error)
            raise
        finally:
            self.in_hand -= 1

    async def flush(self) -> None:
        """Wait until every message was handed to the client.

        Raises:
            RuntimeError: the buffer stopped before.
        """
        while self.size or self.in_hand:
            if self.state != "running":
                raise RuntimeError("Cannot flush: Producer not Running")
            self.message_sent.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self.message_sent.wait()


class HardProducer(driver.Producer):
    """An idempotent producer that waits for all replicas in sync."""

    def __post_init__(self) -> None:
        """Set up the sends whose answers are awaited."""
        super().__post_init__()
        self._unanswered: set[asyncio.Future[Any]] = set()

    def __init__(self, transport: Any, *args: Any, **kwargs: Any) -> None:
        """Set up with the buffer of this module."""
        super().__init__(transport, *args, **kwargs)
        self.buffer = HardBuffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def send(self, *args: Any, **kwargs: Any) -> Any:
        """Hand a message to the client; give the future of its answer."""
        answer = cast("asyncio.Future[Any]", await super().send(*args, **kwargs))
        self._unanswered.add(answer)
        answer.add_done_callback(self._unanswered.discard)
        return answer

    async def flush(self) -> None:
        """Wait until every message was answered, and that told to its topic."""
        await super().flush()
        while self._unanswered:
            # This wait's own callbacks come after those of the topics.
            await asyncio.wait(self._unanswered)


class HardTransport(driver.Transport):
    """The transport that brings them together."""

    Consumer = HardConsumer
    Producer = HardProducer

"""Faust's consumer without its record losses: what is read is done, then committed.

What faust-streaming 0.15 does to records, above all while partitions move, and what
stands here against each. `tests/integration/test_faust_losses.py` and
`test_faust_rebalances.py` show each of them and its end:

- A commit goes past messages that are not acked: `HardConsumer` knows each one that
  was fetched, and commits below the first that is not done.
- An ack from before a rebalance counts after it, when what is below it and not done is
  forgotten: `_forget` makes it void.
- What is fetched while a rebalance stops the flow is dropped, and fetched again only
  from where the group committed: `seek_to_committed` goes back where it never did, too.
- The flow is not stopped for one that had no partition, so records overtake the seek,
  and those behind are dropped as read: `on_partitions_assigned` stops it.
- A log that lost its end begins anew with offsets that count as read: with `NoPosition`
  none does.
- A commit that the group refused is noted as one that it took, and what comes again
  below is never committed: `_commit` leaves nothing to be noted.
- No ack is taken of what comes again below the commit: it holds back nothing.
- A seek that fails is only logged, one that takes too long ends the part that resumes
  the flow, and a client that gave up says so to nobody: each crashes the app.
- The watch over stuck commits breaks where a place is being looked for: there is none.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, cast

from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from mode import Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.faust_shell.hardened import HardApp

LOOK_SECONDS: Final = 1.0
SEEK_SHARE: Final = 0.9  # of the time after which Faust takes a seek for its own end


class NoPosition(dict[Any, "int | None"]):
    """Stands for how far was read: nowhere, so that nothing counts as read already."""

    def __getitem__(self, tp: Any) -> None:
        """Nothing."""

    def __setitem__(self, tp: Any, offset: Any) -> None:
        """Keep nothing."""

    def update(self, *_: Any, **__: Any) -> None:
        """Keep nothing."""


class HardConsumer(driver.Consumer):
    """A consumer that commits below the first message that is not done.

    Attributes:
        committed: what the broker took of commits in this assignment.
    """

    def __init__(
        self, transport: Any, callback: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Set up; see every message on its way to the streams."""
        super().__init__(transport, callback, *args, **kwargs)
        self.committed: dict[Any, int] = {}
        self._read_offset = NoPosition()
        self._in_flight: defaultdict[Any, dict[int, Any]] = defaultdict(dict)
        self._deliver = callback
        self.callback = self._delivered

    async def _delivered(self, message: Any) -> None:
        self._in_flight[message.tp][message.offset] = message
        await self._deliver(message)

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Forget what is in flight; it comes again to whoever has the partition."""
        self._forget(revoked)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(
        self, assigned: set[Any], generation_id: int = 0
    ) -> None:
        """Begin anew: everything not committed comes again."""
        self._stop()
        self._forget({*self._in_flight, *self._acked})
        self.committed.clear()
        await super().on_partitions_assigned(assigned, generation_id)

    def _stop(self) -> None:
        """Let nothing through until Faust has sought the places, and resumes."""
        self.stop_flow()
        self.app.flow_control.suspend()

    def _forget(self, tps: Iterable[Any]) -> None:
        for tp in tps:
            for message in self._in_flight.pop(tp, {}).values():
                message.acked = True  # so whoever has it still acks nothing
            self._acked.pop(tp, None)
            self._acked_index.pop(tp, None)

    async def perform_seek(self) -> None:
        """Go to what is committed, in time.

        Raises:
            IllegalStateError: the partitions are given out anew, and sought then.
        """
        try:
            async with asyncio.timeout(
                self.app.conf.broker_request_timeout * SEEK_SHARE
            ):
                await super().perform_seek()
        except IllegalStateError:
            raise
        except AssertionError as error:  # how the client says that it has none
            raise IllegalStateError("there are no partitions any more") from error
        except Exception as error:
            await self.crash(error)
            raise

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Go back to what is committed, and to the beginning where nothing is."""
        found: Mapping[Any, int] = await super().seek_to_committed()
        # The client goes nowhere for these, and says nothing.
        if fresh := [tp for tp, offset in found.items() if not offset]:
            await self._thread.seek_to_beginning(*fresh)
        return found

    @Service.task
    async def _heed_client(self) -> None:
        async for _ in self.itertimer(LOOK_SECONDS, name="client"):
            if (error := self._broken()) is not None:
                await self.crash(error)

    def _broken(self) -> BaseException | None:
        """Error that ended the client; it waits for that question for ever."""
        client: Any = self._thread._consumer  # noqa: SLF001 - Faust shows it nowhere
        if client is None or client._coordinator is None:  # noqa: SLF001
            return None  # not started yet
        coordinator, fetcher = client._coordinator, client._fetcher  # noqa: SLF001
        for task in (coordinator._coordination_task, fetcher._fetch_task):  # noqa: SLF001
            if task.done() and not task.cancelled() and (error := task.exception()):
                return cast("BaseException", error)
        return cast("BaseException | None", coordinator._pending_exception)  # noqa: SLF001

    async def verify_all_partitions_active(self) -> None:
        """Watch over nothing: a commit of ours may wait for receivers, for days."""

    def _new_offset(self, tp: Any) -> int | None:
        acked, in_flight = self._acked[tp], self._in_flight[tp]
        below = self._below(tp)
        # Streams write into `_acked` by themselves and never call `ack`.
        for offset in [*acked, *(each for each in in_flight if each < below)]:
            in_flight.pop(offset, None)
        end = min(in_flight, default=None)
        done = [offset for offset in acked if end is None or offset < end]
        if not done:
            return None
        acked[:] = [offset for offset in acked if end is not None and offset >= end]
        self._acked_index[tp].difference_update(done)
        return max(done) + 1

    def _below(self, tp: Any) -> int:
        """Below which offset the group has committed all."""
        return self._committed_offset[tp] or 0

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        failure = cast("HardApp", self.app).failure
        if failure is not None:
            await self.crash(failure)
            return False
        committed: bool = await super()._commit(offsets)
        if committed:
            self.committed.update(offsets)
        else:
            # Faust notes as committed what it finds in here afterwards.
            cast("dict[Any, int]", offsets).clear()
        return committed

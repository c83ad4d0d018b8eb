"""One issuer and the actuator that ends things there: asked within its limits.

Whatever a vendor's code does wrong is an answer that tells nothing: it ends no loop,
and only the name of the error is told, since its text may quote what was sent.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog
from attrs import define, field

from streams.model.endings import ActAnswer, Alive, NoWay, Probed
from streams.model.times import SECOND
from streams.outbound.answers import OK, RequestError
from streams.outbound.waits import LONGEST_WAIT, limited
from streams.ports.findings_log import BehindError
from streams.stages.ending.progress import Patience
from streams.stages.ingest.quota import Bucket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from agents_registry.identifiers import Identifier
    from streams.actuators.actuator import Actuator
    from streams.actuators.settings import ActuatorSettings
    from streams.model.endings import Ending, EndStep, EndTarget
    from streams.stages.ingest.entitlement import Grant

T = TypeVar("T")

SERVER_ERROR: Final = 500
LIMITED_TRIES: Final = 5
SLOWEST: Final = 0.1  # requests a second
FASTER: Final = 1.02

NOT_ON: Final = "the rest of the act was left: its cause does not stand any more"

log = structlog.get_logger()


@define(eq=False)
class ActTurns:
    """Turns of the requests of one act.

    Attributes:
        still: whether a standing cause still reaches what is acted on.
        first: the turn of the first request was waited for before the act began.
    """

    still: Callable[[], Awaitable[bool]]
    first: bool = True


_ACT: ContextVar[ActTurns | None] = ContextVar("act", default=None)


@define(eq=False)
class ActuatedIssuer:
    """An actuator of the settings, and how it is asked.

    Attributes:
        name: of the actuator in the settings.
        grants: of its authority: whose identifiers it ends.
        clock: gives the time (ns).
        paused: until when the issuer asked to be left alone (ns).
    """

    name: str
    settings: ActuatorSettings
    actuator: Actuator
    grants: tuple[Grant, ...]
    clock: Callable[[], int]
    paused: int = field(default=0, init=False)
    patience: Patience = field(init=False)
    _turns: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _bucket: Bucket = field(init=False)
    _paced: bool = field(init=False)

    @patience.default
    def _patience(self) -> Patience:
        return Patience(self.settings.attempts, self.settings.longest_wait)

    @_bucket.default
    def _filled(self) -> Bucket:
        return Bucket(self.settings.per_second, 1.0)

    @_paced.default
    def _is_paced(self) -> bool:
        return self.actuator.pace(self.request_turn)

    def ending(self, identifier: Identifier) -> Ending | None:
        """How it ends an identifier; None: it is another's, or there is no way."""
        found = self.actuator.kinds().get(identifier.kind)
        return found if found is not None and self.speaks_of(identifier) else None

    def speaks_of(self, identifier: Identifier) -> bool:
        """Whether an identifier is one of its authority."""
        return any(grant.covers(identifier) for grant in self.grants)

    async def turn(self) -> None:
        """Wait until another request is within its limits; who came first is first."""
        async with self._turns:
            while wait := self._wait():  # noqa: ASYNC110 - a time, no event
                await asyncio.sleep(wait)
            bucket = self._bucket
            bucket.take(1.0, self.clock() / SECOND)
            bucket.rate = min(self.settings.per_second, bucket.rate * FASTER)

    async def request_turn(self) -> None:
        """Wait until a request of a question or of an act is within the limits.

        Raises:
            RequestError: it is one of an act that had to wait, and its cause does not
                stand any more.
        """
        act = _ACT.get()
        if act is not None and act.first:
            act.first = False
            return
        waits = self._turns.locked() or self._wait() > 0
        await self.turn()
        if act is not None and waits and not await act.still():
            raise RequestError("stopped", NOT_ON, status=OK)

    def _wait(self) -> float:
        now = self.clock()
        paused = (self.paused - now) / SECOND
        return max(0.0, paused, self._bucket.wait(now / SECOND))

    async def plan(self, target: EndTarget) -> EndStep | NoWay | Probed:
        """Plan the act; what a probe would say where there is no answer."""
        return await self._read(lambda: self.actuator.plan(target))

    async def act(
        self, step: EndStep, still: Callable[[], Awaitable[bool]]
    ) -> ActAnswer:
        """Make the act; whoever does it waited for its `turn`.

        Args:
            step: that was planned.
            still: whether a standing cause still reaches its target; asked before the
                further requests that have to wait.

        Raises:
            BehindError: whether it does is not known, so the rest was not made.
        """
        token = _ACT.set(ActTurns(still))
        try:
            found = await self._asked(self.actuator.act(step))
        finally:
            _ACT.reset(token)
        if isinstance(found, Probed):
            found = ActAnswer(
                done=False, said=found.reason, retry_after=found.retry_after
            )
        self._pace(found.retry_after)
        return found

    async def rehearse(self, step: EndStep) -> ActAnswer | None:
        """Try the act by the issuer's own dry run, where it has one."""
        found = await self._read(lambda: self.actuator.rehearse(step))
        return (
            ActAnswer(done=False, said=found.reason)
            if isinstance(found, Probed)
            else found
        )

    async def probe(self, target: EndTarget) -> Probed:
        """Probe."""
        return await self._read(lambda: self.actuator.probe(target))

    async def children(self, target: EndTarget) -> list[Identifier] | Probed:
        """Ask what it made; what a probe would say where there is no answer."""

        async def listed() -> list[Identifier]:
            return [each async for each in self.actuator.children(target)]

        return await self._read(listed)

    async def _read(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T | Probed:
        """Ask, and again where only a limit is in the way."""
        for left in reversed(range(LIMITED_TRIES)):
            if not self._paced:
                await self.turn()
            found = await self._asked(ask())
            asked = found.retry_after if isinstance(found, Probed) else None
            self._pace(asked)
            if asked is None or not left:
                return found
        raise AssertionError

    async def _asked(self, asked: Coroutine[Any, Any, T]) -> T | Probed:
        try:
            return await asked
        except RequestError as error:
            return self._doubt(error)
        except BehindError:  # of `still`: no fault of the issuer, so no attempt
            raise
        except Exception as error:  # noqa: BLE001 - boundary: code of a vendor
            name = type(error).__name__
            log.warning("actuator_fault", actuator=self.name, error=name)
            return Probed(Alive.UNKNOWN, f"fault of the actuator: {name}")

    def _doubt(self, error: RequestError) -> Probed:
        asked = None
        if error.answer is not None:
            asked = limited(error.answer, self.clock())
        answered = error.status is not None and error.status < SERVER_ERROR
        return Probed(Alive.UNKNOWN, str(error), asked, answered)

    def _pace(self, asked: float | None) -> None:
        """Ask more seldom where the issuer asks to wait; each turn makes up for it."""
        if asked is None:
            return
        bucket, most = self._bucket, self.settings.per_second
        bucket.rate = max(bucket.rate / 2, min(most, SLOWEST))
        self.paused = max(
            self.paused, self.clock() + int(min(asked, LONGEST_WAIT) * SECOND)
        )

"""Actuators that are tables: one way a kind to look at it, and calls that end it.

The look before the act is its precondition, and the same look after it is the probe:
it reads the issuer's own record, and never what an act answered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define, evolve, field, frozen

from streams.actuators.actuator import Actuator
from streams.actuators.calls import Call
from streams.model.endings import (
    ActAnswer,
    Alive,
    Ending,
    EndStep,
    NoWay,
    Probed,
    WantedEnd,
)
from streams.outbound.answers import RequestError
from streams.outbound.waits import limited

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from agents_registry.identifiers import Identifier
    from streams.actuators.calls import IssuerApi
    from streams.model.endings import EndTarget, RequestTurn
    from streams.outbound.answers import HttpAnswer


@frozen
class Look:
    """What was seen at an issuer.

    Attributes:
        alive: whether the target can be used there.
        reason: for a person: what was seen.
        found: what the act needs; it may hold a secret, and stays in memory.
        never: why the issuer cannot end it; empty: it can.
    """

    alive: Alive
    reason: str
    found: Mapping[str, Any] = field(factory=dict, repr=False)
    never: str = ""


def dead(reason: str) -> Look:
    """Look at something that cannot be used there."""
    return Look(Alive.DEAD, reason)


def alive(reason: str, **found: Any) -> Look:
    """Look at something that can be used there, with what the act needs."""
    return Look(Alive.ALIVE, reason, found)


def unknown(reason: str, **found: Any) -> Look:
    """Look at something of which the issuer does not tell enough."""
    return Look(Alive.UNKNOWN, reason, found)


def never(reason: str) -> Look:
    """Look at something that lives, and that the issuer cannot end."""
    return Look(Alive.ALIVE, reason, never=reason)


class Way(ABC):
    """How what is of one kind is ended."""

    ending: ClassVar[Ending]

    @abstractmethod
    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """See how the target is at the issuer; changes nothing.

        Raises:
            RequestError: there is no answer to use.
        """

    @abstractmethod
    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Return the calls of the act, in their order; each may be repeated.

        Args:
            target: that is to end.
            found: what the look before the act found.
        """

    def kept(self, target: EndTarget, found: Mapping[str, Any]) -> str:
        """Return what a later look needs to finish the calls; no secret.

        Raises:
            RequestError: it is too much to be stored.
        """
        del target, found
        return ""

    def untouched(self, target: EndTarget, found: Mapping[str, Any]) -> bool:
        """Whether a look found nothing made of an act that was begun."""
        del target, found
        return False

    async def children(
        self, api: IssuerApi, target: EndTarget
    ) -> AsyncIterator[Identifier]:
        """Yield what the issuer says hangs on the target."""
        del api, target
        nothing: tuple[Identifier, ...] = ()
        for each in nothing:
            yield each


class AboveWay(Way):
    """Something that ends with what it requires, such as a token with its session.

    Args:
        ways: of what it may require, by kind.
        reason: why it has no way where nothing of that ends.
    """

    ending: ClassVar[Ending] = Ending("it ends with what it requires", above=True)

    def __init__(self, ways: Mapping[str, Way], reason: str) -> None:
        self._ways = ways
        self._reason = reason

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look at what it requires and ends with."""
        waits = [one for one in target.above if one.identifier.kind in self._ways]
        for one in waits:
            seen = await self._ways[one.identifier.kind].look(api, one)
            if seen.alive is Alive.DEAD:
                return dead(f"with its {one.identifier.kind}: {seen.reason}")
        if not waits:
            return never(self._reason)
        kinds = ", ".join(sorted({one.identifier.kind for one in waits}))
        return unknown(f"it ends with its {kinds}, which lives")

    def calls(self, target: EndTarget, found: Mapping[str, Any]) -> Iterable[Call]:
        """Return none."""
        del target, found
        return ()


class RecordWay(Way):
    """Something that the issuer keeps a record of, and finds by its id."""

    noun: ClassVar[str]

    @abstractmethod
    def place(self, value: str) -> str:
        """Path of the record of an identifier's value."""

    @abstractmethod
    def missing(self, answer: HttpAnswer) -> bool:
        """Whether an answer is the issuer's own word that there is no such record."""

    @abstractmethod
    def over(self, record: Mapping[str, Any], target: EndTarget) -> str:
        """Why a record says that the target cannot be used; empty: it can."""

    async def look(self, api: IssuerApi, target: EndTarget) -> Look:
        """Read the record."""
        call = Call(f"read the {self.noun}", "GET", self.place(target.identifier.value))
        record = await api.object(call, self.missing)
        if record is None:
            return await self.gone(api, target)
        over = self.over(record, target)
        state = Alive.DEAD if over else Alive.ALIVE
        return Look(state, over or f"the {self.noun} can be used", {"record": record})

    async def gone(self, api: IssuerApi, target: EndTarget) -> Look:
        """Look at a target that the issuer has no record of.

        Raises:
            RequestError: there is no answer to use.
        """
        del api, target
        return dead(f"there is no such {self.noun}")


@define(eq=False)
class WayActuator(Actuator):
    """Ends what its ways end.

    Attributes:
        api: of the issuer.
        ways: by kind.
        clock: gives the time (ns).
        dry: query that makes a call the issuer's own dry run; empty: it has none.
        others: APIs with other credentials, which ways use.
    """

    api: IssuerApi
    ways: Mapping[str, Way]
    clock: Callable[[], int]
    dry: str = ""
    others: tuple[IssuerApi, ...] = ()

    def kinds(self) -> Mapping[str, Ending]:
        """How each kind is ended there."""
        return {kind: way.ending for kind, way in self.ways.items()}

    def pace(self, turn: RequestTurn) -> bool:
        """Have each request wait, of whichever API."""
        for api in (self.api, *self.others):
            api.turn = turn
        return True

    async def plan(self, target: EndTarget) -> EndStep | NoWay:
        """Look at it, and say which calls would follow."""
        way = self.ways[target.identifier.kind]
        seen = await way.look(self.api, target)
        if seen.never:
            return NoWay(seen.never)
        if seen.alive is Alive.UNKNOWN and not seen.found:
            raise RequestError("unclear", seen.reason, status=200)
        done = seen.alive is _aim(target)
        calls = () if done else tuple(way.calls(target, seen.found))
        text = ", then ".join(dict.fromkeys(call.name for call in calls))
        kept = way.kept(target, seen.found) if calls else target.kept
        return EndStep(target, text or "nothing: it is done already", calls, kept)

    async def act(self, step: EndStep) -> ActAnswer:
        """Make the calls of a step; the first that is not taken ends them."""
        return await self._made(step, step.data or ())

    async def rehearse(self, step: EndStep) -> ActAnswer | None:
        """Make the calls of a step as dry runs; None: the issuer has none."""
        if not self.dry:
            return None
        calls = [
            evolve(call, path=f"{call.path}?{self.dry}") for call in step.data or ()
        ]
        return await self._made(step, calls)

    async def _made(self, step: EndStep, calls: Iterable[Call]) -> ActAnswer:
        for call in calls:
            answer = await (call.by or self.api).send(call)
            if not call.taken(answer):
                said = f"{call.name}: status {answer.status}"
                wait = limited(answer, self.clock())
                return ActAnswer(done=False, said=said, retry_after=wait)
        return ActAnswer(done=True, said=step.act)

    async def probe(self, target: EndTarget) -> Probed:
        """Look at it again."""
        way = self.ways[target.identifier.kind]
        seen = await way.look(self.api, target)
        untouched = way.untouched(target, seen.found)
        return Probed(seen.alive, seen.reason, untouched=untouched)

    async def children(self, target: EndTarget) -> AsyncIterator[Identifier]:
        """Yield what the issuer says hangs on it."""
        way = self.ways[target.identifier.kind]
        async for each in way.children(self.api, target):
            yield each

    async def close(self) -> None:
        """Close connections."""
        for api in (self.api, *self.others):
            await api.client.__aexit__()


def _aim(target: EndTarget) -> Alive:
    return Alive.ALIVE if target.wanted is WantedEnd.RESTORED else Alive.DEAD

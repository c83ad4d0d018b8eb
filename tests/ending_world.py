"""A world of issuers that are slow, limited, away or lie, in virtual time, by a seed.

Nothing of it knows the product but for the contract: what is condemned is worked out
here anew, by a walk over edges and causes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from attrs import Factory, define, field

from agents_registry.facts import (
    Cause,
    Edge,
    Effect,
    Lift,
    Node,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.registry import Registry
from streams.actuators.actuator import (
    ActAnswer,
    Actuator,
    Alive,
    Ending,
    EndStep,
    EndTarget,
    NoWay,
    Probed,
    WantedEnd,
)
from streams.actuators.settings import ActuatorSettings
from streams.model.times import SECOND
from streams.outbound.answers import HttpAnswer, RequestError
from streams.services.actuated_issuer import ActuatedIssuer
from streams.services.ending import EndingRounds
from streams.stages.ending.items import EndingItem
from streams.stages.ingest.entitlement import Grant

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from agents_registry.facts import Fact
    from streams.services.ending_ports import Confirmation
    from streams.stages.ending.groups import Membership
    from tests.virtual import VirtualLoop

BEGIN = 1_700_000_000 * SECOND
KINDS = {
    "vault.accessor": Ending("revoke", mints=True, suspends=True, settles=2.0),
    "vault.lease": Ending("revoke", settles=2.0),
    "aws.access_key": Ending("deactivate", suspends=True, settles=2.0),
    "aws.user": Ending("disable", suspends=True, dated=True, settles=2.0),
}


class FakeSettings(ActuatorSettings):
    """Settings of a fake issuer."""

    vendor: Literal["fake"] = "fake"

    def actuator(self, name: str, clock: Any) -> FakeActuator:
        """Nothing makes it by its settings."""
        raise NotImplementedError


@define
class FakeIssuer:
    """An issuer as it is in truth.

    Attributes:
        alive: what can be used there.
        away: times (s) between which nobody answers.
        limit: requests a second before it asks to wait.
        lies: what it says is ended, and is not, that many times more.
        unsure: of what it does not say whether it can be used.
        known_by: names that a probe which finds something dead goes by.
        marks: up to when what was issued under a name is ended.
        mints: what it makes on the way, when it is asked to end the maker.
        slow: seconds of its longest answer.
    """

    random: Random
    now: Any
    alive: set[Identifier] = Factory(set)
    suspended: set[Identifier] = Factory(set)
    away: tuple[float, float] = (0.0, 0.0)
    limit: int = 1_000_000
    marks: dict[Identifier, int] = Factory(dict)
    known_by: frozenset[Identifier] | None = None
    lies: dict[Identifier, int] = Factory(dict)
    unsure: set[Identifier] = Factory(set)
    mints: dict[Identifier, list[Identifier]] = Factory(dict)
    made: dict[Identifier, list[Identifier]] = Factory(lambda: defaultdict(list))
    slow: float = 0.0
    probes_lie: bool = False
    acts: list[tuple[str, Identifier]] = Factory(list)
    _second: int = field(default=0, init=False)
    _asked: int = field(default=0, init=False)

    async def answers(self) -> None:
        """Take the time of an answer, or give none."""
        if self.slow:
            await asyncio.sleep(self.random.random() * self.slow)
        if self.away[0] <= self.now() < self.away[1]:
            raise RequestError("unreachable")
        if int(self.now()) != self._second:
            self._second, self._asked = int(self.now()), 0
        self._asked += 1
        if self._asked > self.limit:
            answer = HttpAnswer({"retry-after": "2"}, b"", 429)
            raise RequestError("status 429", answer=answer)

    def usable(self, identifier: Identifier) -> bool:
        """Whether it can be used there."""
        return identifier in self.alive and identifier not in self.suspended


class FakeActuator(Actuator):
    """Acts on a fake issuer."""

    def __init__(self, issuer: FakeIssuer, world: World) -> None:
        self.issuer, self.world = issuer, world

    def kinds(self) -> Mapping[str, Ending]:
        """Three kinds."""
        return KINDS

    async def plan(self, target: EndTarget) -> EndStep | NoWay:
        """Any act is possible."""
        await self.issuer.answers()
        return EndStep(target, KINDS[target.identifier.kind].how)

    async def act(self, step: EndStep) -> ActAnswer:
        """Do it, unless it lies; what may mint makes something more before."""
        target, issuer = step.target, self.issuer
        self.world.check(target)
        issuer.acts.append((target.wanted.value, target.identifier))
        # What was sent takes effect, whether or not its sender still lives.
        return await asyncio.shield(asyncio.ensure_future(self._take_effect(target)))

    async def _take_effect(self, target: EndTarget) -> ActAnswer:
        issuer = self.issuer
        await issuer.answers()
        for child in issuer.mints.pop(target.identifier, ()):
            issuer.alive.add(child)
            issuer.made[target.identifier].append(child)
        if issuer.lies.get(target.identifier, 0) > 0:
            issuer.lies[target.identifier] -= 1
            return ActAnswer(done=True, said="200")
        if target.not_before is not None:
            issuer.marks[target.identifier] = target.not_before
        elif target.wanted is WantedEnd.ENDED:
            issuer.alive.discard(target.identifier)
        elif target.wanted is WantedEnd.SUSPENDED:
            issuer.suspended.add(target.identifier)
        else:
            issuer.suspended.discard(target.identifier)
        if issuer.random.random() < 0.1:
            raise RequestError("timeout")  # done, and nobody heard of it
        return ActAnswer(done=True, said="200")

    async def rehearse(self, step: EndStep) -> ActAnswer | None:
        """Say what a dry run would."""
        await self.issuer.answers()
        return ActAnswer(done=True, said=f"would {step.act}")

    async def probe(self, target: EndTarget) -> Probed:
        """Tell the truth, where it answers."""
        await self.issuer.answers()
        if target.identifier in self.issuer.unsure:
            return Probed(Alive.UNKNOWN, answered=True, reason="not told")
        usable = self.issuer.usable(target.identifier)
        if target.not_before is not None:
            usable &= self.issuer.marks.get(target.identifier, 0) < target.not_before
        elif target.wanted is WantedEnd.ENDED:
            usable = target.identifier in self.issuer.alive
        found = Alive.ALIVE if usable else Alive.DEAD
        return Probed(found, known_by=self.issuer.known_by)

    async def children(self, target: EndTarget) -> AsyncIterator[Identifier]:
        """Yield what it made and what lives."""
        await self.issuer.answers()
        for each in self.issuer.made.get(target.identifier, ()):
            if each in self.issuer.alive:
                yield each


@define(slots=False)
class World:
    """Facts, a table, issuers, and what is durable of the work on them.

    Attributes:
        accepted: facts that are durable.
        outside: acts on what no standing cause reached when they were made.
    """

    loop: VirtualLoop
    random: Random
    accepted: list[Fact] = Factory(list)
    kept: dict[str, bytes] = Factory(dict)
    audit: list[tuple[str, ...]] = Factory(list)
    signals: list[dict[str, Any]] = Factory(list)
    outside: list[EndTarget] = Factory(list)
    planned: set[str] = Factory(set)
    grouped: dict[str, Membership] = Factory(dict)
    looked: frozenset[str] = frozenset()
    approved: dict[str, frozenset[str]] = Factory(dict)
    again: dict[str, int] = Factory(dict)
    said: dict[str, dict[Identifier, Confirmation]] = Factory(dict)
    issuers: dict[str, FakeIssuer] = Factory(dict)
    modes: dict[str, FakeSettings] = Factory(dict)
    registry: Registry = field(init=False)
    _applied: int = field(default=0, init=False)
    _number: int = field(default=0, init=False)
    _above: dict[Identifier, list[Identifier]] = Factory(lambda: defaultdict(list))
    _ended: dict[Identifier, Effect] = Factory(dict)
    _marked: set[Identifier] = Factory(set)

    @registry.default
    def _empty(self) -> Registry:
        return Registry(VOCABULARY)

    def now(self) -> float:
        """Seconds since the begin."""
        return self.loop.time()

    def clock(self) -> int:
        """Time (ns)."""
        return BEGIN + int(self.loop.time() * SECOND)

    def issuer(self, name: str, **settings: Any) -> FakeIssuer:
        """Add an issuer."""
        given = {"mode": "automatic", "limit": 1_000_000, "per_second": 1e6} | settings
        self.modes[name] = FakeSettings(authority=name, **given)
        self.issuers[name] = FakeIssuer(self.random, self.now)
        return self.issuers[name]

    def rounds(self) -> EndingRounds:
        """Work as a process that starts now."""
        kinds = {"vault": ("vault.*",), "aws": ("aws.*",)}
        made = {
            name: ActuatedIssuer(
                name,
                self.modes[name],
                FakeActuator(issuer, self),
                tuple(Grant(kind) for kind in kinds[name]),
                self.clock,
            )
            for name, issuer in self.issuers.items()
        }
        return EndingRounds(made, VOCABULARY, self, self, self.clock)

    def node(self, name: Identifier, parent: Identifier | None, alive: bool) -> None:
        """Declare something; it lives at its issuer."""
        self.accept(Node, node=name, issued_at=self.clock())
        if parent is not None:
            self.accept(Edge, child=name, parent=parent)
        if alive:
            self.issuers[name.kind.partition(".")[0]].alive.add(name)

    def end(
        self, target: Identifier, effect: Effect = Effect.REVOKE, **more: Any
    ) -> None:
        """Accept a cause."""
        self.accept(Cause, target=target, effect=effect, at=self.clock(), **more)

    def lapse(self, target: Identifier, at: int) -> None:
        """Note when a cause has no effect any more, by its own end."""
        seconds = (at - self.clock()) / SECOND
        self.loop.call_later(seconds, self._ended.pop, target, None)

    def lift(self, target: Identifier) -> None:
        """Accept a lift."""
        self.accept(Lift, target=target)

    def withdraw(self, target: Identifier) -> None:
        """Take back the last cause on something."""
        cause = next(
            each for each in reversed(self.accepted)
            if isinstance(each, Cause) and each.target == target
        )  # fmt: skip
        taken = {"fact_id": fact_id(cause).hex(), "kind": Cause.NAME, "target": target}
        self.accept(Withdraw, **taken)
        self._ended.pop(target, None)

    def accept(self, kind: type[Fact], /, **values: Any) -> None:
        """Make a fact durable."""
        now, self._number = self.clock(), self._number + 1
        given: dict[str, Any] = {"authority": "w", "version": now + self._number}
        given |= {"event_id": str(self._number), **values}
        fact = kind(received_at=now + 1_000_000, **given)
        self.accepted.append(fact)
        ended = self._ended
        if isinstance(fact, Edge):
            self._above[fact.child].append(fact.parent)
        elif isinstance(fact, Cause) and fact.effect is Effect.NOT_BEFORE:
            self._marked.add(fact.target)
        elif isinstance(fact, Cause) and ended.get(fact.target) != Effect.REVOKE:
            ended[fact.target] = fact.effect
        elif isinstance(fact, Lift) and ended.get(fact.target) == Effect.SUSPEND:
            del ended[fact.target]

    def ends_by(self, name: Identifier, effects: AbstractSet[Effect]) -> None:
        """Note which effects of causes on a name are left."""
        self._ended.pop(name, None)
        if effects:
            final = Effect.REVOKE in effects
            self._ended[name] = Effect.REVOKE if final else Effect.SUSPEND

    def condemned(self, name: Identifier) -> Effect | None:
        """Find what ends something by all that was accepted: a walk up."""
        above, ended = self._above, self._ended
        seen, todo = {name}, [name]
        for each in todo:
            for up in above.get(each, ()):
                if up not in seen:
                    seen.add(up)
                    todo.append(up)
        found = {ended[each] for each in todo if each in ended}
        return Effect.REVOKE if Effect.REVOKE in found else next(iter(found), None)

    def check(self, target: EndTarget) -> None:
        """Note an act that is outside the plan."""
        effect = self.condemned(target.identifier)
        wanted = {
            WantedEnd.ENDED: effect is Effect.REVOKE
            or (target.not_before is not None and target.identifier in self._marked),
            WantedEnd.SUSPENDED: effect is not None,
            WantedEnd.RESTORED: effect is None,
        }
        if not wanted[target.wanted]:
            self.outside.append(target)

    # The table.

    async def catch_up(self) -> str:
        """Apply what was accepted."""
        await asyncio.sleep(self.random.random() * 0.01)
        for fact in self.accepted[self._applied :]:
            self.registry.apply(fact)
        self._applied = len(self.accepted)
        return ""

    # What is durable.

    async def load(self) -> list[EndingItem]:
        """Read what is kept."""
        return [EndingItem.load(body) for body in self.kept.values()]

    async def keep(self, items: Sequence[EndingItem]) -> None:
        """Keep after a moment."""
        await asyncio.sleep(self.random.random() * 0.01)
        self.kept |= {each.name: each.dump() for each in items}

    async def note_groups(self, causes: Mapping[str, Membership]) -> None:
        """Note the groups of causes."""
        self.grouped |= causes

    def was_planned(self, cause: str) -> bool:
        """Whether it was noted so."""
        return cause in self.planned

    async def note_planned(
        self, causes: Sequence[str], actuators: Sequence[str] | None
    ) -> None:
        """Note for which causes, and at which issuers, all was looked for."""
        self.planned |= set(causes)
        self.looked = self.looked if actuators is None else frozenset(actuators)

    async def forget(self, items: Sequence[EndingItem]) -> None:
        """Forget."""
        for each in items:
            self.kept.pop(each.name, None)

    async def begin(self, item: EndingItem) -> None:
        """Keep, with a line of the audit."""
        await self.keep([item])
        self.audit.append((item.actuator, str(item.identifier), *item.causes))

    async def declare(self, parent: EndingItem, made: Sequence[Identifier]) -> bool:
        """Accept nodes and edges."""
        await asyncio.sleep(self.random.random() * 0.01)
        for each in made:
            self.node(each, parent.identifier, alive=False)
        return True

    async def tell(self, signals: Sequence[dict[str, Any]]) -> None:
        """Note findings."""
        self.signals += signals

    def approvals(self, actuator: str) -> frozenset[str]:
        """Return what was approved."""
        return self.approved.get(actuator, frozenset())

    def retried(self, actuator: str) -> int:
        """Return when somebody asked to try again."""
        return self.again.get(actuator, 0)

    def confirmed(self, actuator: str) -> Mapping[Identifier, Confirmation]:
        """Return what an operator confirmed."""
        return self.said.get(actuator, {})

    def items(self) -> dict[Identifier, EndingItem]:
        """Items as they are kept."""
        found = map(EndingItem.load, self.kept.values())
        return {each.identifier: each for each in found}


async def until(
    world: World, over: Any, seconds: float = 20_000.0, every: float = 0.5
) -> None:
    """Wait until something is so, looking every so many seconds."""
    end = world.now() + seconds
    while not over():
        assert world.now() < end, "it never came to be"
        await asyncio.sleep(every)


def ids(kind: str, names: Iterable[object]) -> list[Identifier]:
    """Make identifiers of a kind."""
    return [Identifier(kind, str(name)) for name in names]

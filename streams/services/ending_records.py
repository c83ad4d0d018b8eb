"""What is done at issuers, kept by the ports of either engine.

The rounds turn in an event loop of their own; the log and the bodies beside it belong
to the loop that accepts. Each write is handed over to that one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog
from attrs import define, field

from agents_registry.facts import Relation
from agents_registry.identifiers import Identifier
from agents_registry.steps import in_runs
from enforcement.turns import in_turns
from schemas.entries import Act
from streams.model.records import Lifecycle, Parent
from streams.ports.keyed_store import ENDING, ENDING_CAUSE, ENDING_ORDER, Put
from streams.services.ending_ports import GROUPED, LOOKED, Confirmation
from streams.services.intake import IntakeBatch, Speaker, tell
from streams.stages.ending.items import EndingItem

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import TypeVar

    from agents_registry.steps import Steps
    from streams.ports.keyed_store import KeyedStore
    from streams.services.ingest import Intake
    from streams.stages.ending.groups import Membership
    from streams.stages.ingest.ingress import Origin

    T = TypeVar("T")

AT_ONCE: Final = 64  # bodies kept at a time
SOURCE: Final = "actuator"
EVENT: Final = "made"
MOST_NAMED: Final = 16  # causes that an audit line names

log = structlog.get_logger()


@define(eq=False)
class KeptEndings:
    """Implements `EndingRecords`; made in the event loop that accepts.

    Attributes:
        kept: the bodies.
        log: of facts.
        realm: of this server.
        authorities: of the actuators, by the actuator's name.
        speaker: gives origin and rights of an authority's statements.
        own: gives the origin of this process's own statements.
    """

    _kept: KeyedStore
    _log: Intake
    _realm: str
    _authorities: Mapping[str, str]
    _speaker: Callable[[str, str], Speaker]
    _own: Callable[[], Origin]
    _loop: asyncio.AbstractEventLoop = field(init=False)
    _approved: dict[str, frozenset[str]] = field(factory=dict, init=False)
    _retried: dict[str, int] = field(factory=dict, init=False)
    _confirmed: dict[str, dict[Identifier, Confirmation]] = field(
        factory=dict, init=False
    )

    @_loop.default
    def _here(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def __attrs_post_init__(self) -> None:
        self._kept.follow(ENDING_ORDER, self._heard)

    async def load(self) -> list[EndingItem]:
        """Items as they were kept last."""
        await self._outside(self._kept.catch_up())
        found = []
        for name, body in self._kept.items(ENDING).items():
            try:
                found.append(EndingItem.load(body))
            except ValueError as error:  # of another version: it is planned anew
                log.warning("ending_not_read", name=name, error=str(error))
        return found

    async def keep(self, items: Sequence[EndingItem]) -> None:
        """Keep the states of items."""
        bodies = [(each.name, each.dump()) for each in items]
        await self._outside(self._put(ENDING, bodies))

    async def note_groups(self, causes: Mapping[str, Membership]) -> None:
        """Note of which groups causes are."""
        bodies = await in_turns(self._new_groups(causes))
        await self._outside(self._put(ENDING_CAUSE, bodies))

    def _new_groups(
        self, causes: Mapping[str, Membership]
    ) -> Steps[list[tuple[str, bytes | None]]]:
        found: list[tuple[str, bytes | None]] = []
        for run in in_runs(causes.items()):
            yield
            for name, of in run:
                body = orjson.dumps([of.group, of.mark])
                if self._kept.get(ENDING_CAUSE, GROUPED + name) != body:
                    found.append((GROUPED + name, body))
        return found

    def was_planned(self, cause: str) -> bool:
        """Whether all that a cause reaches was planned once."""
        return self._kept.get(ENDING_CAUSE, cause) is not None

    async def note_planned(
        self, causes: Sequence[str], actuators: Sequence[str] | None
    ) -> None:
        """Note that all that causes reach is planned."""
        new = [each for each in causes if self._kept.get(ENDING_CAUSE, each) is None]
        if new:
            body = orjson.dumps({"at": self._own().received_at})
            await self._outside(self._put(ENDING_CAUSE, [(each, body) for each in new]))
        if actuators is None:
            return
        looked = orjson.dumps({"by": sorted(actuators)})
        if self._kept.get(ENDING_CAUSE, LOOKED) != looked:
            await self._outside(self._put(ENDING_CAUSE, [(LOOKED, looked)]))

    async def forget(self, items: Sequence[EndingItem]) -> None:
        """Keep items no longer."""
        bodies = [(each.name, None) for each in items]
        await self._outside(self._put(ENDING, bodies))

    async def begin(self, item: EndingItem) -> None:
        """Keep an item whose act begins, with a line of the audit chain."""
        action = f"{item.how} ({item.wanted.value}) {item.identifier}"
        act = Act(
            realm=self._realm,
            at=item.changed,
            actor=f"actuator:{item.actuator}",
            action=action,
            facts=item.causes[:MOST_NAMED],
        )
        put = Put(ENDING, item.name, item.dump())
        await self._outside(self._log.record_act(act, [put]))

    async def declare(self, parent: EndingItem, made: Sequence[Identifier]) -> bool:
        """Declare what something made, so that guards deny it too."""
        authority = self._authorities[parent.actuator]
        above = (Parent(*parent.identifier, Relation.REQUIRES),)
        records = [
            Lifecycle(
                source=SOURCE,
                event_id=None,
                event_type=EVENT,
                effect="issue",
                occurred_at=None,
                identifiers=(each,),
                offset=number,
                parents=above,
            )
            for number, each in enumerate(made)
        ]
        speaker = self._speaker(authority, f"actuator:{parent.actuator}")
        delivery = IntakeBatch(records, *speaker)
        # It was asked for, so no quota is meant: whatever it is, it is dead.
        receipt = await self._outside(self._log.records(delivery, patient=True))
        return not receipt.dead_letters

    async def tell(self, signals: Sequence[dict[str, Any]]) -> None:
        """Report what the sentinel is to make findings of."""
        await self._outside(tell(self._log, signals, self._own()))

    def approvals(self, actuator: str) -> frozenset[str]:
        """Return the causes whose whole reach an operator approved to end there."""
        return self._approved.get(actuator, frozenset())

    def retried(self, actuator: str) -> int:
        """When an operator last asked to try again what was given up (ns); 0: never."""
        return self._retried.get(actuator, 0)

    def confirmed(self, actuator: str) -> Mapping[Identifier, Confirmation]:
        """Return what operators say is ended there, the last word on each."""
        return self._confirmed.get(actuator, {})

    def _heard(self, name: str, body: bytes | None) -> None:
        del name
        if body is None:
            return
        order = orjson.loads(body)
        actuator = order["actuator"]
        if order.get("cause"):
            before = self.approvals(actuator)
            self._approved[actuator] = before | {order["cause"]}
        elif order.get("identifier"):
            causes, by = frozenset(order["causes"]), order["by"]
            said = Confirmation(order["changed"], causes, by, order["reason"])
            of = Identifier.parse(order["identifier"])
            self._confirmed[actuator] = {**self._confirmed.get(actuator, {}), of: said}
        else:
            self._retried[actuator] = max(self.retried(actuator), order["at"])

    async def _put(self, kind: str, bodies: Sequence[tuple[str, bytes | None]]) -> None:
        for start in range(0, len(bodies), AT_ONCE):
            some = bodies[start : start + AT_ONCE]
            puts = [self._kept.put(kind, name, body) for name, body in some]
            for failed in await asyncio.gather(*puts, return_exceptions=True):
                if isinstance(failed, BaseException):
                    raise failed

    async def _outside(self, work: Coroutine[Any, Any, T]) -> T:
        """Do work in the event loop that accepts."""
        if asyncio.get_running_loop() is self._loop:
            return await work
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return await asyncio.wrap_future(future)

"""Work on what is due at one issuer: probe, act, probe again, ask for what it made.

The probe decides. An act is begun in the records first, so that a crash between the act
and its record leaves something that is probed before anything else is done.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog
from attrs import define, evolve, field

from agents_registry.lineage import NONE, UNKNOWN_TIME
from streams.model.endings import Alive, EndTarget, NoWay, Probed, WantedEnd
from streams.model.times import SECOND
from streams.observability.failpoints import failpoint
from streams.ports.fact_log import NotWrittenError
from streams.ports.findings_log import BehindError
from streams.services.ending_admission import PLANNED, WAITS, may_act_for
from streams.stages.ending import progress
from streams.stages.ending.items import EndingItem, EndingState

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.identifiers import Identifier
    from streams.model.endings import ActAnswer, Ending
    from streams.services.actuated_issuer import ActuatedIssuer
    from streams.services.ending_admission import EndingAdmission
    from streams.services.ending_ports import CurrentFacts, EndingRecords
    from streams.stages.ending.queue import EndingQueue
    from streams.stages.ending.wanted import Condemnation

IDLE_SECONDS: Final = 0.25
AGAIN: Final = SECOND  # after something of ours could not be asked or kept
UNTOLD: Final = "its authority may not speak of what it made: {}"
MOST_ROUNDS: Final = 100
MOST_NAMES: Final = 17
STEP: Final = 255  # a mask: witnesses looked at between two turns of others
DEEPEST: Final = 3  # steps up that an actuator is told of
NO_WITNESS: Final = (
    "nothing that was found there has a name that is known here for as long: what the "
    "names are made of (the audit device) may be another one; compare the settings"
)
MINTS_ON: Final = "it is dead, and the issuer tells of ever more that it made"

log = structlog.get_logger()


@define(eq=False)
class IssuerWork:
    """Works on the items of one issuer.

    Attributes:
        acts: how many acts were made.
    """

    _issuer: ActuatedIssuer
    _queue: EndingQueue
    _table: CurrentFacts
    _records: EndingRecords
    _admission: EndingAdmission
    _clock: Callable[[], int]
    acts: int = field(default=0, init=False)
    _witness: Identifier | None = field(default=None, init=False)

    async def run(self) -> None:
        """Work until cancelled."""
        name, most = self._issuer.name, self._issuer.settings.at_once
        working: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                while len(working) < most:
                    item = self._queue.take(name, self._clock())
                    if item is None:
                        break
                    working.add(tasks.create_task(self.work(item)))
                if not working:
                    waiting = self._queue.take_unrehearsed(name)
                    if waiting is not None:
                        working.add(tasks.create_task(self.rehearse(waiting)))
                if working:
                    _, working = await asyncio.wait(
                        working,
                        timeout=IDLE_SECONDS,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                else:
                    await asyncio.sleep(IDLE_SECONDS)

    async def work(self, item: EndingItem) -> None:
        """Do the next thing for an item that was taken, and give it back."""
        try:
            item = await self._worked(item)
            await self._records.keep([item])
        except (BehindError, NotWrittenError) as error:
            log.warning("ending_not_kept", actuator=item.actuator, error=str(error))
            item = self._later(item)
        except Exception:  # boundary: no fault here may end the server that accepts
            log.exception("ending_fault", actuator=item.actuator)
            item = self._later(item)
        self._queue.put(item)

    def _later(self, item: EndingItem) -> EndingItem:
        known = self._queue.get(item.key) or item
        return evolve(known, due=self._clock() + AGAIN)

    async def rehearse(self, item: EndingItem) -> None:
        """Plan the act of something that waits, and make its dry run; give it back."""
        try:
            item = await self._rehearsed(item)
            await self._records.keep([item])
        except (BehindError, NotWrittenError) as error:
            log.warning("ending_not_kept", actuator=item.actuator, error=str(error))
        except Exception:  # boundary: no fault here may end the server that accepts
            log.exception("ending_fault", actuator=item.actuator)
            item = evolve(item, rehearsed=True)
        self._queue.put(item)

    async def _rehearsed(self, item: EndingItem) -> EndingItem:
        now, issuer = self._clock(), self._issuer
        probed = await self._probed(item.target)
        if progress.reached(item, probed):
            return progress.ended(item, probed, now)
        if probed.found is Alive.UNKNOWN:
            return progress.rehearsed(item, "", f"not probed: {probed.reason}")
        step = await issuer.plan(item.target)
        if isinstance(step, NoWay):
            return progress.no_way(item, step.reason, now)
        if isinstance(step, Probed):
            return progress.rehearsed(item, "", f"not planned: {step.reason}")
        tried = await issuer.rehearse(step)
        said = f"dry run: {tried.said}" if tried is not None else ""
        return progress.rehearsed(item, step.act, said)

    async def _worked(self, item: EndingItem) -> EndingItem:
        """Next state of an item.

        Raises:
            BehindError: whether a cause stands is not known.
            NotWrittenError: what must be durable is not.
        """
        checked = await self._condemned(item)
        ending = self._issuer.ending(item.identifier)
        if checked is not item or ending is None:
            return checked if ending else progress.no_way(item, "", self._clock())
        probed = await self._probed(await self._target(item, ending))
        item = progress.with_kept(item, probed)
        if progress.reached(item, probed) or probed.found is Alive.UNKNOWN:
            return await self._after(item, probed, ending)
        patience = self._issuer.patience
        item = progress.still_alive(item, probed, ending, patience, self._clock())
        if item.state is EndingState.FAILED or item.due > self._clock():
            return item
        if self._issuer.settings.mode == "plan":  # it was admitted by another mode
            return progress.held(item, PLANNED, self._clock())
        return await self._act(item, ending)

    async def _act(self, item: EndingItem, ending: Ending) -> EndingItem:
        """Plan and make an act, where that may be made still."""
        issuer, patience = self._issuer, self._issuer.patience
        target = await self._target(item, ending)
        step = await issuer.plan(target)
        if isinstance(step, NoWay):
            return progress.no_way(item, step.reason, self._clock())
        if isinstance(step, Probed):
            return progress.unknown(item, step, patience, self._clock())
        await issuer.turn()
        waits = await self._unless_small(item, ending)
        if waits is not item:
            return waits
        begun = progress.began(item, step.act, self._clock(), step.kept)
        await self._records.begin(begun)
        self._queue.hold(begun)
        checked = await self._condemned(begun)
        if checked is not begun:  # it was lifted while the act was prepared
            return await self._condemned(progress.not_acted(begun, item))

        async def still() -> bool:
            return await self._condemned(begun) is begun

        failpoint("actuator.before_act")
        acted = await issuer.act(step, still)
        failpoint("actuator.acted")
        self.acts += 1
        return await self._acted(begun, target, acted, ending)

    async def _acted(
        self, begun: EndingItem, target: EndTarget, acted: ActAnswer, ending: Ending
    ) -> EndingItem:
        """Find out what an act did."""
        patience = self._issuer.patience
        probed = await self._probed(evolve(target, seen=True))
        now, begun = self._clock(), evolve(begun, done=acted.done)
        begun = progress.with_kept(begun, probed)
        if progress.reached(begun, probed):
            return await self._after(begun, probed, ending)
        if not acted.done:
            if probed.found is Alive.UNKNOWN and not probed.answered:
                return progress.unknown(begun, probed, patience, now)
            said, asked = acted.said, acted.retry_after
            return progress.refused(begun, said, asked, patience, now)
        if probed.found is Alive.UNKNOWN:
            return progress.unknown(begun, probed, patience, now)
        return progress.still_alive(begun, probed, ending, patience, now)

    async def _probed(self, target: EndTarget) -> Probed:
        """Probe; DEAD by a name alone needs a witness that names are what they were."""
        probed = await self._issuer.probe(target)
        witnesses = probed.known_by
        if probed.found is not Alive.DEAD or witnesses is None:
            return probed
        since = self._issued(target.identifier)
        last = self._witness
        if last in witnesses and self._issued(last) <= since < UNKNOWN_TIME:
            return probed
        for count, each in enumerate(witnesses):
            if not count & STEP:
                await asyncio.sleep(0)
            if self._issued(each) <= since < UNKNOWN_TIME:
                self._witness = each
                return probed
        return Probed(Alive.UNKNOWN, NO_WITNESS)

    def _issued(self, identifier: Identifier | None) -> int:
        lineage = self._table.registry.lineage
        node = NONE if identifier is None else lineage.find(identifier)
        return UNKNOWN_TIME if node == NONE else lineage.issued[node]

    async def _target(self, item: EndingItem, ending: Ending) -> EndTarget:
        """Return what the actuator is asked about, with what that ends with."""
        return await self._with_above(
            self._placed(item.target, ending), ending, DEEPEST
        )

    def _placed(self, target: EndTarget, ending: Ending) -> EndTarget:
        """Target with what it requires, where its ending asks for that."""
        lineage = self._table.registry.lineage
        node = lineage.find(target.identifier)
        if not ending.placed or node == NONE:
            return target
        above = [
            other
            for name in lineage.others(node, MOST_NAMES)
            for parent, _ in islice(lineage.told_parents(name), MOST_NAMES)
            for other in lineage.others(parent, MOST_NAMES)
        ]
        return evolve(target, requires=tuple(map(lineage.identifier, above)))

    async def _with_above(
        self, target: EndTarget, ending: Ending, depth: int
    ) -> EndTarget:
        """Target with what it requires and ends with, where its ending asks for it."""
        lineage = self._table.registry.lineage
        node = lineage.find(target.identifier)
        if not ending.above or node == NONE or not depth:
            return target
        names = lineage.others(node, MOST_NAMES)
        latest = max(lineage.latest_issue(name) for name in names)
        above = [parent for name in names for parent, _ in lineage.parents(name)]
        found = []
        for each in [lineage.identifier(one) for one in dict.fromkeys(above)]:
            own = self._issuer.ending(each)
            due = None if own is None else await self._judged(each, own)
            if own is None or due is None or due.is_left:
                continue
            for_good = target.wanted is WantedEnd.ENDED
            if for_good and due.wanted is WantedEnd.SUSPENDED:
                continue  # a lift would give the target back with it
            # What may have been issued after the time does not end with it.
            until = None if due.not_before is None else due.latest
            if until is None or latest <= until:
                known = self._queue.get((self._issuer.name, each))
                seen = known is not None and known.acts > 0
                one = EndTarget(each, wanted=due.wanted, not_before=until, seen=seen)
                one = self._placed(one, own)
                found.append(await self._with_above(one, own, depth - 1))
        return evolve(target, above=tuple(found))

    async def _after(
        self, item: EndingItem, probed: Probed, ending: Ending
    ) -> EndingItem:
        """Item that was probed and is not alive: dead, or nobody knows."""
        now, patience = self._clock(), self._issuer.patience
        if probed.found is Alive.UNKNOWN:
            return progress.unknown(item, probed, patience, now)
        if ending.mints and item.wanted is WantedEnd.ENDED and item.not_before is None:
            made = await self._issuer.children(item.target)
            if isinstance(made, Probed):
                return progress.unknown(item, made, patience, now)
            new = [each for each in made if not await self._is_planned(each, item)]
            if new:
                return await self._declared(item, new)
        return progress.ended(item, probed, now)

    async def _declared(self, item: EndingItem, new: list[Identifier]) -> EndingItem:
        """Declare what it made, so that it is denied and ended too; ask again then."""
        now = self._clock()
        if not await self._records.declare(item, new):
            text = UNTOLD.format(new[0])
            return evolve(item, state=EndingState.FAILED, reason=text, changed=now)
        if item.rounds >= MOST_ROUNDS:
            return evolve(item, state=EndingState.FAILED, reason=MINTS_ON, changed=now)
        return progress.asked_again(item, len(new), now)

    async def _is_planned(self, made: Identifier, maker: EndingItem) -> bool:
        """Whether something is known and dead here already, so that it will end.

        What was found dead before its maker's end, and is told of again, is probed
        anew: it may have been given back at the issuer.
        """
        known = self._queue.get((self._issuer.name, made))
        ending = self._issuer.ending(made)
        if known is not None and known.state not in progress.OVER:
            since = maker.since if maker.acted_at is None else maker.acted_at
            over = known.state in progress.PROVEN and known.changed < since
            if ending is None or not over:
                return True
            await self._ask_anew(known)
        if ending is None:
            return False
        await self._table.catch_up()
        found = await self._judged(made, ending)
        return found is not None and not found.is_left

    async def _ask_anew(self, known: EndingItem) -> None:
        anew = progress.asked_anew(known, self._clock())
        if not self._queue.claim(known.key, known):
            return  # somebody works on it, and probes it
        try:
            await self._records.keep([anew])
        except BaseException:
            self._queue.release(known.key)
            raise
        self._queue.put(anew)

    async def _condemned(self, item: EndingItem) -> EndingItem:
        """Item itself where what it wants is still due, by all that was accepted.

        Else its next state: it was lifted, or something else is due now.
        """
        await self._table.catch_up()
        ending = self._issuer.ending(item.identifier)
        if ending is None:
            return item
        found = await self._judged(item.identifier, ending)
        now = self._clock()
        if item.wanted is WantedEnd.RESTORED:
            if found is None or progress.to_give_back(item, found):
                return item
            return progress.condemned_anew(item, found, EndingState.WAITING, now)
        if found is None:
            return progress.no_more_condemned(item, now)
        wish = found.wanted, found.not_before
        if found.is_left or wish != (item.wanted, item.not_before):
            return progress.condemned_anew(item, found, EndingState.WAITING, now)
        if self._issuer.settings.mode == "approve" and not self._may_act(found):
            return progress.held(item, "", now)  # what was approved was withdrawn
        return item

    async def _unless_small(self, item: EndingItem, ending: Ending) -> EndingItem:
        """Item itself where the limit lets it be acted on, else its next state.

        What let it be acted on may be over, or reach more by now.
        """
        settings, back = self._issuer.settings, item.wanted is WantedEnd.RESTORED
        if settings.mode != "automatic" or back:
            return item
        found = await self._judged(item.identifier, ending)
        if found is None or self._may_act(found):
            return item  # whether it is condemned is asked before the act
        by, limit = found.deciding, settings.limit
        if self._queue.may_be_within(self._issuer.name, by, limit):
            return evolve(item, due=self._clock() + AGAIN)  # the next look tells
        return progress.held(item, WAITS["automatic"], self._clock())

    async def _judged(
        self, identifier: Identifier, ending: Ending
    ) -> Condemnation | None:
        return await self._admission.judged(self._issuer, identifier, ending)

    def _may_act(self, found: Condemnation) -> bool:
        by = found.deciding
        return may_act_for(self._issuer, self._queue, self._records, by)

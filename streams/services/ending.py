"""End at their issuers what is dead here, and find out whether it is.

The rounds of one realm, in an event loop that neither accepts nor feeds guards:

- A look at the table finds what causes in force reach, of what issuers can end.
- What is due is worked on by `IssuerWork`: probed, acted on, probed again.
- Nothing is acted on but what a standing cause reaches: that is asked of a table that
  holds all that was accepted, right before each act.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog
from attrs import define, field

from agents_registry.identifiers import NodeClass
from agents_registry.steps import in_runs
from enforcement.turns import in_turns, undisturbed
from streams.model.endings import WantedEnd
from streams.model.times import DAY, SECOND
from streams.ports.fact_log import NotWrittenError
from streams.ports.findings_log import BehindError
from streams.services.ending_admission import BY_KIND, EndingAdmission
from streams.services.ending_faults import IssuerFaults
from streams.services.ending_work import IssuerWork
from streams.stages.ending.condemned import (
    is_one_of_many,
    is_planned,
    reachable,
    standing_causes,
)
from streams.stages.ending.groups import grouped
from streams.stages.ending.items import OPEN, EndingItem, EndingState
from streams.stages.ending.progress import (
    NO_SUSPEND,
    condemned_anew,
    no_more_condemned,
    no_way,
)
from streams.stages.ending.queue import EndingQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.identifiers import Identifier
    from streams.services.actuated_issuer import ActuatedIssuer
    from streams.services.ending_admission import Change
    from streams.services.ending_ports import (
        CurrentFacts,
        EndingRecords,
    )
    from streams.stages.ending.condemned import Reachable
    from streams.stages.ending.items import Key

    _Run = list[RecordedCause]

LOOK_SECONDS: Final = 0.5
LOOK_ANYWAY: Final = 15 * SECOND
REST: Final = 9  # times that a look took, before the next one
AT_ONCE: Final = 256  # items kept together
MOST_NAMES: Final = 17
WAITED_FOR: Final = DAY  # causes for which somebody may wait
MOST_KEPT: Final = 12_000  # names of an item: a record of Kafka holds no more
TOO_LARGE: Final = "too many different causes end it: it is left to the guards"
KEPT: Final = 7 * DAY  # that an item without news is kept
# Kept for as long as a cause stands: what is not over, and a person's word, which no
# probe would find again.
LASTING: Final = OPEN | {EndingState.WAITING, EndingState.CONFIRMED}
NONE_THERE: Final = "no way to end a {} there"
STEP: Final = 255  # a mask: items looked at between two turns of others

log = structlog.get_logger()


@define(eq=False)
class EndingRounds:
    """Looks for what is to be ended, and has it ended.

    Attributes:
        issuers: by the names of their actuators; none whose mode is off.
        vocabulary: kind to class.
        queue: what is to be ended, and was.
    """

    issuers: Mapping[str, ActuatedIssuer]
    _vocabulary: Mapping[str, NodeClass]
    _table: CurrentFacts
    _records: EndingRecords
    _clock: Callable[[], int]
    queue: EndingQueue = field(factory=EndingQueue, init=False)
    _seen: object = field(default=None, init=False)
    # By causes ("": by none alone), what they reach and what does not name them yet.
    _left: dict[str, set[Key]] = field(factory=dict, init=False)
    _behind: set[Key] = field(factory=set, init=False)  # looked at in this look
    _before: set[str] | None = field(default=None, init=False)  # of earlier processes
    _faults: IssuerFaults = field(init=False)
    _admission: EndingAdmission = field(init=False)

    @_faults.default
    def _no_faults(self) -> IssuerFaults:
        return IssuerFaults(self.issuers, self.queue, self._records, self._clock)

    @_admission.default
    def _by_mode(self) -> EndingAdmission:
        return EndingAdmission(
            self.issuers, self.queue, self._table, self._records, self._clock
        )

    async def run(self) -> None:
        """Look and work until cancelled."""
        await self.load()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._look_for_ever())
                for work in self.works():
                    tasks.create_task(work.run())
        finally:
            for issuer in self.issuers.values():
                await issuer.actuator.close()

    def works(self) -> list[IssuerWork]:
        """Work of each issuer."""
        by = self._admission, self._clock
        return [
            IssuerWork(issuer, self.queue, self._table, self._records, *by)
            for issuer in self.issuers.values()
        ]

    async def load(self) -> None:
        """Take up what was kept; whatever was being acted on is probed first."""
        while True:
            try:
                items = await self._records.load()
            except NotWrittenError as error:
                log.warning("endings_not_read", error=str(error))
                await asyncio.sleep(LOOK_SECONDS)
            else:
                for item in items:
                    if item.actuator in self.issuers:
                        self.queue.put(self._admission.admitted_still(item))
                return

    async def _look_for_ever(self) -> None:
        while True:
            began = time.monotonic()
            try:
                await self.look()
                await self._faults.tell()
            except (BehindError, NotWrittenError) as error:
                log.warning("endings_not_planned", error=str(error))
            except Exception:  # boundary: no fault here may end the server that accepts
                log.exception("endings_fault")
            took = time.monotonic() - began
            await asyncio.sleep(max(LOOK_SECONDS, REST * took))

    async def look(self) -> None:
        """Look through the table once, where something changed.

        Raises:
            BehindError: the table is not up to date.
            NotWrittenError: what was found is not kept.
        """
        await self._table.catch_up()
        registry, records = self._table.registry, self._records
        orders = [
            (records.approvals(name), records.retried(name), records.confirmed(name))
            for name in self.issuers
        ]
        now = self._clock()
        # A cause may end by the clock alone.
        news = self.queue.news  # what stood behind something else may be next
        seen = (id(registry), registry.changes, orders, now // LOOK_ANYWAY, news)
        if seen == self._seen:
            return
        self._left.clear()
        self._behind.clear()
        causes = await undisturbed(registry, lambda: standing_causes(registry, now))
        standing: set[str] = set()
        async for run in _pieces(causes):
            standing |= {cause.digest.hex() for cause in run}
        await self._group(causes)
        await self._keep([each async for each in self._lifted(standing)])
        looked: dict[str, frozenset[Key]] = {}
        for cause in causes:
            name = cause.digest.hex()
            if name in self.queue.groups.members:
                continue  # a later one of the group reaches all that it does
            changes = [each async for each in self._planned(cause)]
            await self._keep(changes, name)
            looked[name] = frozenset(self._left.get(name, ()))
        self.queue.look_through(looked)
        admitted = self._admission.changes(self._all(), standing)
        await self._keep([each async for each in admitted])
        await self._note_planned(causes)
        await self._sweep()
        if not self._left:
            self._seen = seen

    async def _group(self, causes: Sequence[RecordedCause]) -> None:
        """Find the causes that items do not name; noted before any item forgets them.

        Else nobody would find what they end.
        """
        registry, was_planned = self._table.registry, self._records.was_planned
        groups = await undisturbed(
            registry, lambda: grouped(registry, causes, was_planned)
        )
        await self._records.note_groups(groups.members)
        self.queue.group(groups)

    async def _note_planned(self, causes: Sequence[RecordedCause]) -> None:
        """Note which causes are planned, for who waits for them.

        Others, on which somebody works, are planned by the next look. They keep nobody
        waiting but who waits for them: there may be new ones at every look.
        """
        recent, left = self._clock() - WAITED_FOR, self._left
        for group, names in self.queue.groups.named.items():
            if not left.keys().isdisjoint(names):
                left[group] = set()
        first, waited = self._before is None, list[str]()
        before = {each for each in self._before or () if self._is_left(each)}
        async for run in _pieces(causes):
            for each in run:
                name = each.digest.hex()
                if self._is_left(name):
                    # Noted by a process before, with other actuators maybe.
                    before |= {name} if first else set()
                elif max(each.at, each.version) >= recent or self.queue.ends_by(name):
                    waited.append(name)
        self._before = before
        looked = None if self._before else list(self.issuers)
        await self._records.note_planned(waited, looked)

    def _is_left(self, cause: str) -> bool:
        """Whether more of what a cause reaches is to be planned."""
        of = self.queue.groups.members.get(cause)
        return cause in self._left or (of is not None and of.group in self._left)

    async def _sweep(self) -> None:
        """Forget what is over for long; what is condemned still is probed anew."""
        before = self._clock() - KEPT
        old = [
            item
            async for item in self._all()
            if item.state not in LASTING
            and item.changed < before
            and not self.queue.is_taken(item.key)
        ]
        await self._records.forget(old)
        for item in old:
            self.queue.drop(item)

    async def _keep(self, changes: Sequence[Change], cause: str = "") -> None:
        """Keep what changed, unless it is worked on meanwhile, and let it be."""
        for start in range(0, len(changes), AT_ONCE):
            some = changes[start : start + AT_ONCE]
            claimed = [
                item
                for seen, item in some
                if item.many <= MOST_KEPT and self.queue.claim(item.key, seen)
            ]
            if len(claimed) < len(some):
                of = {item.key for _, item in some} - {item.key for item in claimed}
                self._left.setdefault(cause, set()).update(of)
            for name in (item.name for _, item in some if item.many > MOST_KEPT):
                log.error("ending_too_large", item=name, say=TOO_LARGE)
            try:
                await self._records.keep(claimed)
            except BaseException:
                for item in claimed:
                    self.queue.release(item.key)
                raise
            for item in claimed:
                self.queue.put(item)

    async def _all(self) -> AsyncIterator[EndingItem]:
        """Yield all items, and let others of the loop have their turns."""
        for count, item in enumerate(self.queue.items()):
            if not count & STEP:
                await asyncio.sleep(0)
            yield item

    async def _lifted(self, standing: AbstractSet[str]) -> AsyncIterator[Change]:
        """Yield items whose causes all ceased to stand."""
        now = self._clock()
        async for item in self._all():
            if self.queue.is_taken(item.key) or not standing.isdisjoint(item.causes):
                continue
            if item.wanted is WantedEnd.RESTORED or item.state is EndingState.STOPPED:
                continue
            after = no_more_condemned(item, now)
            if item.more:  # one that it does not name may stand
                after = await self._admission.judged_anew(item, after)
            if after != item:
                yield item, after

    async def _planned(self, cause: RecordedCause) -> AsyncIterator[Change]:
        """Yield new and changed items of what one cause reaches."""
        registry, identity = self._table.registry, cause.digest.hex()
        for each in await in_turns(reachable(registry, cause.node)):
            for issuer in self.issuers.values():
                key = (issuer.name, each.identifier)
                known = self.queue.get(key)
                if known is not None and is_planned(known, identity):
                    continue
                # Those that wait behind something, or were found done long ago, want
                # the same of it: one look is enough.
                same = known is not None and is_one_of_many(known, cause)
                if not issuer.speaks_of(each.identifier):
                    continue
                if self.queue.is_taken(key):
                    if known is None or identity not in known.behind:
                        self._left.setdefault(identity, set()).add(key)
                    continue
                if same:
                    if key in self._behind:
                        continue
                    self._behind.add(key)
                item = await self._item(issuer, each, known)
                if item is not None:
                    yield known, item

    async def _item(
        self, issuer: ActuatedIssuer, found: Reachable, known: EndingItem | None
    ) -> EndingItem | None:
        """Item of something that a cause reaches; None: it is not to be ended."""
        now = self._clock()
        identifier, ending = found.identifier, issuer.ending(found.identifier)
        names = self._names(identifier)
        if ending is None and not self._lacks(issuer, identifier, names):
            return None
        by = ending or BY_KIND
        due = await self._admission.judged(issuer, identifier, by)
        if due is None:
            return None
        if known is not None:
            after = condemned_anew(known, due, EndingState.WAITING, now)
            return None if after == known else after
        state = EndingState.LEFT if due.is_left else EndingState.WAITING
        item = EndingItem(
            actuator=issuer.name,
            identifier=identifier,
            names=names,
            wanted=due.wanted,
            not_before=due.not_before,
            causes=due.causes,
            behind=due.behind,
            left=() if due.is_left else due.left,
            more=due.more,
            carried=due.carried,
            rank=found.depth,
            mints=by.mints,
            state=state,
            how="" if due.is_left else by.how,
            reason=NO_SUSPEND if due.is_left else "",
            due=now,
            since=now,
            changed=now,
        )
        if ending is None and not due.is_left:
            return no_way(item, NONE_THERE.format(identifier.kind), now)
        return item

    def _names(self, identifier: Identifier) -> tuple[Identifier, ...]:
        lineage = self._table.registry.lineage
        names = lineage.others(lineage.find(identifier), MOST_NAMES)
        return tuple(map(lineage.identifier, names[1:]))

    def _lacks(
        self,
        issuer: ActuatedIssuer,
        identifier: Identifier,
        names: Iterable[Identifier],
    ) -> bool:
        """Whether an issuer has no way to end something, under any of its names."""
        of = self._vocabulary.get(identifier.kind)
        if of is None or of is NodeClass.CONTAINER:
            return False
        return not any(issuer.ending(name) for name in names)


async def _pieces(causes: Sequence[RecordedCause]) -> AsyncIterator[_Run]:
    """Yield causes in lists, and let others of the loop have their turns."""
    for run in in_runs(causes):
        await asyncio.sleep(0)
        yield run

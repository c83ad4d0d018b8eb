"""Whether an issuer may be acted on: by the mode, an approval, or the limit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from attrs import define, evolve

from enforcement.turns import undisturbed
from streams.model.endings import Ending, WantedEnd
from streams.stages.ending.condemned import condemnation
from streams.stages.ending.items import OPEN, EndingItem, EndingState
from streams.stages.ending.progress import condemned_anew, confirmed, held, retried

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from agents_registry.identifiers import Identifier
    from streams.services.actuated_issuer import ActuatedIssuer
    from streams.services.ending_ports import (
        Confirmation,
        CurrentFacts,
        EndingRecords,
    )
    from streams.stages.ending.queue import EndingQueue
    from streams.stages.ending.wanted import Condemnation

PLANNED: Final = "planned: the mode is plan"
WAITS: Final = {
    "plan": PLANNED,
    "approve": "waits for an approval",
    "automatic": "waits for an approval: its cause reaches more than the limit",
}
BY_KIND: Final = Ending("")  # of kinds that no actuator ends
Change = tuple[EndingItem | None, EndingItem]  # as it was seen, and as it is to be


@define(eq=False)
class EndingAdmission:
    """Lets issuers be acted on for what waits, or not.

    Attributes:
        issuers: by the names of their actuators; none whose mode is off.
    """

    issuers: Mapping[str, ActuatedIssuer]
    _queue: EndingQueue
    _table: CurrentFacts
    _records: EndingRecords
    _clock: Callable[[], int]

    def admitted_still(self, item: EndingItem) -> EndingItem:
        """Item as the mode of today lets it be."""
        issuer = self.issuers[item.actuator]
        if item.state not in OPEN or issuer.settings.mode == "automatic":
            return item
        if item.wanted is WantedEnd.RESTORED and issuer.settings.mode == "approve":
            return item
        if may_act_for(issuer, self._queue, self._records, item.causes):
            return item
        return held(item, "", self._clock())

    async def judged(
        self, issuer: ActuatedIssuer, identifier: Identifier, ending: Ending
    ) -> Condemnation | None:
        """Judge by the table whether something is to be ended at an issuer, now."""
        registry, now = self._table.registry, self._clock()
        known = self._queue.get((issuer.name, identifier))
        may_act = partial(_might_act_for, issuer, self._queue, self._records)
        return await undisturbed(
            registry,
            lambda: condemnation(
                registry, identifier, now=now, ending=ending,
                own=issuer.settings.authority, may_act=may_act, known=known,
                groups=self._queue.groups,
            ),
        )  # fmt: skip

    async def judged_anew(self, item: EndingItem, over: EndingItem) -> EndingItem:
        """Item as the table wants it; the other one where that wants nothing of it."""
        issuer, now = self.issuers[item.actuator], self._clock()
        by = issuer.ending(item.identifier) or BY_KIND
        due = await self.judged(issuer, item.identifier, by)
        if due is None:
            return over
        return condemned_anew(item, due, EndingState.WAITING, now)

    async def changes(
        self, items: AsyncIterator[EndingItem], standing: AbstractSet[str]
    ) -> AsyncIterator[Change]:
        """Yield items that may be acted on from now on, and those tried again."""
        now = self._clock()
        async for item in items:
            said = self._records.confirmed(item.actuator).get(item.identifier)
            if said is not None and _is_confirmed(item, said):
                yield item, confirmed(item, said.by, said.reason, now)
            elif item.state is EndingState.FAILED:
                if item.changed < self._records.retried(item.actuator):
                    yield item, retried(item, now)
            elif item.state is EndingState.WAITING:
                after = await self._admitted(item, standing, now)
                if after is not item:
                    yield item, after

    async def _admitted(
        self, item: EndingItem, standing: AbstractSet[str], now: int
    ) -> EndingItem:
        """Item that waits, or its next state where it need not wait any more."""
        issuer = self.issuers[item.actuator]
        wanted = [each for each in item.causes if each in standing]
        allowed = may_act_for(issuer, self._queue, self._records, wanted)
        allowed = allowed or self._may_act_more(issuer, item)
        ending = issuer.ending(item.identifier)
        after = item
        dated = item.not_before is not None and len(item.causes) > 1
        back = item.wanted is WantedEnd.RESTORED
        limited = issuer.settings.mode == "automatic" and not back
        if allowed and (dated or item.more or limited) and ending:
            # What is allowed may be an earlier time than what it waits for, or by a
            # cause that it does not name, or by one that does not decide any more.
            due = await self.judged(issuer, item.identifier, ending)
            if due is None or due.is_left:
                return item
            after = condemned_anew(item, due, EndingState.WAITING, now)
            allowed = may_act_for(issuer, self._queue, self._records, due.deciding)
        if allowed or _to_give_back(issuer, item):
            return evolve(after, state=EndingState.PENDING, due=now, reason="")
        if not item.reason:
            return evolve(item, reason=WAITS[issuer.settings.mode])
        return item

    def _may_act_more(self, issuer: ActuatedIssuer, item: EndingItem) -> bool:
        """Whether one of the causes that an item does not name may let it be acted on.

        Of which of them that is so, the table tells.
        """
        if not item.more or issuer.settings.mode in ("off", "plan"):
            return False
        members = self._queue.groups.members
        approved = self._records.approvals(issuer.name)
        known = [members[each] for each in approved if each in members]
        groups = {each.group for each in item.more}
        if any(each.group in groups for each in known):
            return True
        limit = issuer.settings.limit
        automatic = issuer.settings.mode == "automatic"
        return automatic and self._queue.has_small(issuer.name, groups, limit)


def may_act_for(
    issuer: ActuatedIssuer,
    queue: EndingQueue,
    records: EndingRecords,
    causes: Iterable[str],
) -> bool:
    """Whether one of some causes (ids) lets an issuer be acted on now."""
    return _lets(issuer, records, causes, queue.is_within)


def _might_act_for(
    issuer: ActuatedIssuer,
    queue: EndingQueue,
    records: EndingRecords,
    causes: Iterable[str],
) -> bool:
    """Whether one of some causes may be found to let it, once a look went through.

    Enough to choose what is next, not to act.
    """
    return _lets(issuer, records, causes, queue.may_be_within)


def _lets(
    issuer: ActuatedIssuer,
    records: EndingRecords,
    causes: Iterable[str],
    is_small: Callable[[str, Iterable[str], int], bool],
) -> bool:
    """Whether one of some causes is approved, or small in mode automatic."""
    named, mode = list(causes), issuer.settings.mode
    if mode not in ("approve", "automatic"):
        return False
    if not records.approvals(issuer.name).isdisjoint(named):
        return True
    limit = issuer.settings.limit
    return mode == "automatic" and is_small(issuer.name, named, limit)


def _to_give_back(issuer: ActuatedIssuer, item: EndingItem) -> bool:
    acts = issuer.settings.mode in ("approve", "automatic")
    return acts and item.wanted is WantedEnd.RESTORED


def _is_confirmed(item: EndingItem, said: Confirmation) -> bool:
    """Whether an operator confirmed the end of just this failure, for its causes."""
    same = item.changed == said.changed and said.causes.issuperset(item.causes)
    return item.may_be_confirmed and same

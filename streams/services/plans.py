"""Plans of operators: kept for a day, with all that each of them saw.

What would be denied is kept as prints, in parts that fit the log of either engine: of a
plan on 100,000 identifiers these are 0.8 MB. The names of a long order lie in parts
too, so that no body is a large one.

A plan is claimed before it is ordered. Of several claims the one that was heard first
counts, and all processes hear them in one order. It is void after `CLAIM_SECONDS`,
since who claimed may be gone; whoever claims it then gives the same order again, of the
same time: what was written before the crash is repeated, and repeats are harmless.
Later than `SAME_SECONDS` it is a new order, of a time of its own: one of long ago would
spare what was issued since, and what ends by itself after a while may be over.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson
import structlog
from attrs import define, field, frozen

from streams.model.times import DAY, SECOND
from streams.ports.keyed_store import PLAN, PLAN_CLAIM, PLAN_PART, part
from streams.services.approval_queue import FullError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streams.ports.keyed_store import KeyedStore

MOST_PLANS: Final = 500
MOST_BYTES: Final = 64 << 20  # of all plans together: they lie in memory
NAMES: Final = 1000  # in a part
PRINTS: Final = 160 << 10  # bytes in a part; to pack so many for a log takes 5 ms
CLAIM_SECONDS: Final = 30.0
SAME_SECONDS: Final = 120.0  # for which who takes a claim over gives the same order
_UNTIL: Final = 8  # hex digits of an id: the second from which on it is void

log = structlog.get_logger()


class LostPartError(Exception):
    """A part of a plan is not there any more."""


@frozen(kw_only=True)
class Plan:
    """An act that was looked at, and not ordered yet.

    Attributes:
        id: unique.
        act: its name, such as ``revoke``.
        order: what the act needs beside whom it names; JSON-ready.
        summary: what it would do, in one line.
        by: name of the credential that planned it.
        made_at: when (ns).
        expires_at: from when it is void (ns).
        as_of: token of the table that it saw.
        reach: what it saw, as an answer has it.
        name_parts: in how many parts the names are kept that it was given.
        print_parts: in how many the prints of what it would end.
        applied: who applied it and when; None: nobody did.
    """

    id: str
    act: str
    order: dict[str, Any]
    summary: str
    by: str
    made_at: int
    expires_at: int
    as_of: str
    reach: dict[str, Any]
    name_parts: int = 0
    print_parts: int = 0
    applied: dict[str, Any] | None = None

    def dump(self) -> bytes:
        """Bytes to keep."""
        return orjson.dumps(attrs.asdict(self, recurse=False))

    @classmethod
    def load(cls, body: bytes) -> Plan:
        """Read what `dump` gave.

        Raises:
            ValueError: it is not that.
        """
        try:
            return cls(**orjson.loads(body))
        except TypeError as error:
            raise ValueError("not a plan") from error


@frozen
class PlanClaim:
    """Who orders a plan now, and as which order.

    Attributes:
        by: name of the process.
        claimed_at: when it claimed (ns).
        order: id of the order.
        at: when that was given first (ns).
    """

    by: str
    claimed_at: int
    order: str
    at: int


@define(eq=False)
class KeptPlans:
    """Keeps plans, and finds them again.

    Attributes:
        kept: where they lie.
        clock: gives the time (ns).
        owner: name of this process among those of the realm.
    """

    _kept: KeyedStore
    _clock: Callable[[], int]
    _owner: str = ""
    _claims: dict[str, PlanClaim] = field(factory=dict, init=False)
    _hears: bool = field(default=False, init=False)

    def fresh_id(self, unique: str) -> tuple[str, int]:
        """Make the id of a plan, and the time from which on it is void (ns).

        Args:
            unique: 32 hex digits.
        """
        until = self._clock() // SECOND + DAY // SECOND
        return f"{until:0{_UNTIL}x}{unique[_UNTIL:]}", until * SECOND

    async def keep(self, plan: Plan, names: Sequence[str], members: bytes) -> Plan:
        """Keep a plan, and before it its parts.

        Args:
            plan: without parts yet.
            names: that it was given, none of them a secret.
            members: prints of what it would end.

        Raises:
            FullError: too many are kept.
            NotWrittenError: it is not kept.
        """
        await self._kept.catch_up()
        await self._forget_old()
        heads = self._kept.items(PLAN)
        bodies = [*heads.values(), *self._kept.items(PLAN_PART).values()]
        size = sum(map(len, bodies)) + len(members) * 4 // 3
        if len(heads) >= MOST_PLANS or size > MOST_BYTES:
            text = f"{len(heads)} plans are kept, each for a day: apply one, or order"
            raise FullError(f"{text} the act without a plan")
        counts = []
        for of, parts in (("names", _listed(names)), ("prints", _packed(members))):
            count = 0
            for body in parts:
                name = _part_name(plan.id, of, count)
                await self._kept.put(PLAN_PART, name, orjson.dumps(body))
                count += 1
            counts.append(count)
        name_parts, print_parts = counts
        plan = attrs.evolve(plan, name_parts=name_parts, print_parts=print_parts)
        await self._kept.put(PLAN, part(plan.id), plan.dump())
        return plan

    async def find(self, identity: str) -> Plan | None:
        """Find a plan, void or not; None: there is none of that id.

        Raises:
            NotWrittenError: that cannot be told now.
        """
        await self._kept.catch_up()
        body = self._kept.get(PLAN, part(identity))
        if body is None:
            return None
        try:
            return Plan.load(body)
        except ValueError as error:  # of another version
            log.warning("plan_not_read", error=str(error))
            return None

    def names(self, plan: Plan) -> list[str]:
        """Read the names that a plan was given.

        Raises:
            LostPartError: some are gone.
        """
        parts = self._parts(plan.id, "names", plan.name_parts)
        return [name for names in parts for name in names]

    def members(self, plan: Plan) -> bytes:
        """Read the prints of what a plan would have ended.

        Raises:
            LostPartError: some are gone.
        """
        parts = self._parts(plan.id, "prints", plan.print_parts)
        return b"".join(map(base64.b64decode, parts))

    async def claim(self, plan: Plan, order: str) -> PlanClaim | None:
        """Claim a plan for this process; None: another one orders it now.

        Args:
            plan: that is to be ordered.
            order: a new id; what was ordered once keeps its first one.

        Raises:
            NotWrittenError: whose it is cannot be told now.
        """
        if not self._hears:
            self._kept.follow(PLAN_CLAIM, self._heard)
            self._hears = True
        await self._kept.catch_up()
        name, now = part(plan.id), self._clock()
        heard = self._claims.get(name)
        claim = PlanClaim(self._owner, now, order, now)
        if heard is None or _may_follow(claim, heard):
            claim = claim if heard is None else _taken_over(heard, claim)
            await self._put_claim(name, claim)
        heard = self._claims.get(name)
        if heard is not None and heard != claim and heard.by != self._owner:
            await self._put_claim(name, heard)  # who starts anew hears the last alone
        return heard if heard is not None and heard.by == self._owner else None

    async def _put_claim(self, name: str, claim: PlanClaim) -> None:
        await self._kept.put(PLAN_CLAIM, name, orjson.dumps(attrs.asdict(claim)))
        await self._kept.catch_up()

    async def release(self, plan: Plan) -> None:
        """Let others claim what was claimed and not ordered.

        Raises:
            NotWrittenError: it stays claimed for `CLAIM_SECONDS`.
        """
        await self._kept.forget(PLAN_CLAIM, part(plan.id))

    def _heard(self, name: str, body: bytes | None) -> None:
        if body is None:
            self._claims.pop(name, None)
            return
        claim, before = PlanClaim(**orjson.loads(body)), self._claims.get(name)
        if before is None:
            self._claims[name] = claim
        elif _may_follow(claim, before):
            self._claims[name] = _taken_over(before, claim)

    async def note_applied(self, plan: Plan, applied: dict[str, Any]) -> None:
        """Note that a plan was applied.

        Raises:
            NotWrittenError: that is not noted.
        """
        done = attrs.evolve(plan, applied=applied)
        await self._kept.put(PLAN, part(plan.id), done.dump())

    def _parts(self, identity: str, of: str, count: int) -> Iterator[Any]:
        for number in range(count):
            body = self._kept.get(PLAN_PART, _part_name(identity, of, number))
            if body is None:
                raise LostPartError
            yield orjson.loads(body)

    async def _forget_old(self) -> None:
        """Forget what is void, also parts of a plan that was never kept."""
        now = self._clock() // SECOND
        for kind in (PLAN, PLAN_PART, PLAN_CLAIM):
            for name in self._kept.items(kind):
                if int(name[:_UNTIL], 16) <= now:
                    await self._kept.forget(kind, name)


def _may_follow(claim: PlanClaim, before: PlanClaim) -> bool:
    over = before.claimed_at + int(CLAIM_SECONDS * SECOND)
    return claim.by == before.by or claim.claimed_at >= over


def _taken_over(before: PlanClaim, claim: PlanClaim) -> PlanClaim:
    """Claim of somebody else on the order that was given first, if not long ago."""
    if claim.at - before.at > int(SAME_SECONDS * SECOND):
        return claim
    return attrs.evolve(before, by=claim.by, claimed_at=claim.claimed_at)


def _part_name(identity: str, of: str, number: int) -> str:
    return f"{part(identity)}/{of}/{number}"


def _listed(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), NAMES):
        yield names[start : start + NAMES]


def _packed(members: bytes) -> Iterator[str]:
    for start in range(0, len(members), PRINTS):
        yield base64.b64encode(members[start : start + PRINTS]).decode()

"""Orders that are kept until their time, on either engine.

An order is durable before it is answered, and is carried out once its time has come, by
whichever process of the realm gets to it: at its start, where nothing ran by then. A
process claims an order first. Of several claims the one that was heard first counts,
and all processes hear them in one order; it is void after `CLAIM_SECONDS`, since who
claimed may be gone. Whoever carries an order out writes the same facts, and forgets the
order with them: so a crash in between repeats them, and repeats are harmless.

An order that is not carried out for long, as where it waits for a full queue, is
cancelled by the process that has claimed it: another one that is asked to leaves it a
note, and waits for what becomes of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog
from attrs import define, evolve, field

from agents_registry.facts import Cause, fact_id
from enforcement.turns import in_turns
from schemas import entries
from streams.model.times import SECOND, rfc3339
from streams.observability.failpoints import failpoint
from streams.ports.keyed_store import (
    PENDING,
    SCHEDULE,
    SCHEDULE_CANCEL,
    SCHEDULE_CLAIM,
    Put,
)
from streams.services.approval_queue import FullError
from streams.services.intake import NotWrittenError, not_applied, tell
from streams.services.order_parts import IncompleteError, keep_parts, names_of, without
from streams.stages.ingest import blast
from streams.stages.ingest.approvals import HELD, Pending, UndecidedError
from streams.stages.ingest.ingress import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Steps
    from streams.ports.keyed_store import KeyedStore
    from streams.services.approval_queue import ApprovalQueue
    from streams.services.blast_limit import BlastLimit
    from streams.services.ingest import Intake

MOST_SCHEDULED: Final = 1000
MOST_OF_PERSON: Final = 200
MOST_NAMED: Final = 16  # facts that an audit line on an order names
LOOK_SECONDS: Final = 0.5
AGAIN_SECONDS: Final = 1.0
CLAIM_SECONDS: Final = 30.0
CANCEL_SECONDS: Final = 5.0  # that another process may take to cancel an order
CANCEL_LOOK: Final = 0.1
# Clocks of processes differ by no more, and a write that is late is told.
SOON_SECONDS: Final = 5.0

log = structlog.get_logger()


class TooLateError(Exception):
    """An order is about to be carried out, or is by now."""


@define
class _Claim:
    by: str
    at: int


@define(eq=False)
class Schedule:
    """Keeps orders until their time, and carries them out.

    Attributes:
        kept: keeps the orders.
        log: writes facts, and audit lines with them.
        desk: keeps what is over its limit when its time comes.
        realm: of this server.
        clock: gives the time (ns).
        owner: name of this process among those of the realm.
        may_lift: tells whether a credential may still do what grants, by its name.
        limit: holds back what reaches too much, once there is a table to count in.
    """

    _kept: KeyedStore = field(kw_only=True)
    _log: Intake = field(kw_only=True)
    _desk: ApprovalQueue = field(kw_only=True)
    _realm: str = field(kw_only=True)
    _clock: Callable[[], int] = field(kw_only=True)
    _owner: str = field(kw_only=True)
    _may_lift: Callable[[str], bool] = field(default=lambda _: True, kw_only=True)
    limit: BlastLimit | None = field(default=None, init=False)
    _claims: dict[str, _Claim] = field(factory=dict, init=False)
    _times: dict[str, int] = field(factory=dict, init=False)
    _busy: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    def begin(self) -> None:
        """Hear of orders, and of claims in the order in which they were made."""
        self._kept.follow(SCHEDULE, self._heard_order)
        self._kept.follow(SCHEDULE_CLAIM, self._heard_claim)

    async def keep(
        self, order: Pending, actor: str, names: Sequence[Identifier] = ()
    ) -> None:
        """Keep an order until its time, with an audit line on who wants it.

        Args:
            order: it has ``due_at``.
            actor: name of the credential of whoever decided it.
            names: of a long order, which are kept beside it.

        Raises:
            FullError: too many wait.
            NotWrittenError: it is not kept.
        """
        waiting = await self.waiting()
        if len(self._kept.items(SCHEDULE)) >= MOST_SCHEDULED:
            raise FullError(f"{MOST_SCHEDULED} orders wait for their time")
        own = sum(each.person == order.person for each in waiting)
        if own >= MOST_OF_PERSON and all(each.id != order.id for each in waiting):
            what = f"{MOST_OF_PERSON} orders of {order.person} wait for their time"
            raise FullError(f"{what}: cancel some, or have somebody else order it")
        if names:
            await keep_parts(self._kept, order, names)
        at = rfc3339(order.due_at)
        await self._note(
            actor, f"scheduled {order.id} for {at}: {order.summary}", order
        )
        await self._kept.put(SCHEDULE, order.id, order.dump())

    async def waiting(self) -> list[Pending]:
        """Orders that wait for their time, the next one first.

        Raises:
            NotWrittenError: that cannot be told now.
        """
        await self._kept.catch_up()
        bodies = list(self._kept.items(SCHEDULE).values())
        return await in_turns(_read(bodies))

    async def cancel(self, identity: str, actor: str, reason: str) -> Pending | None:
        """Drop an order; nothing of it is written. None: there is none of that id.

        Raises:
            TooLateError: its time is about to come.
            NotWrittenError: it is not dropped.
        """
        async with self._busy:
            found = [each for each in await self.waiting() if each.id == identity]
            if not found:
                return None
            (order,) = found
            stuck = await self._stuck(order)
            elsewhere = self._long_over(order) and not stuck
            if self._soon(order) and not stuck and not elsewhere:
                raise TooLateError("it is carried out by now, or within seconds")
            if not elsewhere:
                await self._drop(order, actor, reason)
                if self._soon(order) and not stuck:
                    raise TooLateError("its time came meanwhile: look what was written")
                return order
        return await self._cancelled_elsewhere(order, actor, reason)

    async def _drop(self, order: Pending, actor: str, reason: str) -> None:
        said = f"cancelled {order.id}: {order.summary}: {reason}"
        await self._note(actor, said, order)
        for put in self._over(order):
            await self._kept.forget(put.kind, put.name)

    async def _cancelled_elsewhere(
        self, order: Pending, actor: str, reason: str
    ) -> Pending:
        """Have the process that has claimed an order cancel it.

        Raises:
            TooLateError: it carried the order out, or did not say in time.
            NotWrittenError: it cannot be told.
        """
        wish = {"by": actor, "reason": reason}
        await self._kept.put(SCHEDULE_CANCEL, order.id, orjson.dumps(wish))
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                while self._kept.get(SCHEDULE, order.id) is not None:
                    await asyncio.sleep(CANCEL_LOOK)
                    await self._kept.catch_up()
        except TimeoutError:
            text = "the process that carries it out does not answer: try again"
            raise TooLateError(text) from None
        finally:
            told = orjson.loads(self._kept.get(SCHEDULE_CANCEL, order.id) or b"{}")
            await self._kept.forget(SCHEDULE_CANCEL, order.id)
        if not told.get("done"):
            raise TooLateError("it was carried out meanwhile: look what was written")
        return order

    async def run(self) -> None:
        """Carry out what is due, until cancelled."""
        self.begin()
        while True:
            wait, now = LOOK_SECONDS, self._clock()
            if any(at <= now for at in self._times.values()):
                try:
                    await self.carry_out()
                except NotWrittenError as error:
                    log.warning("not_written", error=str(error))
                    wait = AGAIN_SECONDS
            await asyncio.sleep(wait)

    async def carry_out(self) -> None:
        """Carry out what is due.

        Raises:
            NotWrittenError: not all of it could be written; it is kept.
        """
        async with self._busy:
            await self._kept.catch_up()
            for order in await self._due():
                if await self._claimed(order):
                    failpoint("schedule.claimed")
                    try:
                        if not await self._is_cancelled(order):
                            await self._write(order)
                    except FullError as error:  # others come first; it waits on
                        log.warning("order_not_held", order=order.id, why=str(error))

    async def _is_cancelled(self, order: Pending) -> bool:
        """Cancel an order where another process was asked to."""
        wish = self._kept.get(SCHEDULE_CANCEL, order.id)
        if wish is None or not self._long_over(order):
            return False
        told: dict[str, Any] = orjson.loads(wish)
        await self._kept.put(
            SCHEDULE_CANCEL, order.id, orjson.dumps(told | {"done": True})
        )
        await self._drop(order, told["by"], told["reason"])
        return True

    async def _claimed(self, order: Pending) -> bool:
        """Whether it falls to this process to carry an order out."""
        if self._may_claim(order):
            claim = {"by": self._owner, "at": self._clock()}
            await self._kept.put(SCHEDULE_CLAIM, order.id, orjson.dumps(claim))
            await self._kept.catch_up()
        heard = self._claims.get(order.id)
        there = self._kept.get(SCHEDULE, order.id) is not None
        return there and heard is not None and heard.by == self._owner

    def _may_claim(self, order: Pending) -> bool:
        """Whether a claim is missing, over, or ours and old."""
        claim = self._claims.get(order.id)
        if claim is None:
            return True
        lasts = CLAIM_SECONDS / 2 if claim.by == self._owner else CLAIM_SECONDS
        return self._clock() >= claim.at + int(lasts * SECOND)

    def _heard_order(self, name: str, body: bytes | None) -> None:
        if body is None:
            self._times.pop(name, None)
        else:
            self._times[name] = orjson.loads(body).get("due_at", 0)

    def _heard_claim(self, name: str, body: bytes | None) -> None:
        if body is None:
            self._claims.pop(name, None)
            return
        plain: dict[str, Any] = orjson.loads(body)
        claim = _Claim(plain["by"], plain["at"])
        before = self._claims.get(name)
        lasts = int(CLAIM_SECONDS * SECOND)
        if before is None or before.by == claim.by or claim.at >= before.at + lasts:
            self._claims[name] = claim

    async def _write(self, order: Pending) -> None:
        """Write an order whose time has come, or keep it where its reach holds it."""
        origin = self._origin(order)
        try:
            order.check_effect(origin.received_at)
            self._check_giver(order)
            names = await in_turns(names_of(self._kept, order))
        except (IncompleteError, UndecidedError) as error:
            await self._give_up(order, str(error))
            return
        facts = await in_turns(order.writing(origin.received_at, names))
        signals: list[dict[str, Any]] = []
        if self.limit is not None:
            over = await self.limit.judge(facts, origin)
            if over is not None:
                hold = over.hold and not order.approved
                signals = [blast.notice(facts[0], over.told(hold=hold))]
                if hold:
                    await self._hold(order, signals)
                    return
        said = f"carried out {order.id}, ordered at {rfc3339(order.proposed_at)}"
        written = await self._log.facts(
            facts,
            origin,
            actor=order.credential,
            action=f"{said}: {order.summary}: {order.reason}",
            also=self._over(order),
        )
        if written.dead_letters:
            await self._give_up(order, "it does not fit the log's schema")
            return
        await tell(self._log, signals, origin)

    def _check_giver(self, order: Pending) -> None:
        """Refuse a grant of whoever may give none any more; an end stands.

        Raises:
            UndecidedError: it is one, and no other person approved it.
        """
        ends = all(isinstance(one, Cause) for one in order.facts)
        if not (ends or order.approved or self._may_lift(order.credential)):
            raise UndecidedError(f"{order.credential} is no restorer any more")

    async def _hold(self, order: Pending, signals: list[dict[str, Any]]) -> None:
        """Have a second person decide on what reaches too much by now."""
        held = evolve(order, kind=HELD, due_at=None, expires_at=None)
        await self._desk.keep(held, order.credential)
        await tell(self._log, signals, self._origin(order))
        for put in self._over(order)[:2]:  # the names go on with what is held
            await self._kept.forget(put.kind, put.name)

    async def _give_up(self, order: Pending, why: str) -> None:
        """Say that an order could not be carried out, and keep it no longer."""
        detail = f"the scheduled order {order.id} was not carried out: {why}"
        first: Fact = order.facts[0]
        name = getattr(first, "target", None) or first.NAME
        origin = self._origin(order)
        told = not_applied(list(name), origin.received_at, detail)
        await self._note(order.credential, detail, order)
        await tell(self._log, [told], origin)
        for put in self._over(order):
            await self._kept.forget(put.kind, put.name)

    def _over(self, order: Pending) -> list[Put]:
        """Bodies to forget once an order was carried out."""
        # A crash may have left it among what waits for a second person, too.
        kinds = (SCHEDULE, SCHEDULE_CLAIM, PENDING)
        ids = [Put(kind, order.id, None) for kind in kinds]
        return [*ids, *without(order)]

    async def _due(self) -> list[Pending]:
        now = self._clock()
        due = [name for name, at in self._times.items() if at <= now]
        bodies = [self._kept.get(SCHEDULE, name) for name in due]
        return await in_turns(_read([each for each in bodies if each is not None]))

    def _soon(self, order: Pending) -> bool:
        until = (order.due_at or 0) - int(SOON_SECONDS * SECOND)
        return self._clock() >= until

    async def _stuck(self, order: Pending) -> bool:
        """Whether its time is long over, and nobody else is about to carry it out."""
        return self._long_over(order) and await self._claimed(order)

    def _long_over(self, order: Pending) -> bool:
        until = (order.due_at or 0) + int(2 * CLAIM_SECONDS * SECOND)
        return self._clock() >= until

    async def _note(self, actor: str, action: str, order: Pending) -> None:
        """Write an audit line on what is not done, or not yet."""
        ids = tuple(fact_id(each).hex() for each in order.facts[:MOST_NAMED])
        at, realm = self._clock(), self._realm
        act = entries.Act(realm=realm, at=at, actor=actor, action=action, facts=ids)
        await self._log.record_act(act)

    def _origin(self, order: Pending) -> Origin:
        return Origin(
            authority=order.authority,
            realm=self._realm,
            received_at=self._clock(),
            ingress_key=order.credential,
        )


def _read(bodies: Sequence[bytes]) -> Steps[list[Pending]]:
    """Orders of bodies, the next one first."""
    found = []
    for body in bodies:
        yield
        try:
            found.append(Pending.load(body))
        except ValueError as error:  # of another version
            log.warning("order_not_read", error=str(error))
    found.sort(key=lambda each: (each.due_at or 0, each.id))
    return found

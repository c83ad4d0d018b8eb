"""Where acts of operators wait for a second person, on either engine.

An act that needs one person is written at once. One that needs two is kept until
another person approves it, somebody rejects it, or its time is over. Every step is an
audit line. What waits is durable before it is answered: in the store of the embedded
server, or in the topic ``sources`` on Kafka, where every ingress of the realm sees it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import attrs
import structlog
from attrs import define, field, frozen

from agents_registry.facts import Cause, fact_id
from enforcement.turns import in_turns
from schemas import entries
from streams.model.times import SECOND
from streams.ports.keyed_store import PENDING, SCHEDULE, Put
from streams.services.intake import Acceptance, NotWrittenError, tell
from streams.services.order_parts import (
    IncompleteError,
    keep_parts,
    names_of,
    sweep_parts,
    without,
)
from streams.stages.ingest.acts import ActError
from streams.stages.ingest.approvals import (
    HELD,
    Pending,
    Scheduled,
    UndecidedError,
    in_parts,
)
from streams.stages.ingest.blast import over
from streams.stages.ingest.ingress import Origin
from streams.stages.ingest.order_names import digesting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Steps
    from streams.ports.keyed_store import KeyedStore
    from streams.services.ingest import Intake
    from streams.services.schedule import Schedule
    from streams.settings.access import Approvals
    from streams.stages.ingest.acts import KeptDecision, OperatorAct

SWEEP_SECONDS: Final = 30.0
MOST_WAITING: Final = 1000  # acts, and as many held revocations of one authority
MOST_FACTS: Final = 2000  # of one act; its record must fit into the log
MOST_NAMED: Final = 16  # facts that an audit line on a proposal names
SYSTEM: Final = "rescind"

log = structlog.get_logger()


@frozen
class Approved:
    """What was written of an act that another person proposed.

    Attributes:
        receipt: of the log.
        cause: id of the one cause that it is; None: it is none, or several.
    """

    receipt: Acceptance
    cause: str | None = None


class FullError(Exception):
    """Too much waits already; the text says for what."""


@define(eq=False)
class ApprovalQueue:
    """Takes acts, keeps what waits, and takes decisions on it.

    Attributes:
        kept: keeps what waits.
        log: writes facts, and audit lines with them.
        rules: which acts need two persons, and for how long they wait.
        realm: of this server.
        clock: gives the time (ns).
        fresh_id: gives unique ids.
        persons: whose a credential of the settings is, by its name.
        schedule: keeps what is to be carried out later.
        seen: what waited when it was looked at last, for metrics.
    """

    _kept: KeyedStore = field(kw_only=True)
    _log: Intake = field(kw_only=True)
    _rules: Approvals = field(kw_only=True)
    _realm: str = field(kw_only=True)
    _clock: Callable[[], int] = field(kw_only=True)
    fresh_id: Callable[[], str] = field(kw_only=True)
    _persons: Mapping[str, str] = field(factory=dict, kw_only=True)
    schedule: Schedule = field(init=False)
    seen: tuple[Pending, ...] = field(factory=lambda: (), init=False)
    _deciding: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _read: dict[str, tuple[bytes, Pending | None]] = field(factory=dict, init=False)

    async def take(
        self, act: OperatorAct, origin: Origin, actor: str, person: str
    ) -> Acceptance | Pending | Scheduled:
        """Write an act, or keep it until a second person approves it or for its time.

        Args:
            act: what an operator decided.
            origin: of the request.
            actor: the name of the operator's credential.
            person: whose it is.

        Raises:
            ActError: it says too much for one approval.
            FullError: too many acts wait.
            NotWrittenError: it is neither written nor kept.
        """
        names = in_parts(act.facts) if act.order else ()
        if act.kind not in self._rules.acts and not act.over:
            if act.due_at is not None:
                order = await self._pending(act, origin, actor, person, names)
                await self.schedule.keep(order, actor, names)
                return Scheduled(order)
            said = f"{act.summary}: {act.reason}" if act.reason else act.summary
            if act.kept is not None:
                return await self._decide(act.kept, actor, person, said)
            return await self._log.facts(act.facts, origin, actor=actor, action=said)
        if len(act.facts) > MOST_FACTS and not names:
            what = f"this states {len(act.facts)} facts, and one approval covers"
            raise ActError(f"{what} {MOST_FACTS}: propose it in parts")
        pending = await self._pending(act, origin, actor, person, names)
        await self.keep(pending, actor, names)
        return pending

    async def _pending(
        self,
        act: OperatorAct,
        origin: Origin,
        actor: str,
        person: str,
        names: Sequence[Identifier],
    ) -> Pending:
        """Make of an act what waits; for its reach it waits for ever."""
        held, now = bool(act.over), origin.received_at
        expires = now + int(self._rules.expires_seconds * SECOND)
        void = None if held or act.kind not in self._rules.acts else expires
        digest = await in_turns(digesting(map(str, names))) if names else ""
        return Pending(
            id=act.order or self.fresh_id(),
            kind=HELD if held else act.kind,
            summary=f"{act.summary}, which {act.over}" if held else act.summary,
            reason=act.reason,
            person=person,
            credential=actor,
            proposed_at=now,
            expires_at=void,
            authority=origin.authority,
            facts=act.facts[:1] if names else act.facts,
            names=len(names),
            digest=digest,
            due_at=act.due_at,
            kept=act.kept,
        )

    async def _decide(
        self, kept: KeptDecision, actor: str, by: str, said: str
    ) -> Acceptance:
        """Keep a decision that is no fact, with its line of the audit chain."""
        now = self._clock()
        act = entries.Act(realm=self._realm, at=now, actor=actor, action=said, facts=())
        put = Put(kept.kind, kept.name, kept.decided(now, by))
        await self._log.record_act(act, [put])
        return Acceptance(accepted=1, dead_letters=0, facts=0, token="")

    async def keep(
        self, pending: Pending, actor: str, names: Sequence[Identifier] = ()
    ) -> None:
        """Keep an act, with an audit line on who wants it.

        One that waits already stays as it was, with who proposed it first.

        Args:
            pending: the act.
            actor: name of the credential of whoever wants it.
            names: of a long order, which are kept beside it.

        Raises:
            FullError: too much waits.
            NotWrittenError: it is not kept.
        """
        held = pending.kind == HELD
        everything = await self.waiting()
        if any(each.id == pending.id for each in everything):
            return
        waiting = [
            each
            for each in everything
            if (each.kind == HELD) == held
            and (not held or each.authority == pending.authority)
        ]
        if len(waiting) >= MOST_WAITING:
            what = f"revocations of {pending.authority}" if held else "acts"
            raise FullError(f"{MOST_WAITING} {what} wait: decide on them first")
        verb = "held" if held else "proposed"
        if names:
            await keep_parts(self._kept, pending, names)
        await self._note(actor, f"{verb} {pending.id}: {pending.summary}", pending)
        await self._kept.put(PENDING, pending.id, pending.dump())
        self.seen = (*self.seen, pending)

    async def waiting(self) -> list[Pending]:
        """Return the waiting acts that are not void, oldest first.

        Raises:
            NotWrittenError: that cannot be told now.
        """
        now = self._clock()
        return [each for each in await self._all() if not each.expired(now)]

    async def approve(
        self, identity: str, actor: str, person: str
    ) -> Approved | Scheduled | None:
        """Write an act that waits, or keep it for its time; None: there is none.

        Raises:
            UndecidedError: it cannot be written so, or the person proposed it.
            FullError: too many orders wait for their time.
            NotWrittenError: it is not written; it waits on.
        """
        async with self._deciding:
            pending = await self._one(identity)
            if pending is None:
                return None
            origin = self._origin(pending, actor)
            # What a source said was proposed by whoever has its credential.
            whose = self._persons.get(pending.credential, pending.person)
            for proposer in {pending.person, whose}:
                by = attrs.evolve(pending, person=proposer)
                by.check_approval(person, actor, origin.received_at)
            action = f"approved {identity}: {pending.summary}: {pending.reason}"
            if (pending.due_at or 0) > origin.received_at:
                order = attrs.evolve(pending, expires_at=None, approved=True)
                await self._note(actor, action, pending)
                await self.schedule.keep(order, actor)
                await self._settled(pending, names_too=False)
                return Scheduled(order)
            if pending.kept is not None:
                both = f"{pending.person} and {person}"
                decided = await self._decide(pending.kept, actor, both, action)
                await self._settled(pending)
                return Approved(decided)
            facts = await self._facts(pending, origin.received_at)
            written = await self._log.facts(facts, origin, actor=actor, action=action)
            # After a crash in between it can be approved again: the same facts.
            if written.dead_letters:
                text = "it does not fit the log's schema, and nothing is written"
                raise UndecidedError(f"{text}: reject it")
            await self._settled(pending)
            alone = facts[0] if len(facts) == 1 else None
            cause = fact_id(alone).hex() if isinstance(alone, Cause) else None
            return Approved(written, cause)

    async def _facts(self, pending: Pending, now: int) -> Sequence[Fact]:
        try:
            names = await in_turns(names_of(self._kept, pending))
        except IncompleteError as error:
            raise UndecidedError(str(error)) from error
        return await in_turns(pending.accepted(now, names))

    async def reject(self, identity: str, actor: str, reason: str) -> Pending | None:
        """Drop an act that waits; its proposer may, too. None: there is none.

        Raises:
            NotWrittenError: it waits on.
        """
        async with self._deciding:
            pending = await self._one(identity)
            if pending is not None:
                action = f"rejected {identity}: {pending.summary}: {reason}"
                await self._note(actor, action, pending)
                await self._settled(pending)
            return pending

    async def run(self) -> None:
        """Drop what nobody approved in time, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except NotWrittenError as error:
                log.warning("not_written", error=str(error))

    async def sweep(self) -> None:
        """Drop what nobody approved in time.

        Raises:
            NotWrittenError: not all of it could be.
        """
        async with self._deciding:
            now = self._clock()
            for each in await self._all():
                if each.expired(now):
                    await self._note(SYSTEM, f"expired {each.id}: {each.summary}", each)
                    await self._kept.forget(PENDING, each.id)
                    await self._forget_names(each)
            await sweep_parts(self._kept, now)

    async def _all(self) -> list[Pending]:
        await self._kept.catch_up()
        bodies = self._kept.items(PENDING)
        found = await in_turns(self._reading(bodies))
        found.sort(key=lambda each: (each.proposed_at, each.id))
        self.seen = tuple(found)
        return found

    def _reading(self, bodies: Mapping[str, bytes]) -> Steps[list[Pending]]:
        """Read what waits; a body that was read before is not read again."""
        read: dict[str, tuple[bytes, Pending | None]] = {}
        for name, body in bodies.items():
            yield
            known = self._read.get(name)
            if known is None or known[0] != body:
                known = body, _loaded(body)
            read[name] = known
        self._read = read
        found = [pending for _, pending in read.values() if pending is not None]
        return [each for each in found if not self._decided(each)]

    def _decided(self, pending: Pending) -> bool:
        """Whether it was approved and waits for its time: a crash left it here."""
        for_later = pending.due_at is not None
        return for_later and self._kept.get(SCHEDULE, pending.id) is not None

    async def _one(self, identity: str) -> Pending | None:
        found = [each for each in await self._all() if each.id == identity]
        return found[0] if found else None

    async def _settled(self, pending: Pending, *, names_too: bool = True) -> None:
        """Forget what was decided; the finding on what was held is over."""
        if pending.kind == HELD:
            origin = self._origin(pending, SYSTEM)
            signals = [over(each) for each in pending.facts]
            await tell(self._log, signals, origin)
        await self._kept.forget(PENDING, pending.id)
        if names_too:
            await self._forget_names(pending)
        self.seen = tuple(each for each in self.seen if each.id != pending.id)

    async def _forget_names(self, pending: Pending) -> None:
        for put in without(pending):
            await self._kept.forget(put.kind, put.name)

    async def _note(self, actor: str, action: str, pending: Pending) -> None:
        """Write an audit line on what is not done, or not yet."""
        ids = tuple(fact_id(each).hex() for each in pending.facts[:MOST_NAMED])
        at, realm = self._clock(), self._realm
        act = entries.Act(realm=realm, at=at, actor=actor, action=action, facts=ids)
        await self._log.record_act(act)

    def _origin(self, pending: Pending, actor: str) -> Origin:
        return Origin(
            authority=pending.authority,
            realm=self._realm,
            received_at=self._clock(),
            ingress_key=actor,
        )


def _loaded(body: bytes) -> Pending | None:
    try:
        return Pending.load(body)
    except ValueError as error:  # of another version; nobody can approve it
        log.warning("pending_not_read", error=str(error))
        return None

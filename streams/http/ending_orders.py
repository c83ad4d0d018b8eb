"""The orders that end or limit over HTTP: revoke, suspend, narrow, not-before.

201: it is in the log. 202: it waits for a second person or for its time, and nothing
has changed. One order may name many identifiers: then all of it is done or nothing.
"""

from __future__ import annotations

import http
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from attrs import define, evolve, field, frozen

from agents_registry.facts import fact_id
from enforcement.turns import in_turns
from streams.http.decisions import later, take, waits
from streams.http.problems import unreadable
from streams.model.times import rfc3339
from streams.services.blast_limit import held_to
from streams.stages.ingest.acts import ActError, OperatorAct
from streams.stages.ingest.approvals import Pending, Scheduled
from streams.stages.ingest.ending_orders import FIELDS, EndingOrder
from streams.stages.ingest.entitlement import OPERATORS
from streams.stages.ingest.order_names import calling, where_called

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.facts import Cause
    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Steps
    from streams.http.auth import CredentialHolder, Tokens
    from streams.http.events import Speakers
    from streams.http.operators import Operators
    from streams.services.approval_queue import ApprovalQueue
    from streams.services.blast_limit import BlastLimit
    from streams.services.intake import Acceptance
    from streams.services.plans import PlanClaim
    from streams.stages.ingest.ingress import Origin

NAMED: Final = frozenset({"identifier", "identifiers"})
MOST_TOLD: Final = 100  # names in an answer
NOBODY_KNOWS: Final = (
    "nothing is known of {} so far: it is denied from now on; is it spelt right?"
)


@frozen(kw_only=True)
class GivenOrder:
    """An order as it was read: what it writes, and nothing of it is written yet.

    Attributes:
        ending: what it does.
        names: on whom, as the logs call them.
        given: how many identifiers were given; one may have several names.
        origin: of the request.
        causes: that say it.
        act: for the audit, and for whoever has to approve it.
    """

    ending: EndingOrder
    names: Sequence[Identifier]
    given: int
    origin: Origin
    causes: tuple[Cause, ...]
    act: OperatorAct


@define(eq=False)
class EndingOrders:
    """Handlers of ``/v1/revocations``, ``suspensions``, ``narrowings``, ``not-before``.

    Attributes:
        tokens: who may give orders.
        operators: reads authorities and names.
        speakers: give the origin.
        desk: keeps what waits.
        limit: holds back what reaches too much.
    """

    _tokens: Tokens
    _operators: Operators
    _speakers: Speakers
    _desk: ApprovalQueue
    limit: BlastLimit | None = field(default=None, init=False)

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_post("/v1/revocations", self.revoke)
        app.router.add_post("/v1/suspensions", self.suspend)
        app.router.add_post("/v1/narrowings", self.narrow)
        app.router.add_post("/v1/not-before", self.not_before)

    async def revoke(self, request: web.Request) -> web.Response:
        """End identifiers and everything under them."""
        return await self._order("revoke", request)

    async def suspend(self, request: web.Request) -> web.Response:
        """Deny identifiers and everything under them until a lift, or until a time."""
        return await self._order("suspend", request)

    async def narrow(self, request: web.Request) -> web.Response:
        """Leave identifiers and everything under them some scopes alone."""
        return await self._order("narrow", request)

    async def not_before(self, request: web.Request) -> web.Response:
        """End what was issued under identifiers until a time."""
        return await self._order("not_before", request)

    async def given(
        self,
        act: str,
        body: dict[str, Any],
        entries: Sequence[Any],
        holder: CredentialHolder,
        claim: PlanClaim | None = None,
    ) -> GivenOrder:
        """Read an order, and write nothing of it.

        Args:
            act: of `streams.stages.ingest.ending_orders.EFFECTS`.
            body: its members but for those it names.
            entries: the identifiers that it names.
            holder: of the operator's credential.
            claim: on the plan that it applies: it is that order, of that time.

        Raises:
            ProblemError: 422, it cannot be used; 503, a vault does not answer.
        """
        unknown = set(body) - FIELDS[act]
        if unknown:
            raise unreadable(f"unknown fields: {', '.join(sorted(unknown))}")
        origin = self._speakers.origin(OPERATORS, holder.name)
        if claim is not None:
            origin = evolve(origin, received_at=claim.at)
        try:
            ending = EndingOrder.read(act, body, origin.received_at)
        except ActError as error:
            raise unreadable(str(error)) from error
        names, count = await self._meant(ending, entries)
        order = self._desk.fresh_id() if claim is None else claim.order
        causes = await in_turns(_causes(ending, names, origin, order, holder.name))
        if ending.where is not None:
            summary = ending.summary(where_called(ending.where))
        else:
            summary = ending.summary(await in_turns(calling(names)))
        act_of = OperatorAct(
            act, summary, ending.reason, causes, order=order, due_at=ending.due_at
        )
        return GivenOrder(
            ending=ending, names=names, given=count, origin=origin, causes=causes,
            act=act_of,
        )  # fmt: skip

    async def _meant(
        self, ending: EndingOrder, entries: Sequence[Any]
    ) -> tuple[tuple[Identifier, ...], int]:
        """Targets of an order, and how many identifiers were given."""
        if ending.where is None:
            return await self._operators.all_named(entries)
        self._operators.check_selector(ending.where)
        target = ending.where.cause_parts()[0]
        # A plan gives what it was told that its order ends.
        if any(entry not in (None, str(target)) for entry in entries):
            raise unreadable("give where or identifiers, and not both")
        return (target,), 1

    async def _order(self, act: str, request: web.Request) -> web.Response:
        holder = self._tokens.holder(request, "revoker")
        body, entries = await self._operators.opened_order(request, holder)
        return await self.place(await self.given(act, body, entries, holder), holder)

    async def place(
        self, order: GivenOrder, holder: CredentialHolder, note: str = ""
    ) -> web.Response:
        """Have an order carried out: at once, at its time, or by a second person.

        Args:
            order: as it was read.
            holder: who gives it.
            note: what the audit line says behind what is done.
        """
        where = order.ending.where
        named = order.names if where is None else (*where.labels, *where.owners)
        nobody_knows = await in_turns(self._unknown(named))
        done = evolve(order.act, summary=order.act.summary + note)
        done, signals = await held_to(self.limit, done, order.origin, order.given - 1)
        taken = await take(self._desk, done, order.origin, holder)
        await self._operators.tell(signals)
        if isinstance(taken, Scheduled):
            return later(taken.order)
        if isinstance(taken, Pending):
            return waits(taken)
        effects = await in_turns(_effects(order.causes))
        ids = await in_turns(_ids(order.causes))
        return _written(order, taken, nobody_knows, effects, ids)

    def _unknown(self, names: Sequence[Identifier]) -> Steps[list[str] | None]:
        """Return the identifiers without any fact; None where there is no table."""
        found = []
        for name in names:
            yield
            known = self._operators.known(name)
            if known is None:
                return None
            if not known:
                found.append(str(name))
        return found


def followed(order: GivenOrder) -> str:
    """Id of the revocation by which an order is followed.

    Whoever waits for the last of many waits for all.
    """
    causes = order.causes
    return fact_id(causes[-1] if order.given > 1 else causes[0]).hex()


def _causes(
    ending: EndingOrder,
    names: Sequence[Identifier],
    origin: Origin,
    order: str,
    actor: str,
) -> Steps[tuple[Cause, ...]]:
    causes = []
    for number, name in enumerate(names, 1):
        yield
        causes.append(ending.cause(name, origin, f"{order}/{number}", actor))
    return tuple(causes)


def _effects(causes: Sequence[Cause]) -> Steps[Counter[str]]:
    found: Counter[str] = Counter()
    for cause in causes:
        yield
        found[cause.effect.value] += 1
    return found


def _ids(causes: Sequence[Cause]) -> Steps[list[str]]:
    found = []
    for cause in causes:
        yield
        found.append(fact_id(cause).hex())
    return found


def _written(
    order: GivenOrder,
    receipt: Acceptance,
    nobody_knows: list[str] | None,
    effects: Counter[str],
    ids: list[str],
) -> web.Response:
    causes, ending = order.causes, order.ending
    answer: dict[str, Any] = {
        "id": followed(order),
        "ids": ids,
        "identifiers": [str(name) for name in order.names[:MOST_TOLD]],
        "count": len(order.names),
        "effect": causes[0].effect.value,
        "effects": effects,
        "at": rfc3339(ending.at),
        "until": rfc3339(ending.until),
        **({} if ending.where is None else {"where": ending.where.text()}),
        "summary": order.act.summary,
        "token": receipt.token,
        "unknown": None if nobody_knows is None else nobody_knows[:MOST_TOLD],
    }
    if nobody_knows:
        shown = ", ".join(nobody_knows[:3])
        more = len(nobody_knows) - 3
        shown += f" and {more} more" if more > 0 else ""
        answer["detail"] = NOBODY_KNOWS.format(shown)
    return web.json_response(answer, status=http.HTTPStatus.CREATED)

"""Plans: what an act of an operator would reach, and the act as it was seen.

``POST /v1/plans`` takes the body of the act and its name, and writes no fact.
``POST /v1/plans/{id}/apply`` orders it, as who asks for it, unless something changed.
"""

from __future__ import annotations

import base64
import http
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from aiohttp import web
from attrs import define, field, frozen

from streams.http.bodies import json_object
from streams.http.ending_orders import followed
from streams.http.problems import (
    ProblemError,
    not_found,
    not_implemented,
    too_many,
    unreadable,
)
from streams.model.times import rfc3339
from streams.services.approval_queue import FullError
from streams.services.intake import NotWrittenError
from streams.services.plans import KeptPlans, LostPartError, Plan
from streams.stages.ingest.acts import MAX_REASON
from streams.stages.ingest.ending_orders import EFFECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents_registry.facts import Cause
    from streams.http.auth import CredentialHolder, Tokens
    from streams.http.ending_orders import EndingOrders, GivenOrder
    from streams.http.operators import Operators

FIRST: Final = 50  # names that are listed
MOST_FIRST: Final = 1000
SHOWN: Final = 100  # names that an order was given
ACCEPTED: Final = (http.HTTPStatus.CREATED, http.HTTPStatus.ACCEPTED)
NO_TABLE: Final = "name the workers, which have it, in peers.workers of the settings"
TABLE: Final = "table"  # what may be incomplete; the rest ends nothing
UNDER_WAY: Final = "somebody applies it now: look at the plan"
_ANYWAY: Final = "plan it anew, or apply it anyway"

log = structlog.get_logger()


@frozen
class ReachQuestion:
    """What is asked of a table.

    Attributes:
        causes: of the act.
        first: how many names are listed.
        at_least: token that the table has to have reached.
        seen: prints that a plan saw; None: it is made now.
    """

    causes: Sequence[Cause]
    first: int
    at_least: str
    seen: bytes | None = None


class ReachSource(Protocol):
    """Asks the table of the realm what an act would reach."""

    async def __call__(
        self, request: web.Request, question: ReachQuestion
    ) -> dict[str, Any]:
        """Find it: ``reach``, ``as_of``, ``members``, ``changes``, ``incomplete``.

        Args:
            request: whose caller asks.
            question: about which act.

        Raises:
            ProblemError: nobody can tell now.
        """


@define(eq=False)
class Plans:
    """Handlers of plans.

    Attributes:
        tokens: who may give orders.
        operators: reads bodies.
        endings: reads orders, and carries them out.
        plans: keeps them.
        clock: gives the time (ns).
        written: gives the token of all that this process wrote.
        fresh_id: gives unique ids.
        reach: asks the table; None: there is none.
    """

    _tokens: Tokens
    _operators: Operators
    _endings: EndingOrders
    _plans: KeptPlans
    _clock: Callable[[], int]
    _written: Callable[[], str]
    _fresh_id: Callable[[], str]
    reach: ReachSource | None = field(default=None, init=False)
    _under_way: set[str] = field(factory=set, init=False)

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_post("/v1/plans", self.make)
        app.router.add_get("/v1/plans/{id}", self.show, allow_head=False)
        app.router.add_post("/v1/plans/{id}/apply", self.apply)

    async def make(self, request: web.Request) -> web.Response:
        """Look what an act would reach, and keep that for a day."""
        holder = self._tokens.holder(request, "revoker")
        body, entries = await self._operators.opened_order(request, holder)
        act, first = body.pop("act", None), body.pop("first", FIRST)
        if not isinstance(act, str) or act not in EFFECTS:
            raise unreadable(f"act is one of {', '.join(EFFECTS)}")
        if type(first) is not int or not 0 <= first <= MOST_FIRST:
            raise unreadable(f"first is a number from 0 to {MOST_FIRST}")
        order = await self._endings.given(act, body, entries, holder)
        question = ReachQuestion(order.causes, first, self._written())
        found = await self._asked(request, question)
        plan = self._plan_of(act, body, order, found, holder)
        names = [str(name) for name in order.names]
        members = base64.b64decode(found["members"])
        try:
            plan = await self._plans.keep(plan, names, members)
        except FullError as error:
            raise too_many("too many plans", str(error)) from error
        return web.json_response(shown(plan, names), status=http.HTTPStatus.CREATED)

    def _plan_of(
        self,
        act: str,
        body: dict[str, Any],
        order: GivenOrder,
        found: Mapping[str, Any],
        holder: CredentialHolder,
    ) -> Plan:
        identity, until = self._plans.fresh_id(self._fresh_id())
        return Plan(
            id=identity,
            act=act,
            order=body,
            summary=order.act.summary,
            by=holder.name,
            made_at=self._clock(),
            expires_at=until,
            as_of=found["as_of"],
            reach=found["reach"] | {"incomplete": found["incomplete"]},
        )

    async def show(self, request: web.Request) -> web.Response:
        """Show a plan as it was seen."""
        self._tokens.holder(request, "viewer", "revoker", "restorer")
        plan = await self._plan(request)
        return web.json_response(shown(plan, self._names(plan)))

    async def apply(self, request: web.Request) -> web.Response:
        """Order what was planned, unless something changed since."""
        holder = self._tokens.holder(request, "revoker")
        anyway, reason = _given(await json_object(request, holder))
        identity = request.match_info["id"]
        if identity in self._under_way:
            raise _conflict("under way", UNDER_WAY)
        self._under_way.add(identity)
        try:
            return await self._applied(request, holder, reason, anyway=anyway)
        finally:
            self._under_way.discard(identity)

    async def _applied(
        self,
        request: web.Request,
        holder: CredentialHolder,
        reason: str | None,
        *,
        anyway: bool,
    ) -> web.Response:
        plan = await self._unapplied(request)
        identity = self._fresh_id()
        claim = await self._plans.claim(plan, identity)
        if claim is None:
            raise _conflict("under way", UNDER_WAY)
        try:
            plan = await self._unapplied(request)  # not by who had claimed it either
            body = plan.order if reason is None else plan.order | {"reason": reason}
            order = await self._endings.given(
                plan.act, dict(body), self._names(plan), holder, claim
            )
            _check_effect(order, self._clock())
            if not anyway:
                await self._assert_unchanged(request, plan, order.causes)
        except BaseException:
            if claim.order == identity:  # else something of it may be written
                with suppress(NotWrittenError):  # then it is so after a while
                    await self._plans.release(plan)
            raise
        note = f", as of plan {plan.id}" + (
            ", whatever changed since" if anyway else ""
        )
        if order.ending.due_at is not None and not anyway:
            note += ", as it was when it was scheduled"
        response = await self._endings.place(order, holder, note)
        if response.status in ACCEPTED:
            applied = {"by": holder.name, "at": rfc3339(self._clock())}
            if response.status == http.HTTPStatus.CREATED:
                applied["id"] = followed(order)
            try:
                await self._plans.note_applied(plan, applied)
            except NotWrittenError as error:  # it is ordered all the same
                log.warning("not_written", error=str(error))
        return response

    async def _assert_unchanged(
        self, request: web.Request, plan: Plan, causes: Sequence[Cause]
    ) -> None:
        """Refuse what is not as it was seen.

        Raises:
            ProblemError: 409, with what changed.
        """
        try:
            seen = self._plans.members(plan)
        except LostPartError as error:
            raise _conflict("incomplete plan", f"a part is lost: {_ANYWAY}") from error
        unread = _unread(plan.reach["incomplete"])
        if unread:
            detail = f"this plan did not see everything: {_ANYWAY}"
            raise _conflict("incomplete plan", detail, incomplete=unread)
        question = ReachQuestion(causes, 0, self._written(), seen)
        found = await self._asked(request, question)
        unread = _unread(found["incomplete"])
        if unread:
            detail = f"whether something changed since is not known: {_ANYWAY}"
            raise _conflict("not known", detail, incomplete=unread)
        changes = found["changes"]
        if changes["changed"]:
            added, removed = changes["added"]["total"], changes["removed"]["total"]
            detail = (
                f"{added:,} more would end, {removed:,} no longer "
                f"(planned at {rfc3339(plan.made_at)}): {_ANYWAY}"
            )
            raise _conflict("changed since the plan", detail, changes=changes)

    async def _asked(
        self, request: web.Request, question: ReachQuestion
    ) -> dict[str, Any]:
        if self.reach is None:
            raise not_implemented("no table", NO_TABLE)
        return await self.reach(request, question)

    async def _plan(self, request: web.Request) -> Plan:
        plan = await self._plans.find(request.match_info["id"])
        if plan is None:
            raise not_found("no such plan", "plans are kept for a day: plan it anew")
        if plan.expires_at <= self._clock():
            detail = f"it was void from {rfc3339(plan.expires_at)} on: plan it anew"
            raise ProblemError(http.HTTPStatus.GONE, "plan is void", detail)
        return plan

    async def _unapplied(self, request: web.Request) -> Plan:
        plan = await self._plan(request)
        if plan.applied is not None:
            raise _conflict("applied already", "plan it anew", applied=plan.applied)
        return plan

    def _names(self, plan: Plan) -> list[str]:
        try:
            return self._plans.names(plan)
        except LostPartError as error:
            detail = "the names that it was given are lost: plan it anew"
            raise not_found("no such plan", detail) from error


def shown(plan: Plan, names: Sequence[str]) -> dict[str, Any]:
    """Plan as an answer shows it."""
    return {
        "id": plan.id,
        "act": plan.act,
        "order": plan.order,
        "identifiers": [*names[:SHOWN]],
        "count": len(names),
        "summary": plan.summary,
        "planned_by": plan.by,
        "planned_at": rfc3339(plan.made_at),
        "expires_at": rfc3339(plan.expires_at),
        "as_of": plan.as_of,
        **plan.reach,
        "applied": plan.applied,
    }


def _unread(incomplete: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for each in incomplete if each["of"] == TABLE]


def _given(body: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Read whether changes are to be ignored, and a reason in place of the plan's."""
    unknown = set(body) - {"anyway", "reason"}
    if unknown:
        raise unreadable(f"unknown fields: {', '.join(sorted(unknown))}")
    anyway, reason = body.get("anyway", False), body.get("reason")
    if not isinstance(anyway, bool):
        raise unreadable("anyway is true or false")
    if reason is not None and (not isinstance(reason, str) or len(reason) > MAX_REASON):
        raise unreadable(f"reason is a text of at most {MAX_REASON} characters")
    return anyway, reason


def _check_effect(order: GivenOrder, now: int) -> None:
    """Refuse what would have ended by itself by now: nobody is to rely on it.

    Raises:
        ProblemError: 409.
    """
    until = order.ending.until
    if until is not None and until <= now:
        detail = f"it would have ended at {rfc3339(until)}: plan it anew"
        raise _conflict("no effect", detail)


def _conflict(title: str, detail: str, **more: Any) -> ProblemError:
    return ProblemError(http.HTTPStatus.CONFLICT, title, detail, **more)

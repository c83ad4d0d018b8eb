"""The grants of operators over HTTP: lift, withdraw, distrust, owners; and approvals.

Each needs the role restorer and a reason. 201: it is in the log. 202: it waits for a
second person, and nothing has changed.
"""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from attrs import define

from enforcement.turns import in_turns
from streams.http.bodies import json_object
from streams.http.decisions import later, shown, take, waits, written
from streams.http.problems import ProblemError, not_found, too_many, unreadable
from streams.http.unknown_targets import unknown_in
from streams.services.approval_queue import FullError
from streams.services.blast_limit import held_to
from streams.stages.ingest import acts
from streams.stages.ingest.approvals import Pending, Scheduled, UndecidedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Steps
    from streams.http.auth import CredentialHolder, Tokens
    from streams.http.operators import Operators
    from streams.services.approval_queue import ApprovalQueue
    from streams.stages.ingest.acts import OperatorAct
    from streams.stages.ingest.ingress import Origin

NAMED: Final = {"identifier", "reason"}
LIFTS: Final = frozenset({"reason", "aspect", "authority", "at", "where"})
LABELS: Final = frozenset({"reason", "labels", "authority"})


@define(eq=False)
class Acts:
    """Handlers of the grants, and of what waits for a second person.

    Attributes:
        tokens: who may give orders.
        operators: reads authorities and names.
        desk: takes the acts.
    """

    _tokens: Tokens
    _operators: Operators
    _desk: ApprovalQueue

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_post("/v1/lifts", self.lift)
        app.router.add_post("/v1/withdrawals", self.withdraw)
        app.router.add_post("/v1/distrusts", self.distrust)
        app.router.add_post("/v1/owners", self.owners)
        app.router.add_post("/v1/labels", self.labels)
        app.router.add_get("/v1/approvals", self.approvals, allow_head=False)
        app.router.add_post("/v1/approvals/{id}/approve", self.approve)
        app.router.add_post("/v1/approvals/{id}/reject", self.reject)

    async def lift(self, request: web.Request) -> web.Response:
        """End a suspend or narrow."""
        holder = self._tokens.holder(request, "restorer")
        body, entries = await self._operators.opened_order(request, holder)
        _check_fields(body, LIFTS)
        origin = self._operators.origin_as(body.get("authority"), holder)
        names: tuple[Identifier, ...] = ()
        if body.get("where") is None:
            names, _ = await self._operators.all_named(entries)
        elif entries != [None]:
            raise unreadable("give where or identifiers, and not both")
        return await self._made(acts.lifting, (body, origin, self._id(), names), holder)

    async def labels(self, request: web.Request) -> web.Response:
        """Say which labels something carries."""
        holder = self._tokens.holder(request, "restorer")
        body, entries = await self._operators.opened_order(request, holder)
        _check_fields(body, LABELS)
        origin = self._operators.origin_as(body.get("authority"), holder)
        names, _ = await self._operators.all_named(entries)
        given = (body, origin, self._id(), names)
        return await self._made(acts.labelling, given, holder)

    async def _made(
        self,
        make: Callable[..., Steps[OperatorAct]],
        given: tuple[Any, ...],
        holder: CredentialHolder,
    ) -> web.Response:
        try:
            act = await in_turns(make(*given))
        except acts.ActError as error:
            raise unreadable(str(error)) from error
        return await self._write(act, given[1], holder)

    async def withdraw(self, request: web.Request) -> web.Response:
        """Take one fact back."""
        holder, body = await self._body(request, NAMED | {"fact", "kind"})
        origin = self._operators.origin_as(None, holder)
        names = await self._names(body)
        given = (body, origin, self._id(), names)
        return await self._take(acts.withdraw, given, holder)

    async def distrust(self, request: web.Request) -> web.Response:
        """Take back all that a stolen key said."""
        fields = {"suspect", "key", "from", "to", "reason"}
        holder, body = await self._body(request, fields)
        origin = self._operators.origin_as(None, holder)
        return await self._take(acts.distrust, (body, origin, self._id()), holder)

    async def owners(self, request: web.Request) -> web.Response:
        """Say who owns something."""
        holder, body = await self._body(request, NAMED | {"owners", "authority"})
        origin = self._operators.origin_as(body.get("authority"), holder)
        names = await self._names(body)
        given = (body, origin, self._id(), names, self._operators.identifier)
        return await self._take(acts.owners, given, holder)

    async def approvals(self, request: web.Request) -> web.Response:
        """List what waits for a second person."""
        self._tokens.holder(request, "viewer", "revoker", "restorer")
        waiting = await self._desk.waiting()
        return web.json_response({"approvals": [shown(each) for each in waiting]})

    async def approve(self, request: web.Request) -> web.Response:
        """Write what another person proposed."""
        holder = self._tokens.holder(request, "restorer")
        identity = request.match_info["id"]
        try:
            receipt = await self._desk.approve(identity, holder.name, holder.person)
        except UndecidedError as error:
            gone, forbidden = http.HTTPStatus.GONE, http.HTTPStatus.FORBIDDEN
            status = gone if error.expired else forbidden
            raise ProblemError(status, "not approved", str(error)) from error
        except FullError as error:
            raise too_many("too many wait", str(error)) from error
        if receipt is None:
            raise _no_such()
        if isinstance(receipt, Scheduled):
            return later(receipt.order)
        facts, token = receipt.receipt.facts, receipt.receipt.token
        more = {} if receipt.cause is None else {"revocation": receipt.cause}
        return written(facts, token, id=identity, **more)

    async def reject(self, request: web.Request) -> web.Response:
        """Drop what waits; nothing of it is written."""
        holder, body = await self._body(request, {"reason"})
        reason = _reason(body)
        identity = request.match_info["id"]
        pending = await self._desk.reject(identity, holder.name, reason)
        if pending is None:
            raise _no_such()
        return web.json_response({"id": identity, "rejected": pending.summary})

    async def _body(
        self, request: web.Request, fields: set[str]
    ) -> tuple[CredentialHolder, dict[str, Any]]:
        holder = self._tokens.holder(request, "restorer")
        body = await json_object(request, holder, named=True)
        _check_fields(body, fields)
        return holder, body

    def _id(self) -> str:
        return self._desk.fresh_id()

    async def _names(self, body: Mapping[str, Any]) -> tuple[Identifier, ...]:
        return await self._operators.named(body.get("identifier"))

    async def _take(
        self,
        make: Callable[..., OperatorAct],
        given: tuple[Any, ...],
        holder: CredentialHolder,
    ) -> web.Response:
        origin: Origin = given[1]
        try:
            act = make(*given)
        except acts.ActError as error:
            raise unreadable(str(error)) from error
        return await self._write(act, origin, holder)

    async def _write(
        self, act: OperatorAct, origin: Origin, holder: CredentialHolder
    ) -> web.Response:
        await self._operators.check_entitled(act.facts, origin)
        by = self._operators
        unknown = await unknown_in(act, by.known, by.logged, by.authorities)
        act, signals = await held_to(by.limit, act, origin)
        taken = await take(self._desk, act, origin, holder)
        await by.tell(signals)
        if isinstance(taken, Scheduled):
            return later(taken.order)
        if isinstance(taken, Pending):
            return waits(taken)
        return written(taken.facts, taken.token, summary=act.summary, **unknown)


def _check_fields(body: Mapping[str, Any], fields: Collection[str]) -> None:
    unknown = set(body) - {*fields}
    if unknown:
        raise unreadable(f"unknown fields: {', '.join(sorted(unknown))}")


def _reason(body: Mapping[str, Any]) -> str:
    try:
        return acts.reason_of(body)
    except acts.ActError as error:
        raise unreadable(str(error)) from error


def _no_such() -> ProblemError:
    detail = "it was decided, is void, or never was: list what waits"
    return not_found("nothing waits", detail)

"""Orders that wait for their time over HTTP: listed and cancelled."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import define

from streams.http.bodies import json_object
from streams.http.decisions import shown
from streams.http.problems import ProblemError, forbidden, not_found, unreadable
from streams.services.schedule import TooLateError
from streams.stages.ingest.acts import ActError, reason_of

if TYPE_CHECKING:
    from streams.http.auth import Tokens
    from streams.services.schedule import Schedule


@define(eq=False)
class ScheduledOrders:
    """Handlers of ``/v1/schedule``.

    Attributes:
        tokens: who may ask and cancel.
        schedule: keeps the orders.
        realm: of this server.
    """

    _tokens: Tokens
    _schedule: Schedule
    _realm: str

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/v1/schedule", self.list, allow_head=False)
        app.router.add_post("/v1/schedule/{id}/cancel", self.cancel)

    async def list(self, request: web.Request) -> web.Response:
        """List what waits for its time, the next one first."""
        self._tokens.holder(request, "viewer", "revoker", "restorer")
        waiting = await self._schedule.waiting()
        return web.json_response({"schedule": [shown(each) for each in waiting]})

    async def cancel(self, request: web.Request) -> web.Response:
        """Drop an order; whoever only revokes drops none of another person."""
        holder = self._tokens.holder(request, "revoker", "restorer")
        body = await json_object(request, holder)
        if set(body) - {"reason"}:
            raise unreadable("the body has a reason and nothing else")
        try:
            reason = reason_of(body)
        except ActError as error:
            raise unreadable(str(error)) from error
        identity = request.match_info["id"]
        restores = holder.may(self._realm, "restorer")
        for each in await self._schedule.waiting():
            if each.id == identity and not restores and each.person != holder.person:
                detail = f"it was ordered by {each.person}: a restorer may cancel it"
                raise forbidden("another person's order", detail)
        try:
            order = await self._schedule.cancel(identity, holder.name, reason)
        except TooLateError as error:
            raise ProblemError(
                http.HTTPStatus.CONFLICT, "too late", str(error)
            ) from error
        if order is None:
            detail = (
                "it was carried out, was cancelled, or never was: list the schedule"
            )
            raise not_found("nothing is scheduled", detail)
        return web.json_response({"id": identity, "cancelled": order.summary})

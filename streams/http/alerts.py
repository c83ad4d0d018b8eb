"""Receivers of alerts: how they are, tests of them, and what was given up, again."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web
from attrs import define

from schemas.entries import Act
from streams.http.answers import json_answer
from streams.http.bodies import json_object
from streams.http.problems import not_found, unreadable
from streams.model.times import rfc3339
from streams.process.aside import Aside, here
from streams.stages.notify.deliveries import (
    Activity,
    AttemptOutcome,
    Delivery,
    LastAttempts,
    ReceiverRoute,
)
from streams.stages.notify.trial import trial

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from streams.http.auth import Tokens
    from streams.stages.notify.state import Buried, DeliveryState


class AlertDelivery(Protocol):
    """What delivers: the engine's own, embedded or on Kafka."""

    state: DeliveryState
    routes: tuple[ReceiverRoute, ...]
    last: dict[str, LastAttempts]
    post: Callable[[Delivery], Awaitable[AttemptOutcome]]

    async def buried(self) -> list[Buried]:
        """Messages given up that have not arrived since."""

    async def replay(self, route: str | None) -> int:
        """Deliver it anew, of one route or of all; give how many."""


@define(eq=False)
class Alerts:
    """Handlers of ``/v1/alerts``.

    Attributes:
        record_act: keeps who ordered what.
        aside: gets to the desk.
    """

    _tokens: Tokens
    _desk: AlertDelivery
    _realm: str
    _clock: Callable[[], int]
    _record_act: Callable[[Act], Awaitable[None]]
    _aside: Aside = here

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get("/v1/alerts", self.list)
        app.router.add_post("/v1/alerts/test", self.test)
        app.router.add_post("/v1/alerts/replay", self.replay)

    async def list(self, request: web.Request) -> web.Response:
        """Say how each receiver is, and list what was given up."""
        holder = self._tokens.holder(request, "viewer", "revoker")

        async def told() -> web.Response:
            # What delivers on Kafka does so for all realms.
            buried = [
                each
                for each in await self._desk.buried()
                if holder.may(each.delivery.finding.realm, "viewer", "revoker")
            ]
            return self._list(buried)

        return await self._aside(told)

    def _list(self, buried: Sequence[Buried]) -> web.Response:
        state, now = self._desk.state, self._clock()
        return json_answer({
            "endpoints": [
                {
                    "name": route.name,
                    "minimum_severity": int(route.minimum),
                    "waiting": len(state.queue(route.name)),
                    "failing": state.queue(route.name).failing,
                    "dead": sum(e.delivery.route == route.name for e in buried),
                    "disabled": rfc3339(state.disabled.get(route.name)),
                    "paused": rfc3339(_later(state.paused.get(route.name, 0), now)),
                    **_last(self._desk.last.get(route.name, LastAttempts())),
                }
                for route in self._desk.routes
            ],
            "dead_letters": [_told(each) for each in buried],
        })  # fmt: skip

    async def test(self, request: web.Request) -> web.Response:
        """Send a test, and its end, to one receiver or to all; say how that went."""
        names = await self._wanted(request, "test")
        by = self._tokens.holder(request, "restorer").name
        outcomes = await asyncio.gather(*(self._try(name, by) for name in names))
        return json_answer({"endpoints": list(outcomes)})

    async def replay(self, request: web.Request) -> web.Response:
        """Deliver anew what was given up, to one receiver or to all."""
        names = await self._wanted(request, "replay")
        count = 0
        for name in names:
            replay = functools.partial(self._desk.replay, name)
            count += await self._aside(replay)
        return json_answer({"replayed": count})

    async def _wanted(self, request: web.Request, order: str) -> Sequence[str]:
        """Names of the receivers that a restorer means, once the act is kept."""
        token = self._tokens.holder(request, "restorer")
        body = await json_object(request, token)
        name = body.get("endpoint")
        if set(body) - {"endpoint"} or not (name is None or isinstance(name, str)):
            raise unreadable('write {"endpoint": NAME}, or {} for all of them')
        known = [route.name for route in self._desk.routes]
        if name is not None and name not in known:
            detail = f"the receivers are: {', '.join(known) or 'none'}"
            raise not_found("unknown endpoint", detail)
        names = known if name is None else [name]
        action = f"alerts {order}: {', '.join(names) or 'no receivers'}"
        act = Act(realm=self._realm, at=self._clock(), actor=token.name, action=action)
        await self._record_act(act)
        return names

    async def _post(self, delivery: Delivery) -> AttemptOutcome:
        return await self._desk.post(delivery)

    async def _try(self, name: str, by: str) -> dict[str, Any]:
        now = self._clock()

        async def send(activity: Activity) -> AttemptOutcome:
            delivery = trial(name, self._realm, activity, now, by)
            return await self._aside(lambda: self._post(delivery))

        outcome = await send(Activity.CREATE)
        if outcome.accepted:
            # Its end too, so that a test leaves no incident behind.
            outcome = await send(Activity.CLOSE)
        return {
            "name": name,
            "accepted": outcome.accepted,
            "status": outcome.status,
            "error": outcome.error,
        }


def _told(buried: Buried) -> dict[str, Any]:
    delivery = buried.delivery
    return {
        "id": delivery.id,
        "endpoint": delivery.route,
        "at": rfc3339(buried.at),
        "reason": buried.reason,
        "finding": delivery.finding.id,
        "kind": delivery.finding.kind.value,
        "severity": int(delivery.finding.severity),
        "identifier": str(delivery.finding.presented),
    }


def _last(known: LastAttempts) -> dict[str, Any]:
    return {
        "last_delivered": rfc3339(known.delivered),
        "last_error": known.error or None,
        "last_error_at": rfc3339(known.failed),
    }


def _later(time: int, now: int) -> int | None:
    return time if time > now else None

"""Who enforces, and which revocations are proven to be enforced everywhere."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from streams.engine.closure_rows import seconds_between
from streams.http.problems import ProblemError
from streams.stages.closure import Mode, State
from streams.times import SECOND, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.engine.closure_rows import Result
    from streams.engine.closures import Closures
    from streams.http.auth import Tokens
    from streams.http.feed import Feed
    from streams.stages.closure import Member

MILLISECOND = 1_000_000


class Guards:
    """Handlers of ``/v1/guards`` and ``/v1/revocations/{id}``."""

    def __init__(
        self,
        tokens: Tokens,
        closures: Closures,
        feed: Feed,
        boottime: Callable[[], int],
    ) -> None:
        """Answer from closure and feed; ``boottime`` is closure's clock."""
        self._tokens = tokens
        self._closures = closures
        self._feed = feed
        self._boottime = boottime

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get("/v1/guards", self.guards)
        app.router.add_delete("/v1/guards/{name}", self.remove)
        app.router.add_get("/v1/revocations/{id}", self.revocation)

    async def guards(self, request: web.Request) -> web.Response:
        """List the guards; those that send no receipts have no mode here."""
        self._tokens.holder(request, "viewer", "revoker")
        known = self._closures.closure.guards
        now = self._boottime()
        rows = [self._row(name, known[name], now) for name in sorted(known)]
        rows += [
            {"guard": name, "standing": "unknown", "connected": True}
            for name in self._subscribers()
        ]
        return _json({"guards": rows, "end": self._feed.end})

    async def remove(self, request: web.Request) -> web.Response:
        """Let a guard go that will not come back; revocations wait for it no more."""
        token = self._tokens.holder(request, "restorer")
        name = request.match_info["name"]
        if not await self._closures.roll.remove(name, token.name):
            raise ProblemError(http.HTTPStatus.NOT_FOUND, "no such guard")
        return _json({"removed": name})

    async def revocation(self, request: web.Request) -> web.Response:
        """Say which guards enforce a revocation, by the id that its answer gave."""
        self._tokens.holder(request, "viewer", "revoker")
        result = await self._closures.result(request.match_info["id"])
        if result is None:
            raise ProblemError(http.HTTPStatus.NOT_FOUND, "no such revocation")
        return _json(self._told(result))

    def _told(self, result: Result) -> dict[str, Any]:
        cause, outcome = result.cause, result.outcome
        settled = outcome.state in (State.CLOSED, State.UNKNOWN)
        deadline = cause.accepted_at + round(self._closures.deadline * SECOND)
        took = seconds_between(cause.accepted_at, result.settled_at)
        return {
            "id": cause.id,
            "identifier": cause.target,
            "effect": cause.effect,
            "state": outcome.state.value,
            "accepted_at": rfc3339(cause.accepted_at),
            "deadline": rfc3339(deadline),
            "closed_at": rfc3339(result.settled_at) if settled else None,
            "seconds": took if settled else None,
            "applied": outcome.applied,
            "fenced": list(outcome.fenced),
            "laggards": list(outcome.laggards),
            "left": outcome.left,
            "observing": sorted(
                name
                for name, each in self._closures.closure.guards.items()
                if each.terms.mode is Mode.OBSERVE
            ),
            "unknown": self._subscribers(),
        }

    def _row(self, name: str, member: Member, now: int) -> dict[str, Any]:
        connected = {each.guard for each in self._feed.connections}
        terms = member.terms
        return {
            "guard": name,
            "mode": terms.mode.value,
            "lease_ms": terms.lease // MILLISECOND,
            "live_sessions": terms.live_sessions,
            "routes": list(terms.routes),
            "applied": member.applied,
            "behind": max(0, self._feed.end - member.applied),
            "heard_ms_ago": (now - member.heard) // MILLISECOND,
            "standing": "heard" if member.is_heard(now) else "silent",
            "connected": name in connected,
        }

    def _subscribers(self) -> list[str]:
        """Name those that are fed and send no receipts."""
        return sorted(
            {each.guard for each in self._feed.connections if each.session is None}
        )


def _json(document: Any) -> web.Response:
    body = orjson.dumps(document)
    return web.Response(body=body, content_type="application/json")

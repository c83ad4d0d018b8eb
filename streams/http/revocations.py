"""Revocations over HTTP: which there were, and how far each one is enforced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from attrs import define

from streams.http.answers import json_answer
from streams.http.problems import not_found, unreadable
from streams.http.query_values import number_of
from streams.model.times import SECOND, rfc3339
from streams.stages.closure.closure import GuardMode, ProofState
from streams.stages.closure.results import seconds_between

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.http.auth import Tokens
    from streams.http.guards import Enforcement
    from streams.settings.access import Role
    from streams.stages.closure.results import Result

READERS: Final[tuple[Role, ...]] = ("viewer", "revoker", "restorer")
LISTED: Final = 50
MOST: Final = 1000
OPEN: Final = "open"
POINTS: Final = 200  # of a curve
SLOWEST: Final = 20
_SETTLED: Final = (ProofState.CLOSED, ProofState.UNKNOWN)


@define(eq=False)
class Revocations:
    """Handlers of ``GET /v1/revocations`` and ``/v1/revocations/{id}``.

    Attributes:
        tokens: let callers in.
        enforcement: of a realm; see `streams.http.guards.Guards`.
        boottime: closure's clock.
        clock: gives the time (ns).
    """

    _tokens: Tokens
    _enforcement: Callable[[str | None], Enforcement]
    _boottime: Callable[[], int]
    _clock: Callable[[], int]

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get("/v1/revocations", self.list, allow_head=False)
        app.router.add_get("/v1/revocations/{id}", self.show)

    async def list(self, request: web.Request) -> web.Response:
        """List revocations, the newest first; ``?before=`` goes on."""
        self._tokens.holder(request, *READERS, any_realm=True)
        of = self._of(request)
        limit = number_of(request, "limit", LISTED)
        if not 0 < limit <= MOST:
            raise unreadable(f"limit is a number from 1 to {MOST}")
        state = request.query.get("state")
        if state not in (None, OPEN):
            raise unreadable("state is open, for what is not closed yet")
        before = number_of(request, "before", 0) if "before" in request.query else None
        found = await of.latest(before, limit, is_open=state == OPEN)
        last = found[-1].cause.offset if len(found) == limit else None
        rows = [_row(each, of.deadline) for each in found]
        return json_answer({"revocations": rows, "before": last, "whole": of.whole})

    async def show(self, request: web.Request) -> web.Response:
        """Say which guards enforce a revocation, by the id that its answer gave."""
        self._tokens.holder(request, *READERS, any_realm=True)
        of = self._of(request)
        result = await of.result(request.match_info["id"])
        if result is None:
            detail = "no revocation has this id: it is `id` in the answer to one"
            raise not_found("no such revocation", detail)
        return json_answer(self._told(result, of))

    def _of(self, request: web.Request) -> Enforcement:
        return self._enforcement(request.query.get("realm"))

    def _told(self, result: Result, of: Enforcement) -> dict[str, Any]:
        cause, outcome = result.cause, result.outcome
        since = self._clock() - self._boottime()
        seconds = {
            guard: seconds_between(cause.accepted_at, at + since)
            for guard, at in of.arrivals(cause.offset).items()
        }
        return _row(result, of.deadline) | {
            "fenced": list(outcome.fenced),
            "laggards": list(outcome.laggards),
            "observing": sorted(
                name
                for name, each in of.guards.items()
                if each.terms.mode is GuardMode.OBSERVE
            ),
            "unknown": of.subscribers,
            "arrivals": arrivals(seconds, outcome.applied),
        }


def _row(result: Result, deadline: float) -> dict[str, Any]:
    cause, outcome = result.cause, result.outcome
    settled = outcome.state in _SETTLED
    took = seconds_between(cause.accepted_at, result.settled_at)
    return {
        "id": cause.id,
        "identifier": cause.target,
        "effect": cause.effect,
        "state": outcome.state.value,
        "by": cause.by,
        "authority": cause.authority,
        "reason": cause.reason,
        "aspect": cause.aspect,
        "at": rfc3339(cause.at),
        "until": rfc3339(cause.until),
        "accepted_at": rfc3339(cause.accepted_at),
        "deadline": rfc3339(cause.accepted_at + round(deadline * SECOND)),
        "closed_at": rfc3339(result.settled_at) if settled else None,
        "seconds": took if settled else None,
        "applied": outcome.applied,
        "fenced": len(outcome.fenced),
        "laggards": len(outcome.laggards),
        "left": outcome.left,
    }


def arrivals(seconds: Mapping[str, float], applied: int) -> dict[str, Any]:
    """Return when guards showed that they had applied a revocation, in bounded room.

    Args:
        seconds: from its acceptance, by guard.
        applied: how many are known to have applied it.

    Returns:
        ``curve``: pairs of seconds and the number of guards by then, at most `POINTS`;
        ``slowest``: the last guards; ``untimed``: guards of which it is not known when,
        since the receipts were forgotten or came in before the revocation was read.
    """
    order = sorted(seconds.items(), key=lambda each: (each[1], each[0]))
    steps = {round(at, 4): count for count, (_, at) in enumerate(order, 1)}
    curve = list(steps.items())
    if len(curve) > POINTS:
        end = len(curve) - 1
        curve = [curve[end * number // (POINTS - 1)] for number in range(POINTS)]
    slowest = [
        {"guard": name, "seconds": at} for name, at in order[: -SLOWEST - 1 : -1]
    ]
    untimed = max(0, applied - len(order))
    return {"curve": curve, "slowest": slowest, "untimed": untimed}

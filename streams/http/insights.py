"""What was revoked and found, by hour: ``GET /v1/insights``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from attrs import define

from streams.http.answers import json_answer
from streams.http.problems import unavailable, unreadable
from streams.model.times import SECOND, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from streams.http.auth import Tokens

HOUR: Final = 3600
MOST_HOURS: Final = 90 * 24


class HourlyCounts(Protocol):
    """What counts."""

    def waiting(self, now: float) -> list[str]:
        """Name what keeps it from answering."""

    async def answer(self, realm: str, since: int, step: int) -> dict[str, Any]:
        """Count for a realm since a time (s since 1970), by so many hours."""


class Span(NamedTuple):
    """Hours that are asked for: since when (s since 1970), and how many at a time."""

    since: int
    step: int


@define(eq=False, repr=False)
class Insights:
    """Handler of ``/v1/insights``.

    ``realm`` is meant where none is named, ``clock`` gives ns.
    """

    _tokens: Tokens
    _counts: HourlyCounts
    _realm: str
    _clock: Callable[[], int]

    def add_to(self, app: web.Application) -> None:
        """Put the handler behind its route."""
        app.router.add_get("/v1/insights", self.get)

    async def get(self, request: web.Request) -> web.Response:
        """Answer for the last ``hours`` of a realm, 24 by default, ``step`` at once."""
        self._tokens.holder(request, "viewer", any_realm=True)
        realm = request.query.get("realm", self._realm)
        since, step = span_of(request, self._clock())
        if self._counts.waiting(0.0):
            raise unavailable("not ready", "the tables are being read back")
        told = {"realm": realm, "since": rfc3339(since * SECOND)}
        return json_answer(told | await self._counts.answer(realm, since, step))


def span_of(request: web.Request, now: int) -> Span:
    """Read ``hours`` and ``step``; the last hour is the one that runs now.

    Raises:
        ProblemError: 422, they are no such numbers.
    """
    hours = _hours(request, "hours", "24")
    step = _hours(request, "step", "1")
    return Span((now // SECOND // HOUR - hours + 1) * HOUR, step)


def _hours(request: web.Request, name: str, default: str) -> int:
    text = request.query.get(name, default)
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= MOST_HOURS):
        raise unreadable(f"{name}: a number from 1 to {MOST_HOURS}")
    return int(text)

"""What credentials declare against what they use: ``GET /v1/inventory/scopes``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import define

from enforcement.turns import in_turns
from streams.http.answers import json_answer
from streams.http.peer_routes import SCOPES
from streams.http.problems import unreadable
from streams.http.query_values import number_of
from streams.process.aside import Aside, here
from streams.stages.posture.scope_rows import ScopeFilter, scope_rows

if TYPE_CHECKING:
    from aiohttp import web

    from agents_registry.registry import Registry
    from streams.http.auth import Tokens
    from streams.stages.posture.posture import Posture

LIMIT: Final = 50
MOST: Final = 1000
LONGEST: Final = 256  # characters of a text that names have to hold


class RealmPosture(Protocol):
    """Gives how the credentials of a realm stand, and its table; None: not here."""

    def __call__(self, realm: str | None, /) -> tuple[Posture, Registry] | None:
        """Find those of a realm, of the settings' own by default."""


@define(eq=False, repr=False)
class ScopeUsePages:
    """Handler of ``/v1/inventory/scopes``.

    Attributes:
        tokens: who may ask.
        posture: gives what is known of used scopes.
        aside: gets to the event loop that it belongs to.
    """

    _tokens: Tokens
    _posture: RealmPosture
    _aside: Aside = here

    def add_to(self, app: web.Application) -> None:
        """Put the handler behind its route."""
        app.router.add_get(SCOPES, self.get, allow_head=False)

    async def get(self, request: web.Request) -> web.Response:
        """List credentials whose uses tell their scopes; null where others know."""
        self._tokens.holder(request, "viewer", "revoker", "restorer", any_realm=True)
        wanted = _wanted(request)

        async def listed() -> dict[str, Any]:
            known = self._posture(request.query.get("realm"))
            if known is None:
                return {"rows": None, "after": None}
            posture, registry = known
            steps = scope_rows(posture.book.usages(), registry, wanted)
            rows = await in_turns(steps)
            more = len(rows) == wanted.limit
            return {"rows": rows, "after": rows[-1]["identifier"] if more else None}

        return json_answer(await self._aside(listed))


def _wanted(request: web.Request) -> ScopeFilter:
    """Read what is asked for.

    Raises:
        ProblemError: 422, a value cannot be used.
    """
    limit = number_of(request, "limit", LIMIT)
    if not 0 < limit <= MOST:
        raise unreadable(f"limit is a number from 1 to {MOST}")
    text, unused = request.query.get("text", ""), request.query.get("unused", "false")
    if len(text) > LONGEST:
        raise unreadable(f"text has at most {LONGEST} characters")
    if unused not in ("true", "false"):
        raise unreadable("unused is true or false")
    after = request.query.get("after", "")
    return ScopeFilter(text, unused == "true", after, limit)

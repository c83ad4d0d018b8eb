"""What the sentinel of one process knows of undeclared agents: a share of an answer."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from attrs import define

from streams.http.answers import json_answer
from streams.http.peer_routes import UNDECLARED
from streams.http.query_values import limit_of
from streams.http.table_answers import undeclared_as_plain
from streams.process.aside import collected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiohttp import web

    from streams.http.auth import Tokens
    from streams.stages.sentinel.unknown_agents import Shown


@define(eq=False)
class UndeclaredShare:
    """The handler by which `streams.http.door` completes an inventory.

    Attributes:
        tokens: who may ask.
        seen: gives what was seen of a realm in the partitions of this process.
        realm: that is meant where a request names none.
    """

    _tokens: Tokens
    _seen: Callable[[str], Iterable[Shown]]
    _realm: str

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_get(UNDECLARED, self.get)

    async def get(self, request: web.Request) -> web.Response:
        """List them, each name once."""
        self._tokens.holder(request, "viewer", "revoker", "restorer", any_realm=True)
        seen = self._seen(request.query.get("realm", self._realm))
        shown = itertools.islice(undeclared_as_plain(seen), limit_of(request))
        return json_answer({"undeclared": await collected(shown)})

"""The list of dead letters, the same on either engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from attrs import define

from streams.http.answers import json_answer
from streams.http.query_values import limit_of, number_of
from streams.model.times import rfc3339

if TYPE_CHECKING:
    from streams.http.auth import Tokens
    from streams.ports.findings_log import DeadLetterLog


@define(eq=False)
class DeadLetterPages:
    """Handler of ``/v1/dlq``, for the role viewer."""

    _tokens: Tokens
    _letters: DeadLetterLog

    def add_to(self, app: web.Application) -> None:
        """Put the handler behind its route."""
        app.router.add_get("/v1/dlq", self.list)

    async def list(self, request: web.Request) -> web.Response:
        """List dead letters by their last change; ``?after=`` continues a list."""
        self._tokens.holder(request, "viewer")
        after = number_of(request, "after", -1)
        letters = await self._letters.page(after, limit_of(request))
        shown = [
            letter | {name: rfc3339(letter[name]) for name in ("at", "last_at")}
            for letter in letters
        ]
        last = shown[-1]["offset"] if shown else after
        return json_answer({"dead_letters": shown, "after": last})

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
        """List dead letters by their last change; ``?after=`` continues a list.

        With ``?before=`` those below an offset, the newest first.
        """
        self._tokens.holder(request, "viewer")
        after, limit = number_of(request, "after", -1), limit_of(request)
        if "before" in request.query:
            before = number_of(request, "before", 0)
            letters = await self._letters.newest(before, limit)
        else:
            letters = await self._letters.page(after, limit)
        shown = [
            letter | {name: rfc3339(letter[name]) for name in ("at", "last_at")}
            for letter in letters
        ]
        last = max((letter["offset"] for letter in shown), default=after)
        return json_answer({"dead_letters": shown, "after": last})

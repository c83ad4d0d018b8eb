"""The lists of findings and of dead letters, the same on either engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import define

from streams.http.answers import json_answer
from streams.http.query_values import limit_of, number_of
from streams.model.times import rfc3339
from streams.process.aside import Aside, collected, here, packed
from streams.stages.notify.silences import Silence, mark
from streams.stages.sentinel import saved_episodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.http.auth import Tokens
    from streams.ports.findings_log import (
        DeadLetterLog,
        FindingsLog,
        ListedFinding,
    )


@define(eq=False)
class Lists:
    """Handlers of ``/v1/findings`` and ``/v1/dlq``; both need the role viewer.

    Attributes:
        silences: gives those in force.
    """

    _tokens: Tokens
    _findings: FindingsLog
    _letters: DeadLetterLog
    _silences: Callable[[], tuple[Silence, ...]] = tuple
    _aside: Aside = here

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get("/v1/findings", self.findings)
        app.router.add_get("/v1/dlq", self.dlq)

    async def findings(self, request: web.Request) -> web.Response:
        """List findings by their last change; ``?after=`` continues a list.

        An open one that is not told now says which silence covers it, and why.
        """
        self._tokens.holder(request, "viewer")
        after, limit = number_of(request, "after", 0), limit_of(request)

        async def listed() -> bytes:
            rows, left_out = await self._findings.page(after, limit)
            silences = self._silences()
            found = await collected(_finding(each, silences) for each in rows)
            last = rows[-1].changed if rows else after
            answer: dict[str, Any] = {"findings": found, "after": last}
            return await packed(answer | ({"left_out": left_out} if left_out else {}))

        body = await self._aside(listed)
        return web.Response(body=body, content_type="application/json")

    async def dlq(self, request: web.Request) -> web.Response:
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


def _finding(row: ListedFinding, silences: tuple[Silence, ...]) -> dict[str, Any]:
    known = row.finding
    finding = saved_episodes.to_plain(known)
    finding |= {"open": row.open, "changed": row.changed}
    finding["silenced"] = mark(known, silences) if row.open else None
    for name in ("first_seen", "last_seen", "cause_at"):
        finding[name] = rfc3339(finding[name])
    return finding

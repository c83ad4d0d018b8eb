"""The audit chain for those who keep it, verify it or look something up in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from attrs import define, field

from streams.http.answers import json_answer
from streams.http.problems import unreadable
from streams.http.query_values import limit_of, number_of, time_of
from streams.model.times import SECOND, rfc3339
from streams.ports.findings_log import SkippingError
from streams.process.aside import Aside, here, packed
from streams.services.audit_heads import peek
from streams.stages.audit.search import EntryFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.http.auth import Tokens
    from streams.ports.findings_log import AuditChain

LOOK_SECONDS: Final = 0.5  # that one part of a search may read
PIECE: Final = 250  # entries that are read at once
LONGEST: Final = 256  # characters of what is looked for


@define(eq=False)
class AuditPages:
    """Handlers of ``/v1/audit`` and below; they need the role viewer.

    Attributes:
        audit: chains, of one realm or any.
        aside: gets to them.
        keys: public keys of this server that sign heads (PEM).
    """

    _tokens: Tokens
    _audit: AuditChain
    _aside: Aside = here
    _any_realm: bool = field(default=False, kw_only=True)
    _keys: Sequence[str] = field(default=(), kw_only=True)

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get("/v1/audit", self.page)
        app.router.add_get("/v1/audit/head", self.head, allow_head=False)
        app.router.add_get("/v1/audit/search", self.search, allow_head=False)

    async def page(self, request: web.Request) -> web.Response:
        """Lines of an export; ``?after=`` continues it, until that is null."""
        self._let_in(request)
        after = number_of(request, "after", 0)
        limit = limit_of(request)

        async def told() -> bytes:
            realm = request.query.get("realm")
            lines, more = await self._audit.page(after, limit, realm)
            return await packed({"lines": lines, "after": more})

        body = await self._aside(told)
        return web.Response(body=body, content_type="application/json")

    async def head(self, request: web.Request) -> web.Response:
        """Last signed head of a chain, and the keys that this server signs with.

        The keys are this server's own word: a copy of one that was kept elsewhere says
        more.
        """
        self._let_in(request)
        realm = request.query.get("realm")

        async def signed() -> str | None:
            return await self._audit.last_head(realm)

        text = await self._aside(signed)
        head = None if text is None else peek(text)
        return json_answer({
            "head": text,
            "sequence": 0 if head is None else head.sequence,
            "at": None if head is None else rfc3339(head.at * SECOND),
            "keys": list(self._keys),
        })  # fmt: skip

    async def search(self, request: web.Request) -> web.Response:
        """Entries that somebody looks for, of the next ones that there is time for.

        The answer says which entries were read: what lies behind them was not. A chain
        that is only read forward may not be read up to there yet: then none was, and
        ``read`` says how far it is.
        """
        self._let_in(request)
        wanted, limit = _wanted(request), limit_of(request)
        after, realm = number_of(request, "after", 0), request.query.get("realm")

        async def told() -> bytes:
            try:
                found, last, more = await self._looked(wanted, after, limit, realm)
                read = last
            except SkippingError as error:
                found, last, more, read = [], after, after, error.at
            looked = {"first": after + 1, "last": last, "read": read}
            return await packed({"lines": found, "looked": looked, "after": more})

        body = await self._aside(told)
        return web.Response(body=body, content_type="application/json")

    async def _looked(
        self, wanted: EntryFilter, after: int, limit: int, realm: str | None
    ) -> tuple[list[Any], int, int | None]:
        """Return lines, the last entry that was read, and that to go on behind."""
        time = asyncio.get_running_loop().time
        until = time() + LOOK_SECONDS
        found: list[Any] = []
        last, more = after, after
        while True:
            try:
                lines, following = await self._audit.page(more, PIECE, realm)
            except SkippingError:
                if more == after:
                    raise
                return found, last, more
            for count, line in enumerate(lines):
                if not count % 32:
                    await asyncio.sleep(0)
                number = line.get("sequence")
                if number is None:
                    continue
                last = number
                if wanted.fits(line):
                    found.append(line)
                if len(found) == limit:
                    return found, last, last
            if following is None or time() > until:
                return found, last, following
            more = following

    def _let_in(self, request: web.Request) -> None:
        self._tokens.holder(request, "viewer", any_realm=self._any_realm)


def _wanted(request: web.Request) -> EntryFilter:
    """Read what is looked for.

    Raises:
        ProblemError: 422, a value cannot be used.
    """
    texts = {}
    for name in ("actor", "action", "identifier"):
        texts[name] = request.query.get(name, "")
        if len(texts[name]) > LONGEST:
            raise unreadable(f"{name} has at most {LONGEST} characters")
    since, until = (time_of(request.query.get(name)) for name in ("since", "until"))
    return EntryFilter(**texts, since=since, until=until)

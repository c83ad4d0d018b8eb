"""Findings over HTTP: listed, looked for, shown with their alert, and acknowledged."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from attrs import define, field

from schemas.entries import Act
from streams.http.answers import json_answer
from streams.http.bodies import json_object
from streams.http.problems import not_found, unreadable
from streams.http.query_values import limit_of, number_of
from streams.model.times import rfc3339
from streams.process.aside import Aside, collected, here, packed
from streams.services.finding_search import WORDS, FindingFilter, FindingSearch
from streams.sinks import alert_fields, wording
from streams.stages.notify.acknowledgements import Acknowledgement, note_of
from streams.stages.notify.silences import Silence, mark
from streams.stages.sentinel import saved_episodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.http.auth import Tokens
    from streams.ports.findings_log import ListedFinding, SearchedFindings
    from streams.services.acknowledgements import KeptAcknowledgements
    from streams.settings.access import Role

READERS: Final[tuple[Role, ...]] = ("viewer", "revoker", "restorer")
# Whoever may act on a finding may say that they look into it.
ACTING: Final[tuple[Role, ...]] = ("revoker", "restorer")
NEWEST: Final = "newest"
GONE: Final = "it is not kept any more, or never was: list them with `rescind findings`"


@define(eq=False)
class FindingPages:
    """Handlers of ``/v1/findings``.

    Attributes:
        tokens: who may look, and who may acknowledge.
        findings: of the realm.
        acknowledgements: where they are kept.
        realm: of this server.
        clock: gives the time (ns).
        silences: gives those in force.
        aside: gets to the event loop that looks.
    """

    _tokens: Tokens
    _findings: SearchedFindings
    _acknowledgements: KeptAcknowledgements
    _realm: str = field(kw_only=True)
    _clock: Callable[[], int] = field(kw_only=True)
    _silences: Callable[[], tuple[Silence, ...]] = field(default=tuple, kw_only=True)
    _aside: Aside = field(default=here, kw_only=True)

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        path = "/v1/findings/{id}"
        app.router.add_get("/v1/findings", self.list)
        app.router.add_get(path, self.show, allow_head=False)
        app.router.add_post(f"{path}/acknowledgement", self.acknowledge)
        app.router.add_delete(f"{path}/acknowledgement", self.take_back)

    async def list(self, request: web.Request) -> web.Response:
        """List findings by their last change; an open one says what silences it.

        The oldest change comes first, and ``?after=`` goes on. With
        ``?order=newest``, a filter or ``?before=`` the newest does.
        """
        self._tokens.holder(request, *READERS)
        query, limit = request.query, limit_of(request)
        order = query.get("order")
        if order not in (None, "oldest", NEWEST):
            raise unreadable("order is oldest or newest")
        backwards = order == NEWEST or "before" in query or bool(WORDS & query.keys())
        if backwards and ("after" in query or order == "oldest"):
            detail = "a filter and before list the newest first: leave the rest out"
            raise unreadable(detail)

        async def listed() -> bytes:
            found = self._newest if backwards else self._oldest
            return await packed(await found(request, limit))

        body = await self._aside(listed)
        return web.Response(body=body, content_type="application/json")

    async def _oldest(self, request: web.Request, limit: int) -> dict[str, Any]:
        after = number_of(request, "after", 0)
        rows, left_out = await self._findings.page(after, limit)
        silences = self._silences()
        found = await collected(self._told(each, silences) for each in rows)
        last = rows[-1].changed if rows else after
        answer: dict[str, Any] = {"findings": found, "after": last}
        return answer | ({"left_out": left_out} if left_out else {})

    async def _newest(self, request: web.Request, limit: int) -> dict[str, Any]:
        try:
            wanted = FindingFilter.read(request.query)
        except ValueError as error:
            raise unreadable(str(error)) from error
        before = number_of(request, "before", 0) if "before" in request.query else None
        of = self._acknowledgements.of
        search = FindingSearch(
            self._findings, self._silences, lambda name: of(name) is not None
        )
        looked = await search.look(wanted, before, limit)
        silences = self._silences()
        found = await collected(self._told(each, silences) for each in looked.rows)
        return {"findings": found, "before": looked.before, "looked": looked.looked}

    async def show(self, request: web.Request) -> web.Response:
        """Show one finding, with the words of its alert."""
        self._tokens.holder(request, *READERS)
        return json_answer(await self._shown(await self._found(request)))

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Say that a person looks into a finding; repeated, it changes nothing."""
        holder = self._tokens.holder(request, *ACTING)
        body = await json_object(request, holder)
        try:
            note = note_of(body)
        except ValueError as error:
            raise unreadable(str(error)) from error
        row = await self._found(request)
        await self._acknowledgements.catch_up()
        known = self._acknowledgements.of(row.finding.id)
        if known is not None and (known.by, known.note) == (holder.person, note):
            return json_answer(await self._shown(row))
        given = Acknowledgement(
            finding=row.finding.id,
            by=holder.person,
            at=self._clock(),
            note=note,
            severity=int(row.finding.severity),
        )
        said = f"acknowledge finding {row.finding.id}: {_called(row)}"
        act = self._act(holder.name, said + (f": {note}" if note else ""))
        await self._acknowledgements.put(given, act)
        await self._acknowledgements.forget_gone(self._is_there)
        answer = await self._shown(row)
        return web.json_response(answer, status=http.HTTPStatus.CREATED)

    async def take_back(self, request: web.Request) -> web.Response:
        """Say that nobody looks into a finding any more."""
        holder = self._tokens.holder(request, *ACTING)
        row = await self._found(request)
        await self._acknowledgements.catch_up()
        known = self._acknowledgements.of(row.finding.id)
        if known is None:
            raise not_found("not acknowledged", "nobody looks into it by now")
        said = f"take back that {known.by} looks into finding {row.finding.id}"
        act = self._act(holder.name, f"{said}: {_called(row)}")
        await self._acknowledgements.drop(row.finding.id, act)
        return json_answer(await self._shown(row))

    def _act(self, actor: str, action: str) -> Act:
        return Act(realm=self._realm, at=self._clock(), actor=actor, action=action)

    async def _found(self, request: web.Request) -> ListedFinding:
        row = await self._findings.find(request.match_info["id"])
        if row is None:
            raise not_found("no such finding", GONE)
        return row

    async def _is_there(self, identity: str) -> bool:
        return await self._findings.find(identity) is not None

    async def _shown(self, row: ListedFinding) -> dict[str, Any]:
        async def silences() -> tuple[Silence, ...]:
            return self._silences()

        known = row.finding
        alert = {
            "title": wording.title(known),
            "lines": wording.lines(known),
            "details": alert_fields.named(known),
            "closing": None if row.open else wording.closing(known, self._clock()),
        }
        return self._told(row, await self._aside(silences)) | {"alert": alert}

    def _told(
        self, row: ListedFinding, silences: tuple[Silence, ...]
    ) -> dict[str, Any]:
        known = row.finding
        finding = saved_episodes.to_plain(known)
        finding |= {"open": row.open, "changed": row.changed}
        finding["silenced"] = mark(known, silences) if row.open else None
        given = self._acknowledgements.of(known.id)
        finding["acknowledged"] = None if given is None else given.mark(known)
        for name in ("first_seen", "last_seen", "cause_at"):
            finding[name] = rfc3339(finding[name])
        return finding


def _called(row: ListedFinding) -> str:
    return f"{row.finding.kind.value} about {row.finding.presented}"

"""Vendors' APIs in the test's own process: paging, limits, tokens, faults."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from attrs import define, field

from streams.model.times import parse_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Plan = Callable[[web.Request], web.Response]

_MS = 10**6


@define
class Vendor:
    """What all have: events that a test adds, planned faults, and what was asked.

    Attributes:
        events: in the order in which they were stored.
        planned: answers to give first, the next one first; None is no fault.
        asked: path and query of each request of the log.
        tokens: how many bearer tokens were given.
    """

    url: str = ""
    limit: int = 2
    events: list[dict[str, Any]] = field(factory=list)
    planned: list[Plan | None] = field(factory=list)
    asked: list[str] = field(factory=list)
    tokens: int = 0
    good: str = ""

    def authorised(self, request: web.Request) -> None:
        """Refuse a request that has not the right token."""
        if request.headers.get("Authorization") != self.good:
            raise web.HTTPUnauthorized

    def fault(self, request: web.Request) -> web.Response | None:
        """Note a request and give the answer that was planned for it."""
        self.asked.append(request.raw_path)
        plan = self.planned.pop(0) if self.planned else None
        return None if plan is None else plan(request)

    async def token(self, request: web.Request) -> web.Response:
        """Give a bearer token by client credentials; each one ends the last."""
        form = await request.post()
        if (form["grant_type"], form["client_id"], form["client_secret"]) != (
            "client_credentials", "rescind", "s3cret",
        ):  # fmt: skip
            raise web.HTTPUnauthorized
        self.tokens += 1
        self.good = f"Bearer t{self.tokens}"
        answer = {"access_token": f"t{self.tokens}", "expires_in": 300}
        return web.json_response(answer)


class OktaApi(Vendor):
    """``/api/v1/logs``: pages behind a Link header that never ends."""

    async def logs(self, request: web.Request) -> web.Response:
        """Give the next events in the order of storage."""
        fault = self.fault(request)
        if fault is not None:
            return fault
        self.authorised(request)
        after = request.query.get("after")
        if after is None:
            since = parse_time(request.query["since"]) or 0
            times = [parse_time(one["published"]) or 0 for one in self.events]
            later = [place for place, time in enumerate(times) if time >= since]
            start = later[0] if later else len(self.events)
        else:
            start = int(after)
        page = self.events[start : start + self.limit]
        link = f'<{self.url}/api/v1/logs?after={start + len(page)}>; rel="next"'
        me = f'<{self.url}/api/v1/logs>; rel="self"'
        answer = web.json_response(page)
        for each in self.links(link, me):
            answer.headers.add("Link", each)
        return answer

    def links(self, *links: str) -> tuple[str, ...]:
        """Give the Link headers: Okta sends one for each link."""
        return links


class GraphApi(Vendor):
    """``/v1.0/auditLogs/directoryAudits``: newest first, by ``@odata.nextLink``."""

    async def logs(self, request: web.Request) -> web.Response:
        """Give a page of the filtered events."""
        fault = self.fault(request)
        if fault is not None:
            return fault
        self.authorised(request)
        start = int(request.query.get("$skiptoken", 0))
        since = parse_time(request.query["$filter"].split(" ge ")[1]) or 0
        found = sorted(
            (e for e in self.events if _time(e["activityDateTime"]) >= since),
            key=lambda event: _time(event["activityDateTime"]),
            reverse=True,
        )
        page = found[start : start + self.limit]
        body: dict[str, Any] = {"value": page}
        if start + self.limit < len(found):
            query = f"$filter={request.query['$filter'].replace(' ', '%20')}"
            skip = f"$skiptoken={start + self.limit}"
            body["@odata.nextLink"] = f"{self.url}{request.path}?{query}&{skip}"
        return web.json_response(body)


class KeycloakApi(Vendor):
    """``/admin/realms/r/events`` and ``admin-events``: newest first, by offset."""

    async def logs(self, request: web.Request) -> web.Response:
        """Give a page of the events since ``dateFrom``, which is included."""
        fault = self.fault(request)
        if fault is not None:
            return fault
        self.authorised(request)
        admin = request.path.endswith("admin-events")
        since, first = int(request.query["dateFrom"]), int(request.query["first"])
        found = sorted(
            (
                event
                for event in self.events
                if ("operationType" in event) == admin and event["time"] >= since
            ),
            key=lambda event: -int(event["time"]),
        )
        return web.json_response(found[first : first + int(request.query["max"])])


def _time(text: str) -> int:
    return parse_time(text) or 0


def query_of(path: str) -> dict[str, list[str]]:
    """Give the decoded query of a request."""
    return parse_qs(urlsplit(path).query)


@asynccontextmanager
async def serving(
    *routes: tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]],
) -> AsyncIterator[str]:
    """Serve routes until the context ends; gives the URL."""
    app = web.Application()
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def okta() -> AsyncIterator[OktaApi]:
    """Run an Okta until the context ends."""
    api = OktaApi(good="SSWS s3cret")
    async with serving(("GET", "/api/v1/logs", api.logs)) as url:
        api.url = url
        yield api


@asynccontextmanager
async def graph() -> AsyncIterator[GraphApi]:
    """Run a Graph and its login until the context ends."""
    api = GraphApi()
    async with serving(
        ("GET", "/v1.0/auditLogs/directoryAudits", api.logs),
        ("POST", "/tenant/oauth2/v2.0/token", api.token),
    ) as url:
        api.url = url
        yield api


@asynccontextmanager
async def keycloak() -> AsyncIterator[KeycloakApi]:
    """Run a Keycloak until the context ends."""
    api = KeycloakApi()
    async with serving(
        ("GET", "/admin/realms/r/events", api.logs),
        ("GET", "/admin/realms/r/admin-events", api.logs),
        ("POST", "/realms/r/protocol/openid-connect/token", api.token),
    ) as url:
        api.url = url
        yield api

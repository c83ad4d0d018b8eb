"""Audit logs of agent platforms and of M365 in the test's own process."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import define, field

from streams.model.times import parse_time
from tests.integration.fake_vendors import Vendor, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FEED = "/api/v1.0/tenant/activity/feed"


def _times(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Give events newest first."""
    return sorted(events, key=lambda one: parse_time(one[name]) or 0, reverse=True)


class ById(Vendor):
    """Newest first; a page goes on after an id."""

    async def page(
        self, request: web.Request, time: str, since: str, after: str
    ) -> web.Response:
        """Give one page."""
        fault = self.fault(request)
        if fault is not None:
            return fault
        start = parse_time(_number(request.query[since])) or 0
        found = [
            one for one in _times(self.events, time)
            if (parse_time(one[time]) or 0) >= start
        ]  # fmt: skip
        if after in request.query:
            ids = [one["id"] for one in found]
            found = found[ids.index(request.query[after]) + 1 :]
        page = found[: min(self.limit, int(request.query["limit"]))]
        more = len(found) > len(page)
        last = page[-1]["id"] if page else None
        return web.json_response({"data": page, "has_more": more, "last_id": last})


def _number(text: str) -> Any:
    return int(text) if text.isdigit() else text


class OpenAiApi(ById):
    """``/v1/organization/audit_logs``, by an admin key."""

    async def logs(self, request: web.Request) -> web.Response:
        """Give a page."""
        self.authorised(request)
        return await self.page(request, "effective_at", "effective_at[gte]", "after")


class AnthropicApi(ById):
    """``/v1/compliance/activities``, by a key in a header of its own."""

    async def logs(self, request: web.Request) -> web.Response:
        """Give a page."""
        if request.headers.get("x-api-key") != self.good:
            raise web.HTTPUnauthorized
        assert "2023-06-01" == request.headers["anthropic-version"]
        assert "authorization" not in request.headers
        return await self.page(request, "created_at", "created_at.gte", "after_id")


class LiteLlmApi(Vendor):
    """``/audit``: newest first, by numbered pages."""

    async def logs(self, request: web.Request) -> web.Response:
        """Give a page."""
        self.authorised(request)
        fault = self.fault(request)
        if fault is not None:
            return fault
        query = request.query
        start = parse_time(query["start_date"]) or 0
        assert ("updated_at", "desc") == (query["sort_by"], query["sort_order"])
        found = [
            one for one in _times(self.events, "updated_at")
            if (parse_time(one["updated_at"]) or 0) >= start
        ]  # fmt: skip
        number = int(query["page"])
        page = found[(number - 1) * self.limit : number * self.limit]
        return web.json_response({
            "audit_logs": page, "page": number, "total": len(found),
            "page_size": self.limit, "total_pages": -(-len(found) // self.limit),
        })  # fmt: skip


class GitHubApi(Vendor):
    """``/orgs/acme/audit-log``: newest first, by a cursor in the Link header."""

    async def logs(self, request: web.Request) -> web.Response:
        """Give a page."""
        self.authorised(request)
        assert "2022-11-28" == request.headers["x-github-api-version"]
        query = request.query
        assert ("all", "desc", "100") == (
            query["include"], query["order"], query["per_page"],
        )  # fmt: skip
        fault = self.fault(request)
        if fault is not None:
            return fault
        day = query["phrase"].removeprefix("created:>=")
        start = parse_time(f"{day}T00:00:00Z") or 0
        found = [
            one for one in _times(self.events, "@timestamp")
            if (parse_time(one["@timestamp"]) or 0) >= start
        ]  # fmt: skip
        if "after" in query:
            ids = [one["_document_id"] for one in found]
            if query["after"] not in ids:
                return web.json_response({"message": "Invalid cursor"}, status=422)
            found = found[ids.index(query["after"]) + 1 :]
        page = found[: self.limit]
        headers = {}
        if len(found) > len(page):
            there = request.rel_url.update_query(after=page[-1]["_document_id"])
            headers["Link"] = f'<{self.url}{there}>; rel="next"'
        return web.json_response(page, headers=headers)


@define
class M365Api(Vendor):
    """The Management Activity API: subscriptions, lists of blobs, blobs.

    Attributes:
        blobs: id of a blob to when it became available (RFC 3339) and its events.
        subscribed: content types.
        gone: ids of blobs that are listed and cannot be read.
    """

    blobs: dict[str, tuple[str, list[dict[str, Any]]]] = field(factory=dict)
    subscribed: list[str] = field(factory=list)
    gone: set[str] = field(factory=set)

    async def listed(self, request: web.Request) -> web.Response:
        """Give the subscriptions."""
        self.authorised(request)
        return web.json_response(
            [{"contentType": one, "status": "enabled"} for one in self.subscribed]
        )

    async def start(self, request: web.Request) -> web.Response:
        """Subscribe; twice is an error."""
        self.authorised(request)
        content = request.query["contentType"]
        if content in self.subscribed:
            error = {"error": {"code": "AF20024"}}
            return web.json_response(error, status=400)
        self.subscribed.append(content)
        return web.json_response({"contentType": content, "status": "enabled"})

    async def content(self, request: web.Request) -> web.Response:
        """List what became available in a window of a day at most."""
        fault = self.fault(request)
        if fault is not None:
            return fault
        self.authorised(request)
        if request.query["contentType"] not in self.subscribed:
            return web.json_response({"error": {"code": "AF20022"}}, status=400)
        start, end = (
            parse_time(request.query[name]) or 0 for name in ("startTime", "endTime")
        )
        assert 0 < end - start <= 86_400 * 10**9
        found = [
            {"contentId": name, "contentCreated": at, "contentType": "x",
             "contentUri": f"{self.url}{FEED}/audit/{name}"}
            for name, (at, _) in self.blobs.items()
            if start <= (parse_time(at) or 0) < end
        ]  # fmt: skip
        first = int(request.query.get("nextPage", 0))
        headers = {}
        if len(found) > first + self.limit:
            query = request.rel_url.update_query(nextPage=first + self.limit)
            headers["NextPageUri"] = f"{self.url}{query}"
        return web.json_response(found[first : first + self.limit], headers=headers)

    async def blob(self, request: web.Request) -> web.Response:
        """Give the events of a blob."""
        self.asked.append(request.raw_path)
        self.authorised(request)
        name = request.match_info["name"]
        if name in self.gone:
            raise web.HTTPNotFound
        return web.json_response(self.blobs[name][1])


@asynccontextmanager
async def openai() -> AsyncIterator[OpenAiApi]:
    """Run it until the context ends."""
    api = OpenAiApi(good="Bearer s3cret")
    async with serving(("GET", "/v1/organization/audit_logs", api.logs)) as url:
        api.url = url
        yield api


@asynccontextmanager
async def anthropic() -> AsyncIterator[AnthropicApi]:
    """Run it until the context ends."""
    api = AnthropicApi(good="s3cret")
    async with serving(("GET", "/v1/compliance/activities", api.logs)) as url:
        api.url = url
        yield api


@asynccontextmanager
async def litellm() -> AsyncIterator[LiteLlmApi]:
    """Run it until the context ends."""
    api = LiteLlmApi(good="Bearer s3cret")
    async with serving(("GET", "/audit", api.logs)) as url:
        api.url = url
        yield api


@asynccontextmanager
async def github() -> AsyncIterator[GitHubApi]:
    """Run it until the context ends."""
    api = GitHubApi(good="Bearer s3cret")
    async with serving(("GET", "/orgs/acme/audit-log", api.logs)) as url:
        api.url = url
        yield api


@asynccontextmanager
async def m365() -> AsyncIterator[M365Api]:
    """Run it and its login until the context ends."""
    api = M365Api()
    async with serving(
        ("GET", f"{FEED}/subscriptions/list", api.listed),
        ("POST", f"{FEED}/subscriptions/start", api.start),
        ("GET", f"{FEED}/subscriptions/content", api.content),
        ("GET", f"{FEED}/audit/{{name}}", api.blob),
        ("POST", "/tenant/oauth2/v2.0/token", api.token),
    ) as url:
        api.url = url
        yield api

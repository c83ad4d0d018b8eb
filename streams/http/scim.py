"""SCIM 2.0 service provider: a directory provisions users and agents here.

A request is answered once its facts and the resource are on disk. Requests that write
go one after another, so the facts of one user have the order of its requests.

Source: RFC 7644.
"""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import hdrs, web
from attrs import define

from streams.http import scim_documents as documents
from streams.http.auth import authority_of
from streams.http.bodies import body_of
from streams.http.problems import ProblemError
from streams.http.scim_resources import (
    AGENTS,
    USERS,
    Resource,
    ResourceType,
    ScimError,
    filtered,
    made,
    patched,
    replaced,
)
from streams.model.documents import MOST_VALUES, crowded
from streams.model.records import Lifecycle
from streams.sources.reading.envelope import LIMIT
from streams.sources.scim.scim import ScimRequest, records

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.http.auth import CredentialHolder, Tokens
    from streams.http.scim_directory import Directory
    from streams.model.records import Record

    Answer = Callable[[web.Request, CredentialHolder], Awaitable[web.Response]]

BASE: Final = "/scim/v2"
CONTENT_TYPE: Final = "application/scim+json"
_CONTENT_TYPES: Final = (CONTENT_TYPE, "application/json")


class ScimServer:
    """The routes of ``/scim/v2``; each needs an ingest token with an authority."""

    def __init__(
        self,
        tokens: Tokens,
        directory: Directory,
        clock: Callable[[], int],
        fresh_id: Callable[[], str],
        *,
        agents: bool,
    ) -> None:
        """Serve users, and agents where that is wanted."""
        self._tokens = tokens
        self._kinds = (USERS, AGENTS) if agents else (USERS,)
        self._collections = [
            _Collection(kind, directory, clock, fresh_id) for kind in self._kinds
        ]

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        add = app.router.add_route
        for path, answer in (
            ("ServiceProviderConfig", self._config),
            ("ResourceTypes", self._types),
            ("ResourceTypes/{id}", self._types),
            ("Schemas", self._schemas),
            ("Schemas/{id}", self._schemas),
        ):
            add("GET", f"{BASE}/{path}", self._guarded(answer))
        for each in self._collections:
            path = f"{BASE}/{each.kind.path}"
            add("GET", path, self._guarded(each.search))
            add("GET", f"{path}/", self._guarded(each.search))
            add("POST", path, self._guarded(each.create))
            add("GET", f"{path}/{{id}}", self._guarded(each.get))
            add("PUT", f"{path}/{{id}}", self._guarded(each.change))
            add("PATCH", f"{path}/{{id}}", self._guarded(each.change))
            add("DELETE", f"{path}/{{id}}", self._guarded(each.delete))
        add("*", BASE + "/{rest:.*}", self._guarded(self._nothing))

    def _guarded(
        self, answer: Answer
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Let a directory in, and give its refusals in SCIM's form."""

        async def handler(request: web.Request) -> web.Response:
            try:
                token = self._tokens.holder(request, "ingest")
                authority_of(token)
                return await answer(request, token)
            except ScimError as refused:
                return shown(refused.body(), refused.status)
            except ProblemError as problem:
                error = ScimError(problem.status, problem.detail or problem.title)
            answered = shown(error.body(), error.status)
            if error.status == http.HTTPStatus.UNAUTHORIZED:
                answered.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
            return answered

        return handler

    async def _config(self, request: web.Request, _: CredentialHolder) -> web.Response:
        return shown(documents.service_provider_config(base_of(request)))

    async def _types(self, request: web.Request, _: CredentialHolder) -> web.Response:
        return self._described(request, documents.resource_type)

    async def _schemas(self, request: web.Request, _: CredentialHolder) -> web.Response:
        return self._described(request, documents.schema)

    async def _nothing(self, request: web.Request, _: CredentialHolder) -> web.Response:
        raise ScimError(404, f"{request.method} is not served here")

    def _described(
        self,
        request: web.Request,
        describe: Callable[[ResourceType, str], dict[str, Any]],
    ) -> web.Response:
        each = [describe(kind, base_of(request)) for kind in self._kinds]
        wanted = request.match_info.get("id")
        if wanted is None:
            return shown(documents.list_response(each, len(each)))
        for one in each:
            if one["id"] == wanted:
                return shown(one)
        raise ScimError(404, "there is nothing of this name")


@define(eq=False)
class _Collection:
    """The handlers of one resource type."""

    kind: ResourceType
    _directory: Directory
    _clock: Callable[[], int]
    _fresh_id: Callable[[], str]

    async def search(
        self, request: web.Request, token: CredentialHolder
    ) -> web.Response:
        start = max(1, _number(request, "startIndex", 1))
        count = min(max(0, _number(request, "count", documents.MOST)), documents.MOST)
        text = request.query.get("filter")
        if text is None:
            authority = authority_of(token)
            found, total = await self._directory.page(
                self.kind, authority, start, count
            )
        else:
            one = await self._find(token, *filtered(text, self.kind))
            found, total = ([], 0) if one is None else ([one], 1)
        base = base_of(request)
        listed = [one.shown(self.kind, base) for one in found]
        return shown(documents.list_response(listed, total, start))

    async def get(self, request: web.Request, token: CredentialHolder) -> web.Response:
        return self._answer(request, await self._existing(request, token))

    async def create(
        self, request: web.Request, token: CredentialHolder
    ) -> web.Response:
        body, data = await _object(request, token)
        identity = self._fresh_id()
        found = self._read(request, data, identity)
        active = _active(found, before=True)
        resource = made(self.kind, body, identity, self._clock(), active=active)
        async with self._directory.writing:
            await self._unique(token, resource)
            await self._directory.write(self.kind, token, resource, found)
        answered = self._answer(request, resource, http.HTTPStatus.CREATED)
        location = f"{base_of(request)}/{self.kind.path}/{identity}"
        answered.headers[hdrs.LOCATION] = location
        return answered

    async def change(
        self, request: web.Request, token: CredentialHolder
    ) -> web.Response:
        body, data = await _object(request, token)
        change = patched if request.method == hdrs.METH_PATCH else replaced
        found = self._read(request, data)
        async with self._directory.writing:
            old = await self._existing(request, token)
            active = _active(found, before=old.active)
            new = change(self.kind, body, old, self._clock(), active=active)
            if new.name != old.name:
                await self._unique(token, new)
            await self._directory.write(self.kind, token, new, found)
        return self._answer(request, new)

    async def delete(
        self, request: web.Request, token: CredentialHolder
    ) -> web.Response:
        found = self._read(request, b"")
        async with self._directory.writing:
            old = await self._existing(request, token)
            await self._directory.write(self.kind, token, old, found, gone=True)
        return web.Response(status=http.HTTPStatus.NO_CONTENT)

    def _read(
        self, request: web.Request, data: bytes, assigned: str | None = None
    ) -> list[Record]:
        asked = ScimRequest(request.method, request.path, data, assigned)
        return records(asked, agents=self.kind is AGENTS)

    async def _find(
        self, token: CredentialHolder, column: str, value: str
    ) -> Resource | None:
        authority = authority_of(token)
        return await self._directory.find(self.kind, authority, column, value)

    async def _existing(
        self, request: web.Request, token: CredentialHolder
    ) -> Resource:
        found = await self._find(token, "id", request.match_info["id"])
        if found is None:
            raise ScimError(404, f"there is no {self.kind.name} with this id")
        return found

    async def _unique(self, token: CredentialHolder, resource: Resource) -> None:
        found = await self._find(token, "name", resource.name)
        if found is not None and found.id != resource.id:
            detail = f"another {self.kind.name} has this {self.kind.unique}"
            raise ScimError(409, detail, "uniqueness")

    def _answer(
        self, request: web.Request, resource: Resource, status: int = 200
    ) -> web.Response:
        return shown(resource.shown(self.kind, base_of(request)), status)


def _active(found: list[Record], *, before: bool) -> bool:
    """Value of ``active`` that a request sets, by its facts."""
    effects = {one.effect for one in found if isinstance(one, Lifecycle)}
    if "suspend" in effects:
        return False
    return before or "restore" in effects


def shown(body: dict[str, Any], status: int = 200) -> web.Response:
    """Answer in SCIM's media type."""
    data = orjson.dumps(body)
    return web.Response(body=data, status=status, content_type=CONTENT_TYPE)


def base_of(request: web.Request) -> str:
    """URL that the client sees this provider at."""
    return f"{request.scheme}://{request.host}{BASE}"


async def _object(
    request: web.Request, token: CredentialHolder
) -> tuple[dict[str, Any], bytes]:
    if request.content_type not in _CONTENT_TYPES:
        raise ScimError(415, f"the content type is {CONTENT_TYPE}")
    data = await body_of(request, token)
    if len(data) > LIMIT:  # what the source would not read must not be acknowledged
        raise ScimError(413, f"send at most {LIMIT} bytes")
    if crowded(data):
        raise ScimError(413, f"send at most {MOST_VALUES} values, or several changes")
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ScimError(400, "the body is not JSON", "invalidSyntax") from error
    if not isinstance(body, dict):
        raise ScimError(400, "the body is no object", "invalidSyntax")
    return body, data


def _number(request: web.Request, name: str, default: int) -> int:
    try:
        return min(int(request.query.get(name, default)), 2**31)
    except ValueError as error:
        raise ScimError(400, f"{name} is a number", "invalidValue") from error

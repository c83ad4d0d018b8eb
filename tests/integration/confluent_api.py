"""A server that follows the REST API of Confluent's schema registry; it is no registry.

It gives ids, keeps schemas in memory, and answers as that API's description says. It
judges no compatibility.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import define, field

from streams.http.server import listen

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


@define
class ConfluentApi:
    """What it holds, and what it was asked.

    Attributes:
        first: the first id that it gives.
        down: answers nothing but errors.
        asked: method and path of every request.
    """

    first: int = 1001
    url: str = ""
    down: bool = False
    auth: str = ""
    schemas: dict[int, str] = field(factory=dict)
    subjects: dict[str, list[int]] = field(factory=dict)
    configs: dict[str, str] = field(factory=dict)
    asked: list[tuple[str, str]] = field(factory=list)

    def register(self, subject: str, schema: str) -> int:
        """Give a schema its id."""
        canonical = json.dumps(json.loads(schema))
        known = next((i for i, text in self.schemas.items() if text == canonical), 0)
        if not known:
            known = self.first + len(self.schemas)
            self.schemas[known] = canonical
        versions = self.subjects.setdefault(subject, [])
        if known not in versions:
            versions.append(known)
        return known

    async def look_up(self, request: web.Request) -> web.Response:
        """Serve POST /subjects/{subject}."""
        subject = request.match_info["subject"]
        if subject not in self.subjects:
            return _no(404, 40401, f"Subject '{subject}' not found.")
        wanted = json.dumps(json.loads((await request.json())["schema"]))
        for version, known in enumerate(self.subjects[subject], 1):
            if self.schemas[known] == wanted:
                return _yes(subject=subject, version=version, id=known, schema=wanted)
        return _no(404, 40403, "Schema not found")

    async def post(self, request: web.Request) -> web.Response:
        """Serve POST /subjects/{subject}/versions."""
        schema = (await request.json())["schema"]
        return _yes(id=self.register(request.match_info["subject"], schema))

    async def get(self, request: web.Request) -> web.Response:
        """Serve GET /schemas/ids/{id}."""
        schema = self.schemas.get(int(request.match_info["id"]))
        return (
            _no(404, 40403, "Schema not found") if not schema else _yes(schema=schema)
        )

    async def config(self, request: web.Request) -> web.Response:
        """Serve PUT /config/{subject}."""
        level = (await request.json())["compatibility"]
        self.configs[request.match_info["subject"]] = level
        return _yes(compatibility=level)

    @web.middleware
    async def guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Note what is asked, and refuse strangers."""
        self.asked.append((request.method, request.path))
        if self.down:
            return _no(500, 50001, "Error in the backend data store")
        given = request.headers.get("Authorization")
        if self.auth and given != self.auth:
            return _no(401, 40101, "Unauthorized")
        answer: web.StreamResponse = await handler(request)
        return answer


@asynccontextmanager
async def confluent_api(
    api: ConfluentApi, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ConfluentApi]:
    """Serve on loopback until the context ends."""
    app = web.Application(middlewares=[api.guard])
    app.router.add_post("/subjects/{subject}", api.look_up)
    app.router.add_post("/subjects/{subject}/versions", api.post)
    app.router.add_get("/schemas/ids/{id}", api.get)
    app.router.add_put("/config/{subject}", api.config)
    runner: Any
    if tls is None:
        runner, api.url = await listen(app, "127.0.0.1", 0)
    else:
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        api.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()


def _yes(**body: Any) -> web.Response:
    return web.json_response(body, content_type=CONTENT_TYPE)


def _no(status: int, code: int, message: str) -> web.Response:
    body = {"error_code": code, "message": message}
    return web.json_response(body, status=status, content_type=CONTENT_TYPE)

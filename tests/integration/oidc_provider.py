"""An OpenID provider for tests: its discovery document and its keys."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from tests.unit.test_oidc import KEY, jwks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def provider() -> AsyncIterator[str]:
    """Run an OpenID provider that has one key; give its issuer."""
    app = web.Application()
    url = ""

    async def discovery(_: web.Request) -> web.Response:
        return web.json_response({"issuer": url, "jwks_uri": f"{url}/keys"})

    async def keys(_: web.Request) -> web.Response:
        return web.Response(body=jwks(k1=KEY))

    app.router.add_get("/.well-known/openid-configuration", discovery)
    app.router.add_get("/keys", keys)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield url
    finally:
        await runner.cleanup()

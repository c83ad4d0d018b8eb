"""An MCP server behind a guard: a tool runs only while its caller's token lives.

    pip install rescind-guard mcp
    export RESCIND_URL=https://rescind.internal RESCIND_GUARD_TOKEN=... JWT_KEY=...
    python mcp_server.py

Two places: the token verifier refuses a dead token with 401 before a session begins,
and `while_allowed` asks again for each tool call, with the tool as scope, and cancels
a call that runs when the token dies.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import AnyHttpUrl

from rescind_guard import DeniedError, Guard, Identifier, Presented, while_allowed

guard = Guard(
    os.environ["RESCIND_URL"],
    os.environ["RESCIND_GUARD_TOKEN"],
    name="orders-mcp",
    live_sessions=True,
)


class Verifier:
    """Verify bearer tokens: the signature first, then whether they still live."""

    async def verify_token(self, token: str) -> AccessToken | None:
        """Give the token's claims; None refuses it.

        With your identity provider: RS256 or ES256, and the key from its JWKS.
        """
        try:
            claims = jwt.decode(
                token,
                os.environ["JWT_KEY"],
                algorithms=["HS256"],
                audience="orders",
                options={"require": ["sub", "jti", "iat", "exp"]},
            )
        except jwt.InvalidTokenError:
            return None
        if not guard.check(presented(claims)).allowed:
            return None
        return AccessToken(
            token=token,
            client_id=claims["sub"],
            subject=claims["sub"],
            scopes=[],
            expires_at=claims["exp"],
            claims=claims,
        )


def presented(claims: dict[str, Any]) -> Presented:
    """Give what a caller with these verified claims presents."""
    who = (Identifier("agent.id", claims["sub"]), Identifier("jwt.jti", claims["jti"]))
    return Presented(who, issued_at=claims["iat"] * 1_000_000_000)


@asynccontextmanager
async def permitted(tool: str) -> AsyncIterator[None]:
    """Run a tool while its caller may use it."""
    token = get_access_token()
    if token is None or token.claims is None:
        raise ToolError("no credential")
    try:
        caller = presented(token.claims)
        async with while_allowed(guard, caller, scope=f"mcp.tool|{tool}"):
            yield
    except DeniedError as denied:
        raise ToolError(f"refused: {denied}") from None


server = MCPServer(
    "orders",
    token_verifier=Verifier(),
    auth=AuthSettings(
        issuer_url=AnyHttpUrl("https://idp.example"),
        resource_server_url=AnyHttpUrl("https://orders.example/mcp"),
        validate_token_resource=False,  # the verifier checks the audience
    ),
)


@server.tool()
async def list_orders() -> list[str]:
    """List the orders."""
    async with permitted("list_orders"):
        return ["order 1"]


@server.tool()
async def watch_orders(seconds: float, context: Context) -> int:
    """Watch for new orders, and give their number."""
    async with permitted("watch_orders"):
        await context.report_progress(0, seconds)
        await asyncio.sleep(seconds)
        return 0


async def main() -> None:
    """Run the guard while the server serves."""
    config = uvicorn.Config(
        server.streamable_http_app(),
        host="127.0.0.1",
        port=int(os.environ.get("PORT", "8080")),
    )
    async with guard:
        await guard.ready(10)
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main())

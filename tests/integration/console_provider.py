"""An OpenID provider with a login, for tests of the console."""

from __future__ import annotations

import base64
import hashlib
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from attrs import define, field

from tests.unit.test_oidc import KEY, RULES, jwks, signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT, SECRET = "rescind-console", "s3cret/of:it"


@define
class Provider:
    """Logs everybody in, and does wrong what a test wants.

    Attributes:
        claims: put over those of the ID token.
        groups: of the person.
        lasts: seconds of an access token.
        asked: forms that came to the token endpoint.
    """

    url: str = ""
    claims: dict[str, Any] = field(factory=dict)
    groups: list[str] = field(factory=lambda: ["soc"])
    lasts: float = 300
    asked: list[dict[str, str]] = field(factory=list)
    _codes: dict[str, dict[str, str]] = field(factory=dict)

    def agree(self, where: str) -> str:
        """Do as a person who logs in there; give the query to come back with."""
        asked = {
            name: each[0] for name, each in parse_qs(urlsplit(where).query).items()
        }
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = f"code{len(self._codes)}"
        self._codes[code] = asked
        return f"?code={code}&state={asked['state']}"

    async def token(self, request: web.Request) -> web.Response:
        """Redeem a code, once, for who has its verifier and the secret."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(form)
        pair = f"{CLIENT}:{SECRET.replace('/', '%2F').replace(':', '%3A')}"
        wanted = "Basic " + base64.b64encode(pair.encode()).decode()
        begun = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            request.headers.get("Authorization") != wanted
            or begun is None
            or begun["code_challenge"] != challenge
            or begun["redirect_uri"] != form["redirect_uri"]
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = time.time()
        own: dict[str, Any] = {
            "iss": self.url,
            "iat": now,
            "exp": now + 300,
            "groups": self.groups,
        }
        identity = own | {"aud": CLIENT, "nonce": begun["nonce"]} | self.claims
        return web.json_response(
            {
                "token_type": "Bearer",
                "access_token": signed(**own),
                "id_token": signed(**identity),
                "expires_in": self.lasts,
            }
        )

    def settings(self, url: str) -> dict[str, Any]:
        """Give settings of a server that trusts it."""
        rules = [{"group": "soc", "roles": ["viewer", "revoker"]}]
        corp = RULES | {"issuer": self.url, "allow_private": True, "roles": rules}
        login = {
            "provider": "corp", "client_id": CLIENT, "title": "Corp",
        }  # fmt: skip
        return {"oidc": {"corp": corp}, "console": {"url": url, "login": login}}


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """Run a provider until the context ends."""
    made, app = Provider(), web.Application()

    async def discovery(_: web.Request) -> web.Response:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token",
                 "jwks_uri": "keys", "end_session_endpoint": "logout"}  # fmt: skip
        where = {name: f"{made.url}/{path}" for name, path in names.items()}
        return web.json_response({"issuer": made.url} | where)

    async def keys(_: web.Request) -> web.Response:
        return web.Response(body=jwks(k1=KEY))

    app.router.add_get("/.well-known/openid-configuration", discovery)
    app.router.add_get("/keys", keys)
    app.router.add_post("/token", made.token)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield made
    finally:
        await runner.cleanup()

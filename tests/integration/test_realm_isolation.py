"""A credential of one realm reads and writes nothing of another, on any route."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import pytest

from streams.apps.builders import http_listener
from streams.clients.peers import SERVES
from streams.http import server as server_of
from streams.http.peer_routes import UNDECLARED
from tests.integration.oidc_provider import provider
from tests.integration.serving import Server, running, until, values
from tests.integration.test_route_roles import OPEN, OWN, ROUTES, answered
from tests.integration.working import lay_out, pipeline
from tests.unit.test_oidc import RULES, signed

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from streams.settings.kafka import KafkaSettings

pytestmark = pytest.mark.integration

ALL = ["ingest", "viewer", "revoker", "restorer", "admin", "guard"]
REFUSED = (400, 401, 403)  # RFC 7009 says 400 where the client may not
NOT_OF_A_REALM = ("/v1/caller", "/console")
NOWHERE = (*REFUSED, 501)  # what no process of the settings answers


def foreign(folder: Path) -> dict[str, Any]:
    """Give settings with a token that may everything, elsewhere."""
    token = {
        "name": "foreign", "sha256": hashlib.sha256(b"foreign").hexdigest(),
        "roles": ALL, "realms": ["elsewhere"], "authority": "aws",
    }  # fmt: skip
    return {"tokens": [*values(folder)["tokens"], token]}


class Routes:
    """The routes of every application that listens while a test runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Look at all that listens."""
        self.apps: list[web.Application] = []

        async def listen(app: web.Application, *more: Any, **named: Any) -> Any:
            self.apps.append(app)
            return await server_of.listen(app, *more, **named)

        monkeypatch.setattr(http_listener, "listen", listen)

    def of(self, number: int) -> list[tuple[str, str]]:
        """Give method and path of all routes of one that ask for a credential."""
        found = [
            ("POST" if route.method == "*" else route.method, route.resource.canonical)
            for route in self.apps[number].router.routes()
            if route.resource is not None and route.method != "HEAD"
        ]
        # Whose a credential is, and nothing of any realm; and what no credential opens.
        found = [one for one in found if not one[1].startswith(NOT_OF_A_REALM)]
        asked = [one for one in found if ROUTES.get(" ".join(one)) not in (OPEN, OWN)]
        return [one for one in asked if not one[1].startswith((SERVES, "/statuslists"))]


async def test_a_credential_of_another_realm_may_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token, and a token of an OpenID provider; whatever realm the request names."""
    routes = Routes(monkeypatch)
    far = {"group": "soc", "roles": ALL, "realms": ["elsewhere"]}
    async with provider() as issuer:
        corp = RULES | {"issuer": issuer, "allow_private": True, "roles": [far]}
        more = foreign(tmp_path) | {"scim": {"agents": True}, "oidc": {"corp": corp}}
        async with running(tmp_path, **more) as run:
            now = time.time()
            jwt = signed(iss=issuer, iat=now, exp=now + 600)
            asked = routes.of(0)
            assert len(asked) > 30
            for method, path in asked:
                for token in ("foreign", jwt):
                    for query in ("", "?realm=default"):
                        status = await answered(run, method, path + query, token)
                        assert status in REFUSED, (method, path, query)
                # Where the credential is good for the realm, that one is not here.
                status = await answered(run, method, path + "?realm=elsewhere", jwt)
                assert status in (*REFUSED, 404), (method, path)
                # And what is good here does not reach there.
                for token in ("viewer", "restorer", "revoker", "aws"):
                    there = path + "?realm=elsewhere"
                    status = await answered(run, method, there, token)
                    assert status in REFUSED, (method, path, token)
            # With all that a question needs, too: one realm is served, and no other.
            used = "/v1/uses?identifier=agent.id:x&realm=elsewhere"
            assert await answered(run, "GET", used, jwt) in (*REFUSED, 404)


@pytest.mark.timeout(180)
async def test_on_kafka_too(
    tmp_path: Path, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has many realms, and shows each to its own people alone."""
    routes = Routes(monkeypatch)
    await lay_out(kafka_settings)
    async with pipeline(tmp_path, kafka_settings, **foreign(tmp_path)) as run:
        apps = dict(zip(("worker", "ingress"), (0, 1), strict=True))
        if all(path != UNDECLARED for _, path in routes.of(0)):
            apps = {"worker": 1, "ingress": 0}
        for name, number in apps.items():
            run_url = run.working.url if name == "worker" else run.ingress.url
            asked = routes.of(number)
            assert len(asked) >= 7
            server = Server(run_url, served=None, session=run.session)  # type: ignore[arg-type]
            for method, path in asked:
                for query in ("", "?realm=default"):
                    status = await answered(server, method, path + query, "foreign")
                    assert status in NOWHERE, (name, method, path, query)
                status = await answered(
                    server, method, path + "?realm=elsewhere", "viewer"
                )
                assert status in NOWHERE, (name, method, path)

        async def mine() -> bool:
            headers = {"Authorization": "Bearer foreign"}
            url = f"{run.working.url}/v1/table?realm=elsewhere"
            async with run.session.get(url, headers=headers) as got:
                return got.status == 200

        await until(mine)

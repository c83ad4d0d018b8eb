"""A Keycloak that says again what a real one said: its logs, its SETs, its keys."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import define, field

from streams.sources.ssf.ssf import claims_of
from tests.integration.fake_vendors import serving
from tests.integration.serving import until, values
from tests.recordings.keycloak.connected import AUTHORITY, INTERVAL, polling
from tests.recordings.keycloak.realm import OURS
from tests.recordings.keycloak.record import FILE, LOGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKEN = "a-token-of-the-replay"
POLL = "/poll"
KEYS = "/certs"


def recording() -> dict[str, Any]:
    """Read the recording."""
    found: dict[str, Any] = json.loads(FILE.read_bytes())
    return found


@define
class Recorded:
    """The realm, as far as the recording was played.

    Attributes:
        now: the time of the step that was played last (ns).
        asked: how often each log and the stream were asked.
    """

    said: dict[str, Any]
    url: str = ""
    now: int = 0
    asked: dict[str, int] = field(factory=lambda: {POLL: 0, **dict.fromkeys(LOGS, 0)})
    refused: dict[str, Any] = field(factory=dict)
    _logs: dict[str, list[dict[str, Any]]] = field(
        factory=lambda: {name: [] for name in LOGS}
    )
    _sets: dict[str, str] = field(factory=dict)
    _keys: dict[str, Any] = field(factory=dict)

    def settings(self) -> dict[str, Any]:
        """Give the server's settings: the polls and the stream."""
        issuer = self.said["issuer"]
        stream = {
            "issuer": issuer, "jwks": self.url + KEYS, "authority": AUTHORITY,
            "delivery": "poll", "endpoint": self.url + POLL, "poll_seconds": INTERVAL,
            "token_env": "RECORDED_TOKEN", "allow_private": True, "verify_seconds": 0,
            **self.said["stream"],
        }  # fmt: skip
        own = polling(self.url, self.said["realm"], issuer, "secret")
        authorities = values(Path())["authorities"] | own["authorities"]
        return own | {"authorities": authorities, "ssf": {AUTHORITY: stream}}

    def clock(self) -> int:
        """Give the recorded time."""
        return self.now

    def begin(self) -> None:
        """Have the clock and the keys of the beginning, and nothing that was said."""
        first = self.said["steps"][0]
        self.now, self._keys = first["at"], first["jwks"]

    def say(self, step: dict[str, Any]) -> None:
        """Say what a step brought."""
        self.now, self._keys = step["at"], step["jwks"]
        for name, log in self._logs.items():
            log.extend(step[name])
        for token in step["sets"]:
            claims = claims_of(token.encode())
            assert claims is not None
            self._sets[claims["jti"]] = token

    async def heard(self) -> None:
        """Wait until all that was said is written: each feed came for more twice."""
        wanted = {name: times + 2 for name, times in self.asked.items()}

        def again() -> bool:
            return not self._sets and all(
                self.asked[name] >= times for name, times in wanted.items()
            )

        await until(again)

    async def log(self, request: web.Request) -> web.Response:
        """Give a page of a log, newest first."""
        assert f"Bearer {TOKEN}" == request.headers["Authorization"]
        name = request.path.rpartition("/")[2]
        self.asked[name] += 1
        query = {key: int(value) for key, value in request.query.items()}
        found = [one for one in self._logs[name] if one["time"] >= query["dateFrom"]]
        found.sort(key=lambda one: one["time"], reverse=True)
        return web.json_response(found[query["first"] :][: query["max"]])

    async def poll(self, request: web.Request) -> web.Response:
        """Take what is acknowledged; give the SETs that are not."""
        body = await request.json()
        self.asked[POLL] += 1
        self.refused |= body.get("setErrs", {})
        for jti in (*body.get("ack", ()), *body.get("setErrs", ())):
            self._sets.pop(jti, None)
        return web.json_response({"sets": self._sets})

    async def token(self, request: web.Request) -> web.Response:
        """Give a token to our client."""
        assert OURS == (await request.post())["client_id"]
        return web.json_response({"access_token": TOKEN, "expires_in": 3600})

    async def keys(self, _: web.Request) -> web.Response:
        """Give the public keys of now."""
        return web.json_response(self._keys)


@asynccontextmanager
async def recorded(said: dict[str, Any]) -> AsyncIterator[Recorded]:
    """Run it until the context ends."""
    keycloak = Recorded(said)
    keycloak.begin()
    realm = said["realm"]
    login = f"/realms/{realm}/protocol/openid-connect/token"
    async with serving(
        *(("GET", f"/admin/realms/{realm}/{name}", keycloak.log) for name in LOGS),
        ("POST", login, keycloak.token),
        ("POST", POLL, keycloak.poll),
        ("GET", KEYS, keycloak.keys),
    ) as url:
        keycloak.url = url
        yield keycloak

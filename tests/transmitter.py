"""A transmitter of shared signals for tests: metadata, keys, management, a queue.

It holds what it was told and sends what a test queues. It checks the bearer token and
keeps every request, so that tests can look at what a receiver really sent.
"""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

import jwt
from aiohttp import web
from attrs import define, field
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BEARER: Final = "transmitters-token"
AUDIENCE: Final = "https://us.example.com/ssf"
PUSH: Final = "urn:ietf:rfc:8935"
POLL: Final = "urn:ietf:rfc:8936"
CAEP: Final = "https://schemas.openid.net/secevent/caep/event-type/"
SSF: Final = "https://schemas.openid.net/secevent/ssf/event-type/"
SPENT: Final = 5.0  # seconds that a long poll is held

_KEY = ec.generate_private_key(ec.SECP256R1())


@define
class Transmitter:
    """The transmitter and what it saw.

    Attributes:
        url: its issuer.
        keys: private keys by kid; what `jwks` publishes.
        streams: by id, with their status and subjects.
        queue: signed SETs by jti, not yet acknowledged.
        acked: jtis in the order of their acknowledgement.
        errors: what was reported in setErrs.
        calls: method and path of every request; bodies: those that were JSON.
        fetched: how often the keys were asked for.
        planned: statuses to answer the next calls of a path with.
        instead: what polls are answered with in place of SETs; None: SETs.
        one_only: a second stream is refused.
        mute: verifications are accepted and never sent.
        client: id and secret that the token endpoint knows.
        answers: polls that are answered; further ones get 503. None: all.
    """

    url: str = ""
    keys: dict[str, Any] = field(factory=lambda: {"k1": _KEY})
    streams: dict[str, dict[str, Any]] = field(factory=dict)
    queue: dict[str, str] = field(factory=dict)
    acked: list[str] = field(factory=list)
    errors: dict[str, Any] = field(factory=dict)
    calls: list[tuple[str, str]] = field(factory=list)
    bodies: list[dict[str, Any]] = field(factory=list)
    fetched: int = 0
    planned: dict[str, list[int]] = field(factory=dict)
    instead: dict[str, Any] | None = None
    one_only: bool = False
    mute: bool = False
    client: tuple[str, str] = ("nobody", "")
    answers: int | None = None
    changed: asyncio.Event = field(factory=asyncio.Event)

    def signed(
        self, kind: str, event: dict[str, Any], kid: str = "k1", **claims: Any
    ) -> str:
        """Sign a SET; ``kind`` is an event URI, or a CAEP event."""
        body = {
            "iss": self.url, "aud": AUDIENCE, "iat": time.time(), "jti": "j1",
            "sub_id": {"format": "jwt_id", "iss": self.url, "jti": "tok-1"},
            "events": {kind if ":" in kind else CAEP + kind: event},
        } | claims  # fmt: skip
        key = self.keys.get(kid, _KEY)
        header = {"typ": "secevent+jwt", "kid": kid}
        return str(jwt.encode(body, key, "ES256", header))

    def put(self, jti: str, token: str | None = None, **claims: Any) -> None:
        """Queue a SET; without one, the revocation of token ``jti``."""
        if token is None:
            subject = {"format": "jwt_id", "iss": self.url, "jti": f"tok-{jti}"}
            token = self.signed(
                "session-revoked", {}, jti=jti, sub_id=subject, **claims
            )
        self.queue[jti] = token
        self.changed.set()

    def about(self, stream_id: str, kind: str, event: dict[str, Any]) -> str:
        """Sign what the stream says of itself."""
        subject = {"format": "opaque", "id": stream_id}
        jti = f"{kind}-{len(self.acked)}-{len(self.queue)}"
        return self.signed(SSF + kind, event, jti=jti, sub_id=subject)

    def document(self, **more: Any) -> dict[str, Any]:
        """Give the configuration document."""
        api = f"{self.url}/api"
        return {
            "issuer": self.url,
            "spec_version": "1_0",
            "jwks_uri": f"{self.url}/jwks",
            "delivery_methods_supported": [PUSH, POLL],
            "configuration_endpoint": f"{api}/streams",
            "status_endpoint": f"{api}/status",
            "add_subject_endpoint": f"{api}/subjects:add",
            "remove_subject_endpoint": f"{api}/subjects:remove",
            "verification_endpoint": f"{api}/verify",
            **more,
        }

    def jwks(self) -> dict[str, Any]:
        """Give the public keys."""
        algorithm: Any = jwt.get_algorithm_by_name("ES256")
        return {
            "keys": [
                dict(algorithm.to_jwk(key.public_key(), as_dict=True)) | {"kid": kid}
                for kid, key in self.keys.items()
            ]
        }

    def settings(self, **more: Any) -> dict[str, Any]:
        """Give the settings of a stream of this transmitter."""
        return {
            "issuer": self.url, "audience": [AUDIENCE], "allow_private": True,
            "token_env": "SSF_TEST_TOKEN", "verify_seconds": 0, **more,
        }  # fmt: skip

    async def metadata(self, _: web.Request) -> web.Response:
        """Serve the configuration document."""
        return web.json_response(self.document())

    async def serve_keys(self, _: web.Request) -> web.Response:
        """Serve the keys."""
        self.fetched += 1
        return web.json_response(self.jwks())

    async def configuration(self, request: web.Request) -> web.Response:
        """Create, read, change and delete streams."""
        stream_id = request.query.get("stream_id")
        if request.method == "GET" and stream_id is None:
            return web.json_response(list(map(self._shown, self.streams)))
        if request.method == "POST":
            return await self._create(request)
        body = {} if request.method in ("GET", "DELETE") else await request.json()
        stream_id = stream_id or body.get("stream_id")
        if stream_id not in self.streams:
            return web.Response(status=404)
        if request.method == "DELETE":
            del self.streams[stream_id]
            return web.Response(status=204)
        if request.method in ("PATCH", "PUT"):
            kept = self.streams[stream_id]
            if request.method == "PUT":
                kept = {name: kept[name] for name in ("status", "subjects", "iss")}
            self.streams[stream_id] = {**kept, **body}
        return web.json_response(self._shown(stream_id))

    async def _create(self, request: web.Request) -> web.Response:
        if self.one_only and self.streams:
            return web.Response(status=409)
        body = await request.json()
        stream_id = f"s{len(self.streams) + 1}"
        delivery = body.get("delivery", {"method": POLL})
        if delivery["method"] == POLL:
            delivery["endpoint_url"] = f"{self.url}/poll/{stream_id}"
        self.streams[stream_id] = {
            **body, "stream_id": stream_id, "iss": self.url, "aud": AUDIENCE,
            "delivery": delivery, "status": "enabled", "subjects": [],
            "events_delivered": body.get("events_requested", []),
        }  # fmt: skip
        return web.json_response(self._shown(stream_id), status=201)

    def _shown(self, stream_id: str) -> dict[str, Any]:
        stream = dict(self.streams[stream_id])
        stream.pop("subjects", None)
        stream.pop("status", None)
        return stream

    async def status(self, request: web.Request) -> web.Response:
        """Read and set the status of a stream."""
        body = await request.json() if request.method == "POST" else {}
        stream_id = request.query.get("stream_id") or body.get("stream_id")
        if stream_id not in self.streams:
            return web.Response(status=404)
        stream = self.streams[stream_id]
        stream["status"] = body.get("status", stream["status"])
        return web.json_response({"stream_id": stream_id, "status": stream["status"]})

    async def add_subject(self, request: web.Request) -> web.Response:
        """Note a subject."""
        body = await request.json()
        self.streams[body["stream_id"]]["subjects"].append(body["subject"])
        return web.Response(status=200)

    async def remove_subject(self, request: web.Request) -> web.Response:
        """Forget a subject."""
        body = await request.json()
        self.streams[body["stream_id"]]["subjects"].remove(body["subject"])
        return web.Response(status=204)

    async def token(self, request: web.Request) -> web.Response:
        """Give the bearer token to the one client that is known (RFC 6749)."""
        name, secret = map(quote_plus, self.client)
        basic = b64encode(f"{name}:{secret}".encode()).decode()
        form = await request.post()
        if request.headers.get("Authorization") != f"Basic {basic}":
            return web.json_response({"error": "invalid_client"}, status=401)
        assert {"grant_type": "client_credentials", "scope": "ssf.manage ssf.read"} == (
            dict(form)
        )
        return web.json_response({"access_token": BEARER, "expires_in": 300})

    async def verify(self, request: web.Request) -> web.Response:
        """Queue the verification event."""
        body = await request.json()
        event = {"state": body["state"]} if "state" in body else {}
        token = self.about(body["stream_id"], "verification", event)
        if not self.mute:
            self.put(f"v{len(self.calls)}", token)
        return web.Response(status=204)

    async def poll(self, request: web.Request) -> web.Response:
        """Take acknowledgements and errors; give what is queued, or wait for it."""
        if self.answers is not None:
            if self.answers == 0:
                return web.Response(status=503)
            self.answers -= 1
        if self.instead is not None:
            return web.json_response(self.instead)
        body = await request.json()
        for jti in body.get("ack", []):
            self.acked.append(jti)
            self.queue.pop(jti, None)
        for jti, why in body.get("setErrs", {}).items():
            assert request.headers["Content-Language"]
            self.errors[jti] = why
            self.queue.pop(jti, None)
        if not self.queue and not body.get("returnImmediately"):
            self.changed.clear()
            try:
                async with asyncio.timeout(SPENT):
                    await self.changed.wait()
            except TimeoutError:
                pass
        most = body.get("maxEvents", len(self.queue))
        sets = dict(list(self.queue.items())[:most])
        more = len(sets) < len(self.queue)
        return web.json_response({"sets": sets, "moreAvailable": more})

    @web.middleware
    async def watch(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Keep the request; refuse it without the token, or as planned."""
        self.calls.append((request.method, request.path))
        if request.content_type == "application/json" and request.can_read_body:
            self.bodies.append(json.loads(await request.read()))
        if planned := self.planned.get(request.path):
            elsewhere = {"Location": f"{self.url}/jwks"}  # where it is a redirect
            return web.Response(status=planned.pop(0), headers=elsewhere)
        open_to_all = request.path.startswith("/.well-known/") or (
            request.path == "/jwks"
        )
        if request.path == "/token":
            pass  # it has an authorization of its own
        elif open_to_all:
            assert "Authorization" not in request.headers
        elif request.headers.get("Authorization") != f"Bearer {BEARER}":
            return web.Response(status=401)
        response: web.StreamResponse = await handler(request)
        return response

    def application(self) -> web.Application:
        """Put it together."""
        app = web.Application(middlewares=[self.watch])
        app.router.add_get("/.well-known/ssf-configuration", self.metadata)
        app.router.add_get("/jwks", self.serve_keys)
        app.router.add_route("*", "/api/streams", self.configuration)
        app.router.add_route("*", "/api/status", self.status)
        app.router.add_post("/api/subjects:add", self.add_subject)
        app.router.add_post("/api/subjects:remove", self.remove_subject)
        app.router.add_post("/api/verify", self.verify)
        app.router.add_post("/token", self.token)
        app.router.add_post("/poll/{stream}", self.poll)
        return app


@asynccontextmanager
async def transmitting(**values: Any) -> AsyncIterator[Transmitter]:
    """Run a transmitter until the context ends."""
    transmitter = Transmitter(**values)
    runner = web.AppRunner(transmitter.application(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        transmitter.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield transmitter
    finally:
        await runner.cleanup()

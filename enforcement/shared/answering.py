"""Answers on a Unix socket, for processes that do not read the table.

- ``GET /v1/check?identifier=kind:value`` (several times, and ``scope``, ``at_least``):
  200 where it is allowed, otherwise 403, so that nginx's auth_request understands it;
- ``POST /v1/check``: the same as JSON, with verified claims;
- ``POST /access/v1/evaluation``: AuthZEN, a subject type being a kind;
- ``/v1/authorize``: Envoy's ext_authz, see `enforcement.shared.authorizing`;
- ``GET /ready``: 200 with a lease, otherwise 503.

Who may ask is who may write to the socket. Gateways that hold tokens alone need a
decision point, which verifies them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from agents_registry.presentation import Presented
from enforcement.names import read_presented
from enforcement.shared.authorizing import UNREADABLE, Authorizations

if TYPE_CHECKING:
    from pathlib import Path

    from enforcement.guard import Guard
    from enforcement.names import Names
    from enforcement.shared.authorizing import ClaimHeaders
    from enforcement.verdict import Verdict

MOST_BYTES: Final = 1 << 16
MODE: Final = 0o660
FIELDS: Final = {"identifiers", "issued_at", "chain", "scope", "at_least"}


def application(guard: Guard, claims: ClaimHeaders | None = None) -> web.Application:
    """Application that answers by a guard.

    Args:
        guard: decides.
        claims: headers that a gateway sets; without them no gateway is answered.
    """
    asked = _Questions(guard)
    app = web.Application(client_max_size=MOST_BYTES)
    app.add_routes([
        web.get("/v1/check", asked.by_query),
        web.post("/v1/check", asked.by_json),
        web.post("/access/v1/evaluation", asked.authzen),
        web.get("/ready", asked.ready),
    ])  # fmt: skip
    if claims is not None:
        Authorizations(guard, claims).add_to(app)
    return app


async def listen(
    guard: Guard, path: Path, claims: ClaimHeaders | None = None
) -> web.AppRunner:
    """Answer on a socket until the runner is cleaned up.

    Raises:
        OSError: the socket cannot be made.
    """
    # A small body may unpack to a very large one.
    app = application(guard, claims)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False)
    await runner.setup()
    before = os.umask(0o777 & ~MODE)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(before)
    return runner


class _Questions:
    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def ready(self, _: web.Request) -> web.Response:
        holds = self._guard.standing.holds()
        return web.json_response({"lease": holds}, status=200 if holds else 503)

    async def by_query(self, request: web.Request) -> web.Response:
        query = request.query
        names = query.getall("identifier", [])
        verdict = await self._verdict(names, query.get("scope"), query.get("at_least"))
        return web.json_response(plain(verdict), status=200 if verdict.allowed else 403)

    async def by_json(self, request: web.Request) -> web.Response:
        body = await _object(request)
        if unknown := body.keys() - FIELDS:
            raise web.HTTPBadRequest(text=f"unknown fields: {sorted(unknown)}")
        issued_at = body.get("issued_at")
        if issued_at is not None and type(issued_at) is not int:
            raise web.HTTPBadRequest(text="issued_at is in ns since 1970")
        presented = _presented(
            body.get("identifiers"), issued_at, body.get("chain", [])
        )
        verdict = await self._verdict(
            presented, _text(body, "scope"), _text(body, "at_least")
        )
        return web.json_response(plain(verdict))

    async def authzen(self, request: web.Request) -> web.Response:
        subject = (await _object(request)).get("subject")
        if not isinstance(subject, dict):
            raise web.HTTPBadRequest(text="subject is missing, or no JSON object")
        kind, value = subject.get("type"), subject.get("id")
        if not isinstance(kind, str) or not isinstance(value, str):
            raise web.HTTPBadRequest(text="subject has a type and an id, both strings")
        verdict = await self._verdict(f"{kind}:{value}", None, None)
        told = plain(verdict)
        answer = {"decision": told.pop("allowed")}
        return web.json_response(
            answer if verdict.allowed else answer | {"context": told}
        )

    async def _verdict(
        self, presented: Presented | Names, scope: str | None, at_least: str | None
    ) -> Verdict:
        try:
            return await self._guard.check_in_turns(
                presented, scope=scope, at_least=at_least
            )
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error


def plain(verdict: Verdict) -> dict[str, Any]:
    """Verdict as JSON can hold it."""
    cause = verdict.cause
    told: dict[str, Any] = {
        "allowed": verdict.allowed,
        "reason": verdict.reason.value,
        "stale": verdict.stale,
        "path": list(map(str, verdict.path)),
    }
    if cause is not None:
        told["cause"] = {
            "id": cause.fact_id,
            "target": str(cause.target),
            "effect": cause.effect.value,
            "authority": cause.authority,
        }
    return told


def _presented(names: Any, issued_at: int | None, chain: Any) -> Presented | Names:
    """Presentation that JSON names; one that cannot be read is denied as such."""
    told, actors = (
        read_presented(each) if isinstance(each, list) else None
        for each in (names, chain)
    )
    if told is None or actors is None:
        return UNREADABLE
    return Presented(told.identifiers, issued_at, actors.identifiers)


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise web.HTTPBadRequest(text=f"{name} is a text")
    return value


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise web.HTTPBadRequest(text="the body is no JSON") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body is a JSON object")
    return body

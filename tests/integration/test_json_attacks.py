"""JSON that costs whoever reads it more than whoever sends it, on every route."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Final

import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.pdp.metrics import DecisionMetrics
from streams.pdp.service import application
from tests.held_loop import least_held
from tests.integration.beside import guarded
from tests.integration.serving import listening, until
from tests.integration.test_hooks import SECRET
from tests.integration.test_hooks import settings as hooks_of
from tests.integration.test_planted_everywhere import settings
from tests.integration.test_planted_secrets import settings as sources_of
from tests.pdp import point

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiohttp import web

    from tests.integration.serving import Server

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(120)]

SIZE: Final = 272 << 10  # bytes of a body; from 256 KiB on a process reads it
HOLD: Final = 0.08  # seconds; the guard's lease is far longer
MANY: Final = 5000  # values in one
BODIES: Final = {
    "deep_lists": b"[" * (SIZE // 4),
    "closed_lists": b"[" * (SIZE // 2) + b"]" * (SIZE // 2),
    "deep_objects": b'{"a":' * (SIZE // 5) + b"1" + b"}" * (SIZE // 5),
    "digits": b'{"identifier":' + b"9" * SIZE + b"}",
    "float": b'{"identifier":1e' + b"9" * SIZE + b"}",
    "keys": b"{" + b",".join(b'"%d":0' % n for n in range(SIZE // 9)) + b"}",
    "one_key": b"{" + b",".join([b'"a":0'] * (SIZE // 6)) + b"}",
    "escapes": b'{"identifier":"' + b"\\ud83d\\ude00" * (SIZE // 12) + b'"}',
    "text": b'{"identifier":"jwt.jti:' + b"a" * SIZE + b'"}',
    "values": b"[" + b"0," * MANY + b"0]",
    "objects": b"[" + b"{}," * MANY + b"{}]",
    "broken_lines": b"[\n" * MANY,
}
BODY: Final = frozenset({"POST", "PUT", "PATCH", "DELETE", "*"})


def routes(app: web.Application) -> Iterator[tuple[str, str]]:
    """Give method and path of all that may have a body."""
    for route in app.router.routes():
        if route.method not in BODY or route.resource is None:
            continue
        path = route.resource.canonical
        method = "POST" if route.method == "*" else route.method
        names = ["cloudtrail"]
        if path == "/v1/events/{source}":
            names = ["own", "cloudtrail"]
        elif path.startswith("/v1/hooks"):
            names = ["okta", "graph", "github"]
        for name in names:
            yield method, f"{path.partition('{')[0]}{name}" if "{" in path else path


async def send_all(
    server: Server, method: str, path: str, answered: dict[str, int | str]
) -> None:
    """Send each body to a route, as somebody who may do everything."""
    headers = {
        "Authorization": "Bearer everything", "X-Hook-Secret": SECRET,
        "Content-Type": "application/json", "X-GitHub-Event": "installation",
        "X-GitHub-Delivery": "d",
    }  # fmt: skip
    for name, body in BODIES.items():
        where = f"{method} {path} {name}"
        mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers["X-Hub-Signature-256"] = f"sha256={mac}"
        async with server.session.request(
            method, server.url + path, data=BytesIO(body), headers=headers
        ) as got:
            text = await got.text()
        answered[where] = got.status if got.status < 500 else text
    await until(lambda: server.served.stages.idle)


async def test_a_decision_point_reads_no_more_than_it_answers() -> None:
    """On each of its routes, of a caller that it knows."""
    made = point()
    app = application(
        made.decider, DecisionMetrics(made.guard, made.keys, None), made.keys
    )
    paths = [path for _, path in routes(app)]
    assert "/access/v1/evaluations" in paths
    bodies = {**BODIES, "crowded": b"[" + b"{}," * 300_000 + b"{}]"}
    headers = {"Authorization": "Bearer caller", "Content-Type": "application/json"}
    statuses: dict[tuple[str, str], int] = {}
    async with TestClient(TestServer(app)) as client:

        async def send(path: str, name: str) -> None:
            data = BytesIO(bodies[name])
            async with client.post(path, data=data, headers=headers) as got:
                statuses[path, name] = got.status

        for path, name in itertools.product(paths, bodies):
            held = await least_held(partial(send, path, name), HOLD)
            assert held.seconds < HOLD, (path, name, held)
    assert max(statuses.values()) < 500, statuses


async def test_no_route_is_brought_down_by_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each body is taken or refused, and the guard beside keeps its lease."""
    apps = listening(monkeypatch)
    hooks, sources = hooks_of(tmp_path), sources_of(tmp_path)
    made = settings(tmp_path)
    made["sources"] |= sources["sources"]
    made["authorities"] |= hooks["authorities"]
    made["hooks"] = hooks["hooks"]
    answered: dict[str, int | str] = {}
    async with guarded(tmp_path, **made) as server:
        for method, path in routes(apps[0]):
            send = partial(send_all, server, method, path, answered)
            held = await least_held(send, HOLD)
            # The process that reads large inputs holds nobody up; this loop has the
            # client too.
            assert held.seconds < HOLD, (method, path, held)
    broken = {name: how for name, how in answered.items() if not isinstance(how, int)}
    assert not broken, json.dumps(broken, indent=1)
    assert len(answered) > 200

"""Silences on a server: ordered from the command line, kept, audited, and ended."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request
from typer.testing import CliRunner

from streams.cli.alerts import alerts_app
from streams.http.alerts import Alerts
from streams.http.auth import Tokens
from streams.settings.access import StaticToken
from streams.stages.notify.deliveries import Activity
from streams.stages.notify.state import Buried, DeliveryState
from streams.stages.notify.trial import trial
from tests.integration.serving import (
    Server,
    receiving,
    running,
    until,
    values,
    webhook,
)
from tests.integration.test_unauthorised import _adopted, _revocation

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

NAME = "aws.access_key:AKIAEXAMPLE000000001"
ADMIN = {
    "name": "admin",
    "sha256": hashlib.sha256(b"admin").hexdigest(),
    "roles": ["admin"],
}


async def command(server: Server, *arguments: str, token: str = "restorer") -> Any:
    """Run ``rescind alerts`` against a server."""
    return await asyncio.to_thread(
        CliRunner().invoke,
        alerts_app,
        [*arguments, "--url", server.url],
        env={"RESCIND_TOKEN": token},
    )


async def found(server: Server) -> dict[str, Any]:
    """Wait for the finding about a source without authority."""

    async def look() -> list[dict[str, Any]]:
        return [f for f in await server.findings() if f["kind"] == "unauthorised"]

    (finding,) = await until(look)
    return dict(finding)


async def test_a_silenced_finding_is_recorded_and_told_when_that_ends(
    tmp_path: Path,
) -> None:
    """Marked with its reason; over a restart; told once; every order is audited."""
    async with receiving() as receiver:
        hook = webhook(receiver) | {"minimum_severity": 4}
        async with running(tmp_path, webhook=hook) as server:
            order = ["--kind", "unauthorised", "--identifier", "aws.*"]
            reason = ["--reason", "rotation on Monday", "--until", "8h"]
            done = await command(server, "silence", *order, *reason)
            assert done.exit_code == 0, done.output
            assert "Silent until" in done.output
            await _adopted(server)
            await server.post("/v1/events/cloudtrail", "stranger", _revocation(1))
            mark = (await found(server))["silenced"]
            assert ("rotation on Monday", "restorer") == (mark["reason"], mark["by"])
        async with running(tmp_path, webhook=hook) as server:
            listed = await command(server, "silences", token="viewer")
            assert "unauthorised of aws.*" in listed.output

            async def held() -> dict[str, Any] | None:
                _, answer = await server.get("/v1/alerts/silences")
                (silence,) = answer["silences"]
                return silence if silence["count"] else None

            silence = await until(held)
            assert silence["findings"][0]["identifier"] == NAME
            assert not receiver.got
            done = await command(server, "unsilence", silence["id"])
            assert "No longer silent: unauthorised of aws.* in default." in done.output
            await until(lambda: receiver.got)
            assert (await found(server))["silenced"] is None
            assert len(receiver.got) == 1
            gone = await command(server, "unsilence", silence["id"])
            assert gone.exit_code != 0
            none = await command(server, "silences", token="viewer")
            assert "There are no silences." in none.output
    with sqlite3.connect(tmp_path / "data" / "rescind.db") as db:
        acts = db.execute("SELECT actor, action FROM audit").fetchall()
    orders = [action for actor, action in acts if actor == "restorer"]
    assert sum("rotation on Monday" in action for action in orders) == 2


async def test_critical_kinds_are_silenced_by_an_admin_who_says_so(
    tmp_path: Path,
) -> None:
    """A restorer may not hide that revocation does not work."""
    tokens = [*values(tmp_path)["tokens"], ADMIN]
    async with running(tmp_path, tokens=tokens) as server:
        path = "/v1/alerts/silences"
        leak = {"kinds": ["leak"], "reason": "known", "until": "1h"}
        critical = leak | {"critical": True}

        assert (await server.post(path, "admin", leak))[0] == 422
        assert (await server.post(path, "restorer", critical))[0] == 403
        assert (await server.post(path, "viewer", leak))[0] == 403
        status, answer = await server.post(path, "admin", critical)
        assert (status, answer["kinds"]) == (201, ["leak"])
        once = {"kinds": ["ownerless"], "reason": "x", "until": "1h", "key": "k"}
        _, first = await server.post(path, "restorer", once)

        async def in_force() -> bool:
            return first["id"] in str(await server.get(path))

        await until(in_force)
        assert (200, first) == await server.post(path, "restorer", once)
        shown = await command(server, "silences", "--output", "json", token="viewer")
        assert '"leak"' in shown.output
        order = ["--realm", "default", "--critical", "--reason", "x", "--until", "1h"]
        done = await command(server, "silence", *order, token="admin")
        assert "all kinds (critical too) of * in default" in done.output
        json = ["silence", "--realm", "default", "--reason", "x", "--until", "1h"]
        done = await command(server, *json, "--output", "json")
        assert '"realm": "default"' in done.output
        taken = await command(server, "unsilence", answer["id"], "--output", "json")
        assert '"kinds": ["leak"]' in taken.output


async def test_who_orders_in_one_realm_silences_that_alone(tmp_path: Path) -> None:
    """What delivers on Kafka has the findings of all realms."""
    far = {"name": "far", "roles": ["restorer"]}
    far["sha256"] = hashlib.sha256(b"far").hexdigest()
    tokens = [*values(tmp_path)["tokens"], far | {"realms": ["*"]}]
    order = {"kinds": ["unauthorised"], "reason": "x", "until": "1h"}
    path = "/v1/alerts/silences"
    async with running(tmp_path, tokens=tokens) as server:
        status, answer = await server.post(path, "restorer", order)
        assert (status, answer["realm"]) == (201, "default")
        abroad = order | {"realm": "abroad"}
        assert (await server.post(path, "restorer", abroad))[0] == 403
        assert (await server.post(path, "far", abroad))[0] == 201
        status, answer = await server.post(path, "far", order)
        assert (status, answer["realm"]) == (201, "")

        _, listed = await server.get(path)

        assert sorted(each["realm"] for each in listed["silences"]) == ["", "default"]


async def test_what_was_given_up_is_shown_to_its_realm_alone() -> None:
    """What delivers on Kafka does so for all realms."""
    sha256 = hashlib.sha256(b"t").hexdigest()
    token = StaticToken(name="t", sha256=sha256, roles=frozenset({"viewer"}))
    letters = [
        Buried(delivery=trial("hook", realm, Activity.CREATE, 1), at=1, reason="x")
        for realm in ("default", "abroad")
    ]
    desk: Any = SimpleNamespace(state=DeliveryState(), routes=(), buried=AsyncMock())
    desk.buried.return_value = letters
    pages = Alerts(Tokens([token]), desk, "default", lambda: 1, AsyncMock())
    request = make_mocked_request(
        "GET", "/v1/alerts", headers={"Authorization": "Bearer t"}
    )

    answer: Any = await pages.list(request)
    shown = orjson.loads(answer.body)

    found = [each["finding"] for each in shown["dead_letters"]]
    assert found == [letters[0].delivery.finding.id]

"""How a running server tells of its sources, and what it remembers of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from streams.model.times import SECOND
from tests.integration.serving import (
    Server,
    created_key,
    running,
    until,
    used_key,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

AT = "2023-07-10T12:09:47Z"
HOOKS = {
    "okta": {"vendor": "okta", "authority": "idp", "secret": {"value": "s3cret"}},
}
SETTINGS: dict[str, Any] = {
    "hooks": HOOKS,
    "silent_seconds": {"hook:okta": 3600},
}


def settings(**more: Any) -> dict[str, Any]:
    """Give settings with one hook that is expected to speak."""
    grants = [{"kind": kind} for kind in ("okta.*", "aws.*")]
    authorities = {"idp": {"grants": grants}, "aws": {"grants": grants},
                   "stranger": {"grants": []}}  # fmt: skip
    return SETTINGS | {"authorities": authorities} | more


async def sources(server: Server) -> dict[str, dict[str, Any]]:
    """Give the rows by name."""
    status, answer = await server.get("/v1/sources")
    assert 200 == status
    return {each["name"]: each for each in answer["sources"]}


async def push(server: Server, secret: str, *events: dict[str, Any]) -> int:
    """Push to the Okta hook; give the status."""
    hook = {"eventType": "com.okta.event_hook", "data": {"events": list(events)}}
    body = orjson.dumps(hook)
    url = f"{server.url}/v1/hooks/okta"
    headers = {"Authorization": secret, "content-type": "application/json"}
    async with server.session.post(url, data=body, headers=headers) as got:
        return got.status


def suspended(event_id: str, user: str | None) -> dict[str, Any]:
    """Give an Okta event; without a user it names nobody."""
    target = [] if user is None else [{"type": "User", "id": user}]
    return {
        "uuid": event_id, "published": AT, "eventType": "user.lifecycle.unsuspend",
        "outcome": {"result": "SUCCESS"}, "target": target,
        "actor": {"id": "00uadmin", "type": "User", "alternateId": "ann@example.com"},
    }  # fmt: skip


async def found(server: Server, kind: str) -> list[dict[str, Any]]:
    """Give the findings of a kind."""
    return [each for each in await server.findings() if each["kind"] == kind]


async def test_each_way_in_has_a_row_that_outlives_a_restart(tmp_path: Path) -> None:
    """Counts, times, findings and metrics; no identifier and no secret in any."""
    async with running(tmp_path, **settings()) as server:
        assert "waiting" == (await sources(server))["hook:okta"]["state"]
        event = created_key("AKIA1", "ann", AT, "e1")
        for body in (event, created_key("AKIA2", "ann", AT, "e1")):
            data = orjson.dumps(body) + b"\nnonsense\n"
            assert 202 == (await server.post("/v1/events/cloudtrail", "aws", data))[0]
        idle = used_key("", "ann", AT, "e9") | {"userIdentity": {"type": "AWSService"}}
        await server.post("/v1/events/cloudtrail", "aws", idle)
        assert 401 == await push(server, "wrong", suspended("e2", "00u1"))
        assert 202 == await push(
            server, "s3cret", suspended("e2", "00u1"), suspended("e3", None)
        )
        (nameless,) = await until(lambda: found(server, "unmapped_subject"))
        (collided,) = await until(lambda: found(server, "id_collision"))
        assert 403 == (await server.get("/v1/sources", "aws"))[0]
        async with server.session.get(f"{server.url}/metrics") as got:
            metrics = await got.text()
        before = await sources(server)
    async with running(tmp_path, **settings()) as server:
        after = await sources(server)

    cloud, hook = before["events:cloudtrail"], before["hook:okta"]
    assert (4, 2, 1, "malformed") == (
        cloud["accepted"], cloud["rejected"], cloud["collisions"], cloud["reason"]
    )  # fmt: skip
    assert (1, 1, 1, "good") == (
        hook["rejected"], hook["refused"], hook["unmapped"], hook["state"]
    )  # fmt: skip
    assert hook["lag_seconds"] > 86_400
    assert (["e3"], "source:hook:okta") == (
        nameless["event_ids"], nameless["presented"]
    )  # fmt: skip
    assert (["e1"], "source:events:cloudtrail") == (
        collided["event_ids"], collided["presented"]
    )  # fmt: skip
    line = 'rescind_source_records_total{result="accepted",source="events:cloudtrail"}'
    assert f"{line} 4.0" in metrics
    assert f"{line.replace('accepted', 'without_effect')} 1.0" in metrics
    assert f"{line.replace('accepted', 'repeated')} 0.0" in metrics
    assert before == after
    for secret in ("s3cret", "ann@example.com", "AKIA1"):
        told = (nameless["message"], collided["message"], metrics, str(before))
        assert not [text for text in told if secret in text]


async def test_a_silent_source_is_found_and_its_return_is_a_gap(tmp_path: Path) -> None:
    """After the time of the settings, once; then it is good again."""
    ahead = [0]

    def clock() -> int:
        return time.time_ns() + ahead[0]

    async with running(tmp_path, clock, **settings()) as server:
        assert 202 == await push(server, "s3cret", suspended("e1", "00u1"))
        ahead[0] = 3700 * SECOND
        (silent,) = await until(lambda: found(server, "source_silent"))
        state = (await sources(server))["hook:okta"]["state"]
        assert 202 == await push(server, "s3cret", suspended("e2", "00u1"))
        back = (await sources(server))["hook:okta"]

        async def over() -> bool:
            return any(not one["open"] for one in await found(server, "source_silent"))

        await until(over)

    assert ("source:hook:okta", "silent", "good") == (
        silent["presented"], state, back["state"]
    )  # fmt: skip
    assert back["gap"]

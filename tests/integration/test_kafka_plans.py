"""Plans on Kafka: ingress keeps them, a worker has the table, others the uses."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.integration.fleet import FleetPorts, fleet
from tests.integration.serving import created_key, until, used_key
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings
    from tests.integration.fleet import RunningFleet

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(240)]

KEY: Final = "aws.access_key:AKIAEXAMPLE000000001"
USER: Final = "aws.user:arn:aws:iam::111122223333:user/mallory"
# No worker has both the table and the uses.
APART: Final = (frozenset({"registry", "closure", "audit"}), frozenset({"sentinel"}))


async def planned(run: RunningFleet) -> dict[str, Any]:
    """Plan to revoke a user."""
    body = {"act": "revoke", "identifier": USER, "reason": "leaked"}
    status, answer = await run.ask("POST", "/v1/plans", "revoker", json=body)
    assert status == 201, answer
    return dict(answer)


async def test_a_plan_is_whole_wherever_table_and_uses_are(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """It is refused after a change, and applied as it was seen without one."""
    await lay_out(kafka_settings)
    ports = FleetPorts.free(2)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    events = [
        created_key("AKIAEXAMPLE000000001", "mallory", at, "e-1"),
        used_key("AKIAEXAMPLE000000001", "mallory", at, "e-2"),
    ]
    async with fleet(tmp_path, kafka_settings, ports, stages=APART) as run:
        status, answer = await run.ask(
            "POST", "/v1/events/cloudtrail", "aws", json={"Records": events}
        )
        assert status == 202, answer

        async def used() -> dict[str, Any] | None:
            plan = await planned(run)
            return plan if plan["ends"]["by_last_use"]["hour"] else None

        plan = await until(used)
        assert plan["incomplete"] == []
        assert plan["first"][0]["identifier"] == KEY
        assert plan["acting_now"]["first"][0]["agent"] == USER
        path = f"/v1/plans/{plan['id']}/apply"
        more = {"credentials": [{"identifier": "jwt.jti:one", "parents": [KEY]}]}
        status, answer = await run.ask("POST", "/v1/adopt", "restorer", json=more)
        assert status == 201, answer
        status, answer = await run.ask("POST", path, "revoker", json={})
        assert (status, answer["title"]) == (409, "changed since the plan")
        assert answer["changes"]["added"]["first"] == ["jwt.jti:one"]

        plan = await planned(run)
        path = f"/v1/plans/{plan['id']}/apply"
        status, answer = await run.ask("POST", path, "revoker", json={})

        assert status == 201, answer

        async def denied() -> bool:
            status, told = await run.ask("GET", "/v1/why/jwt.jti:one")
            return status == 200 and not told["allowed"] and told["dead"]

        await until(denied)
        assert (await run.ask("GET", f"/v1/plans/{plan['id']}"))[1]["applied"]


async def test_uses_that_nobody_can_tell_of_are_said_to_be_missing(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """No sentinel runs: the plan says so, and can be applied all the same."""
    await lay_out(kafka_settings)
    ports = FleetPorts.free(2)
    async with fleet(tmp_path, kafka_settings, ports, running=1, stages=APART) as run:
        entry = {"credentials": [{"identifier": KEY, "parents": [USER]}]}
        status, answer = await run.ask("POST", "/v1/adopt", "restorer", json=entry)
        assert status == 201, answer
        plan = await planned(run)
        assert plan["ends"]["total"] == 1  # the user is a name that is given again
        (missing,) = plan["incomplete"]
        assert missing["of"] == "uses"
        assert "with other workers" in missing["detail"]
        path = f"/v1/plans/{plan['id']}/apply"
        status, answer = await run.ask("POST", path, "revoker", json={})
        assert status == 201, answer
        await asyncio.sleep(0)

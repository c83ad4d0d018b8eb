"""An embedded server whose clock is wrong: its guards say so, and nothing is lost."""

from __future__ import annotations

import json
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from enforcement import Guard
from enforcement.clocks import boottime
from streams.model.times import SECOND, rfc3339
from streams.process.server_clock import ServerClock
from tests.integration.serving import created_key, running, until, used_key
from tests.integration.test_guard_names import fleet

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

HOUR = 3600 * SECOND
KEY = "AKIAEXAMPLE000000001"
USES = 5


def whole(seconds: float) -> str:
    """Give a time by the true clock as CloudTrail writes it."""
    return f"{(rfc3339(time.time_ns() + round(seconds * SECOND)) or '')[:19]}Z"


async def test_a_server_an_hour_ahead_loses_no_alert(tmp_path: Path) -> None:
    """It takes its guards' time, says that its clock is wrong, and is not ready."""
    wrong = ServerClock(lambda: time.time_ns() + HOUR, boottime)
    tokens = fleet(tmp_path, a=[], b=[], c=[])
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(tmp_path, wrong, tokens=tokens)
        )

        async def ready() -> tuple[int, str]:
            async with server.session.get(f"{server.url}/healthz/ready") as got:
                return got.status, await got.text()

        status, text = await ready()
        assert (200, "ready") == (status, text.split("\n", 1)[0])
        for name in "abc":
            guard = Guard(server.url, name, name=name, lease=30.0)
            await stack.enter_async_context(guard)

        async def unready() -> str | None:
            status, text = await ready()
            return text if status == 503 else None

        assert "s ahead of the guards'" in await until(unready)
        async with server.session.get(f"{server.url}/healthz/startup") as got:
            assert got.status == 200, "a restart mends no clock"
        async with server.session.get(f"{server.url}/metrics") as got:
            (told,) = (
                float(one.split()[1])
                for one in (await got.text()).splitlines()
                if one.startswith("rescind_clock_offset_seconds ")
            )
        assert abs(told - 3600) < 2
        body = json.dumps({"Records": [created_key(KEY, "bob", whole(-600), "made")]})
        status, _ = await server.post("/v1/events/cloudtrail", "aws", body.encode())
        assert status == 202
        order = {"identifier": f"aws.access_key:{KEY}", "reason": "test"}
        assert 201 == (await server.post("/v1/revocations", "revoker", order))[0]
        used = [used_key(KEY, "bob", whole(5 + n), f"u{n}") for n in range(USES)]
        body = json.dumps({"Records": used})
        status, _ = await server.post("/v1/events/cloudtrail", "aws", body.encode())
        assert status == 202

        async def counted() -> bool:
            counts = {
                each["kind"]: each["count"]
                for each in await server.findings()
                if KEY in str(each["presented"])
            }
            return counts.get("use_after_revocation") == USES

        await until(counted, 20)

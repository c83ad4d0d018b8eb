"""One revoke, a tree across issuers: guards deny within the lease, issuers are probed.

The vault is a real one, AWS is moto's server.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from enforcement.guard import Guard
from tests.integration.cli_server import DEADLINE, environment
from tests.integration.forked_program import run_to_end
from tests.integration.serving import running, until
from tests.integration.test_endings_engine import bao as bao  # noqa: PLC0414 - fixture
from tests.integration.test_endings_engine import lives, made, name_of
from tests.integration.test_issuer_aws import ACCOUNT, aws, iam, moto, user_with_key

if TYPE_CHECKING:
    from pathlib import Path

    from streams.actuators.ways import WayActuator
    from tests.integration.openbao_server import OpenBaoServer

pytestmark = [
    pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(180),
]  # fmt: skip
__all__ = ["aws", "bao", "moto"]

AGENT = "agent.id:planner"


def actuators(bao: OpenBaoServer, moto: str) -> dict[str, Any]:
    """Act at both."""
    return {
        "vault-prod": {
            "vendor": "openbao", "authority": "vault", "url": bao.url,
            "allow_http": True, "device": "main", "mode": "automatic",
            "token": {"value": bao.root_token},
        },
        "aws-prod": {
            "vendor": "aws", "authority": "aws", "account": ACCOUNT, "url": moto,
            "sts": moto, "allow_http": True, "mode": "automatic",
            "key_id": "AKIAACTS", "key": {"value": "s"},
        },
    }  # fmt: skip


async def test_one_revoke_ends_a_tree_across_issuers(
    bao: OpenBaoServer, moto: str, aws: WayActuator, tmp_path: Path
) -> None:
    """An agent's vault token, the orphan of it, and its AWS key."""
    token = made(bao, bao.root_token, policies=["root"])
    orphan = made(bao, token["client_token"], policies=["default"], no_parent=True)
    key = await user_with_key(aws, "tree")
    names = [name_of(bao, token), name_of(bao, orphan), str(key)]
    entries = [
        {"identifier": AGENT},
        {"identifier": names[0], "parents": [AGENT]},
        {"identifier": names[1], "parents": [names[0]]},
        {"identifier": names[2], "parents": [AGENT]},
    ]
    async with (
        running(tmp_path, actuators=actuators(bao, moto)) as server,
        Guard(server.url, "guard", name="g") as guard,
    ):
        await guard.ready(60)
        body = {"credentials": entries}
        status, answer = await server.post("/v1/adopt", "restorer", body)
        assert 201 == status, answer
        await until(lambda: all(guard.check(name).allowed for name in names))
        began = time.monotonic()
        order = {"identifier": AGENT, "reason": "test"}
        status, answer = await server.post("/v1/revocations", "revoker", order)
        assert 201 == status
        await until(lambda: not any(guard.check(name).allowed for name in names))
        denied = time.monotonic() - began
        line = ("closure", answer["id"], "--wait", "60", "--output", "json")
        done = await asyncio.to_thread(
            run_to_end, *line, "--url", server.url, cwd=tmp_path,
            env=environment(tmp_path, RESCIND_TOKEN="viewer"), timeout=3 * DEADLINE,
        )  # fmt: skip

    shown = json.loads(done.stdout)
    assert 0 == done.returncode, shown
    assert ("closed", "ended") == (shown["guards"]["state"], shown["issuers"]["state"])
    assert 3 == shown["issuers"]["ended"]
    assert [] == shown["issuers"]["not_ended"]
    assert denied < 1.0
    assert [False, False] == [lives(bao, token), lives(bao, orphan)]
    assert key.value not in await iam(aws, "ListAccessKeys", UserName="tree")

"""A revoke on a real broker ends a real vault's token, by one of two ingress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streams.stages.ending.groups import MOST_NAMED
from tests.integration.serving import until
from tests.integration.test_endings_engine import bao as bao  # noqa: PLC0414 - fixture
from tests.integration.test_endings_engine import lives, made, name_of, settings
from tests.integration.working import lay_out, pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings.kafka import KafkaSettings
    from tests.integration.openbao_server import OpenBaoServer

pytestmark = [
    pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(180),
]  # fmt: skip

MANY = MOST_NAMED + 9


async def test_a_token_ends_at_the_vault(
    bao: OpenBaoServer, tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Its child, which revoke-orphan parted, ends too; closure shows it."""
    await lay_out(kafka_settings)
    made(bao, bao.root_token, policies=["default"])  # vouches for the vault's names
    parent = made(bao, bao.root_token, policies=["root"])
    child = made(bao, parent["client_token"], policies=["default"])
    body = {"token": parent["client_token"]}
    given = {"mode": "approve"}
    async with pipeline(tmp_path, kafka_settings, **settings(bao, **given)) as run:

        async def get(path: str) -> dict[str, Any]:
            headers = {"Authorization": "Bearer viewer"}
            async with run.session.get(run.ingress.url + path, headers=headers) as got:
                found: dict[str, Any] = await got.json()
                return found

        async def known() -> bool:
            rows = await run.table(0)
            return name_of(bao, child) in str(rows)

        await until(known)
        bao.call("POST", "auth/token/revoke-orphan", bao.root_token, body)
        order = {"identifier": name_of(bao, parent)}
        # More than are named, and what is approved is one of the others.
        orders = [
            await run.post("/v1/revocations", "revoker", order) for _ in range(MANY)
        ]
        assert [201] * MANY == [status for status, _ in orders]
        answer = orders[1][1]
        paths = [f"/v1/revocations/{each['id']}/issuers" for _, each in orders]
        path = paths[1]

        async def waits() -> bool:
            found = await get(path)
            # A probe may find by itself that the parent is gone.
            return bool(found["pending"] and found["pending"] + found["ended"] == 2)

        await until(waits)
        assert lives(bao, child)
        approval = {"cause": answer["id"], "reason": "test"}
        approved = await run.post("/v1/actuators/ours/approvals", "restorer", approval)

        async def ended() -> bool:
            found = await get(path)
            return bool(found["state"] == "ended")

        await until(ended)
        closure = await get(path)
        states = {(await get(each))["state"] for each in paths}

    assert 201 == approved[0]
    assert not lives(bao, child)
    assert 2 == closure["ended"]
    assert {"ended"} == states

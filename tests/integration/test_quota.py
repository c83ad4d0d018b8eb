"""An authority over its quota, at the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.serving import (
    created_key,
    deleted_key,
    running,
    until,
    values,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


async def test_over_the_quota_causes_get_in_and_the_rest_comes_again(
    tmp_path: Path,
) -> None:
    """429 with Retry-After; the other authority is as free as before."""
    given = values(tmp_path)["authorities"]
    given["aws"]["quota"] = {"facts_per_second": 0.01, "burst_seconds": 100}
    async with running(tmp_path, authorities=given) as run:
        many = [
            created_key(f"AKIA{n}", "mallory", "2026-07-10T12:09:47Z", f"e-{n}")
            for n in range(5)
        ]
        path = "/v1/events/cloudtrail"
        assert (await run.post(path, "aws", {"Records": many}))[0] == 202
        ending = deleted_key("AKIA1", "mallory", "2026-07-10T12:10:47Z", "e-x")
        more = created_key("AKIA9", "mallory", "2026-07-10T12:09:47Z", "e-9")
        status, answer = await run.post(path, "aws", {"Records": [ending, more]})
        assert (status, answer["title"]) == (429, "over quota")
        assert "revocations are taken in" in answer["detail"]
        headers = {"Authorization": "Bearer aws"}
        async with run.session.post(
            run.url + path, headers=headers, json={"Records": [more]}
        ) as got:
            assert (got.status, int(got.headers["Retry-After"]) > 0) == (429, True)
            assert "nothing was taken in" in (await got.json())["detail"]
        assert (await run.post(path, "aws", {"Records": [ending]}))[0] == 202
        await until(lambda: run.served.stages.idle)
        assert (await run.get("/v1/why/aws.access_key:AKIA1"))[1]["dead"]
        _, answer = await run.get("/v1/why/aws.access_key:AKIA9")
        assert answer["reason"] == "unknown_credential"

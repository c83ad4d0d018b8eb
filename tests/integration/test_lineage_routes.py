"""What is around an identifier, what is stated about it, and how it was used, asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.serving import created_key, deleted_key, running, until, used_key
from tests.property.lineages import adds_up

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

KEY = "AKIAEXAMPLE000000001"
NAME = f"aws.access_key:{KEY}"
USER = "aws.user:arn:aws:iam::111122223333:user/ci"


async def test_a_dead_key_that_is_used_is_shown_with_its_lineage(
    tmp_path: Path,
) -> None:
    """The same verdict as `why`; uses by point; refusals say what to do."""
    events = [
        created_key(KEY, "ci", "2026-01-01T10:00:00Z", "e1"),
        deleted_key(KEY, "ci", "2026-01-01T11:00:00Z", "e2"),
        used_key(KEY, "ci", "2026-01-01T11:30:00Z", "e3"),
    ]
    async with running(tmp_path) as server:
        status, _ = await server.post(
            "/v1/events/cloudtrail", "aws", {"Records": events}
        )
        assert status == 202
        await until(server.findings)

        _, why = await server.get(f"/v1/why/{NAME}")
        _, told = await server.get(f"/v1/lineage/{NAME}")
        nodes = {node["identifier"]: node for node in told["nodes"]}
        assert not adds_up(told, 100)
        assert (nodes[NAME]["allowed"], nodes[NAME]["reason"]) == (False, why["reason"])
        assert nodes[NAME]["used_since_end"]
        assert nodes[USER]["depth"] == -1

        _, stated = await server.get(f"/v1/nodes/{NAME}")
        assert [each["effect"] for each in stated["causes"]] == ["revoke"]
        status, uses = await server.get(f'/v1/uses?identifier=["{NAME}","{USER}"]')
        assert status == 200, uses
        assert (uses["total"], uses["callers"][0]["address"]) == (1, "192.0.2.1")

        _, nobody = await server.get("/v1/lineage/agent.id:nobody")
        assert (nobody["known"], nobody["nodes"]) == (False, [])
        for path in (
            f"lineage/{NAME}?limit=301",
            f"lineage/{NAME}?expand=[" + ",".join(['"agent.id:x"'] * 33) + "]",
            f"lineage/{NAME}?expand=[5]",
            f"lineage/{NAME}?expand=[",
            f"lineage/{NAME}?expand=secret:s3cr3t-value",
            "lineage/nonsense",
            "uses",
            "uses?identifier=nonsense",
            "uses?identifier=secret:s3cr3t-value",
        ):
            status, problem = await server.get(f"/v1/{path}")
            assert status == 422, path
            assert "s3cr3t" not in str(problem)

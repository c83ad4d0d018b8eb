"""Parts of the inventory, of the audit chain and of insights, of a running server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from streams.model.times import DAY, SECOND, rfc3339
from streams.services.audit_heads import head_reader, public_key
from tests.integration.serving import created_key, running, until, used_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

NOW = 1_800_000_000 * SECOND
SOON = str(rfc3339(NOW + DAY))
ANN = "person.id:ann"
KEYS = [f"vault.accessor:k{number:02}" for number in range(30)]


async def filled(run: Server) -> str:
    """Declare 30 credentials, of which Ann owns ten; revoke one, and give the id."""
    entries: list[dict[str, Any]] = [{"identifier": ANN}]
    entries += [{"identifier": key, "owners": [ANN]} for key in KEYS[:10]]
    entries += [{"identifier": key, "expires_at": SOON} for key in KEYS[10:]]
    status, told = await run.post("/v1/adopt", "restorer", {"credentials": entries})
    assert 201 == status, told
    order = {"identifier": KEYS[0], "reason": "lost"}
    status, told = await run.post("/v1/revocations", "revoker", order)
    assert 201 == status
    offset = int(told["token"].rpartition(":")[2])
    await run.served.stages.wait_applied(offset)
    return str(told["id"])


async def parts(run: Server, path: str, size: int) -> list[dict[str, Any]]:
    """Give the rows of all parts of a list."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        query = f"limit={size}" + (f"&after={quote(after)}" if after else "")
        status, told = await run.get(f"/v1/inventory/{path}&{query}")
        assert 200 == status, told
        assert len(told["rows"]) <= size
        found += told["rows"]
        if told["after"] is None:
            return found
        after = told["after"]


async def test_lists_are_given_in_parts_and_by_filters(tmp_path: Path) -> None:
    """Whatever the size of a part, each row is there once."""
    async with running(tmp_path, clock=lambda: NOW) as run:
        await filled(run)
        mine = f"owned?owner={quote(ANN)}"
        whole = await parts(run, mine, 1000)
        assert KEYS[:10] == sorted(row["identifier"] for row in whole)
        assert whole == await parts(run, mine, 3)
        (dead,) = await parts(run, f"{mine}&state=denied", 3)
        assert (KEYS[0], "revoked", [ANN]) == (
            dead["identifier"], dead["reason"], dead["owners"],
        )  # fmt: skip
        soon = await parts(run, "expiring?within=2d", 7)
        assert KEYS[10:] == [row["identifier"] for row in soon]
        assert {SOON} == {row["expires_at"] for row in soon}
        assert [] == await parts(run, "expiring?within=12h", 7)
        (owner,) = await parts(run, "owners?kind=person.*", 7)
        assert (ANN, 10) == (owner["identifier"], owner["owns"])
        lost = await parts(run, "ownerless?text=K1", 7)
        assert KEYS[10:20] == sorted(row["identifier"] for row in lost)
        for path, status in (
            ("all?after=5.000000000000", 409), ("all?after=5", 422), ("none", 404),
            ("all?limit=1001", 422), ("all?state=odd", 422), ("owned", 422),
            (f"all?text={'x' * 257}", 422), ("expiring?after=x", 422),
            ("expiring?within=x", 422), ("all?owner=x", 422), ("all?x=1", 422),
        ):  # fmt: skip
            assert status == (await run.get(f"/v1/inventory/{path}"))[0], path


async def test_the_audit_chain_is_searched_and_says_what_it_looked_at(
    tmp_path: Path,
) -> None:
    """By who, what and whom; its head is signed by the key that the server names."""
    async with running(tmp_path, clock=lambda: NOW) as run:
        _, none = await run.get("/v1/audit/head")
        assert (None, 0) == (none["head"], none["sequence"])
        await filled(run)
        _, told = await run.get("/v1/audit/head")
        read = head_reader([public_key(key.encode()) for key in told["keys"]])
        assert told["sequence"] == read(told["head"]).sequence > 30
        _, found = await run.get(
            f"/v1/audit/search?identifier={quote(KEYS[0])}&action=revoke"
        )
        first, act = found["lines"]
        assert ("cause", KEYS[0]) == (first["fact"]["fact"], first["fact"]["target"])
        assert act["entry"]["action"].endswith("lost")
        end = told["sequence"]
        whole = {"first": 1, "last": end, "read": end}
        assert (whole, None) == (found["looked"], found["after"])
        _, part = await run.get("/v1/audit/search?actor=operators&limit=2")
        assert 2 == len(part["lines"])
        assert part["after"] == part["lines"][-1]["sequence"] == part["looked"]["last"]
        _, none = await run.get("/v1/audit/search?until=2020-01-01T00:00:00Z")
        assert ([], whole) == (none["lines"], none["looked"])
        for query in ("since=x", f"actor={'x' * 257}", "limit=0", "by=x"):
            assert 422 == (await run.get(f"/v1/audit/search?{query}"))[0]


async def test_insights_count_causes_and_findings_by_hour(tmp_path: Path) -> None:
    """On the embedded engine as on Kafka; a longer step joins hours."""
    key, now = "AKIAIOSFODNN7EXAMPLE", [NOW]
    async with running(tmp_path, clock=lambda: now[0]) as run:
        await filled(run)
        at = str(rfc3339(NOW - 3600 * SECOND))
        made = created_key(key, "ann", "2023-07-10T12:09:47Z", "e1")
        assert 202 == (await run.post("/v1/events/cloudtrail", "aws", made))[0]
        order = {"identifier": f"aws.access_key:{key}"}
        assert 201 == (await run.post("/v1/revocations", "revoker", order))[0]
        now[0] += 1800 * SECOND
        used = used_key(key, "ann", str(rfc3339(now[0])), "e2")
        assert 202 == (await run.post("/v1/events/cloudtrail", "aws", used))[0]
        await until(run.findings)

        async def counted() -> Any:
            _, told = await run.get("/v1/insights")
            count = sum(each["count"] for each in told["revocations"])
            return told if count > 1 and told["findings"] else None

        told = await until(counted)
        (row,) = told["revocations"]
        hour = str(rfc3339(NOW // SECOND // 3600 * 3600 * SECOND))
        assert {
            "hour": hour, "authority": "operators", "effect": "revoke", "count": 2,
        } == row  # fmt: skip
        kinds = {each["kind"]: each["opened"] for each in told["findings"]}
        assert 1 == kinds["use_after_revocation"]
        _, days = await run.get("/v1/insights?hours=48&step=24")
        assert [2] == [each["count"] for each in days["revocations"]]
        assert days["revocations"][0]["hour"] < at
        for query in ("hours=0", "step=x", "hours=2161", "realm=other", "x=1"):
            status, _ = await run.get(f"/v1/insights?{query}")
            assert status in (403, 422), query

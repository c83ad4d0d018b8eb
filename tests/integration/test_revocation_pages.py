"""Revocations on a server: listed, by whom and why, and when they arrived."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.serving import running, until
from tests.integration.test_closure import guard, reached

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def closed_on_disk(folder: Path) -> int:
    """Count the causes that are closed in the file; they get there a little later."""
    with sqlite3.connect(folder / "data" / "rescind.db") as db:
        query = "SELECT count(*) FROM closures WHERE state = 'closed'"
        return int(db.execute(query).fetchone()[0])


async def test_revocations_are_listed_with_their_arrivals(tmp_path: Path) -> None:
    """Also after a restart, but for the times of arrival, which are in memory."""
    async with running(tmp_path) as server:
        async with guard(server, "one") as one, guard(server, "two") as two:
            await one.ready(50)
            await two.ready(50)
            answer: dict[str, Any] = {}
            for number in range(3):
                body = {"identifier": f"agent.id:a{number}", "reason": f"case {number}"}
                status, answer = await server.post("/v1/revocations", "revoker", body)
                assert status == 201

            async def none_is_open() -> bool:
                _, waiting = await server.get("/v1/revocations?state=open")
                return not waiting["revocations"]

            await until(none_is_open)  # else a guard that goes is counted as gone
            shown = await reached(server, answer["id"], "closed")

            assert (shown["by"], shown["reason"]) == ("revoker", "case 2")
            assert shown["authority"] == "operators"
            arrivals = shown["arrivals"]
            assert arrivals["untimed"] == 0
            assert arrivals["curve"][-1][1] == shown["applied"] == 2
            slowest = arrivals["slowest"]
            assert {"one", "two"} == {each["guard"] for each in slowest}
            assert slowest[0]["seconds"] >= slowest[1]["seconds"] >= 0
            assert slowest[0]["seconds"] <= shown["seconds"] + 1
        _, listed = await server.get("/v1/revocations", "restorer")
        rows = listed["revocations"]
        names = ["agent.id:a2", "agent.id:a1", "agent.id:a0"]
        assert names == [each["identifier"] for each in rows]
        same = shown.keys() - {"fenced", "laggards", "observing", "unknown", "arrivals"}
        assert {name: shown[name] for name in same}.items() <= rows[0].items()
        _, first = await server.get("/v1/revocations?limit=2")
        _, rest = await server.get(f"/v1/revocations?before={first['before']}")
        assert rows == [*first["revocations"], *rest["revocations"]]
        assert (rest["before"], rest["whole"]) == (None, True)
        _, waiting = await server.get("/v1/revocations?state=open")
        assert waiting["revocations"] == []
        for query in ("limit=0", "limit=1001", "state=closed", "before=x"):
            assert 422 == (await server.get(f"/v1/revocations?{query}"))[0]
        await until(lambda: closed_on_disk(tmp_path) == 3)
    async with running(tmp_path) as server:
        _, again = await server.get("/v1/revocations")
        assert [each["id"] for each in rows] == [e["id"] for e in again["revocations"]]
        _, shown = await server.get(f"/v1/revocations/{answer['id']}")
        assert (shown["arrivals"]["curve"], shown["arrivals"]["untimed"]) == ([], 2)


async def test_a_plan_that_was_applied_names_its_revocation(tmp_path: Path) -> None:
    """Whoever asks twice is told what the first did."""
    async with running(tmp_path) as server:
        order = {"act": "revoke", "identifier": "agent.id:planner", "reason": "x"}
        _, plan = await server.post("/v1/plans", "revoker", order)
        path = f"/v1/plans/{plan['id']}/apply"
        status, given = await server.post(path, "revoker", {})
        assert status == 201
        status, again = await server.post(path, "revoker", {})
        assert (status, again["applied"]["id"]) == (409, given["id"])
        _, listed = await server.get("/v1/revocations")
        assert [given["id"]] == [each["id"] for each in listed["revocations"]]

"""Findings on a server: looked for, shown with their alert, and acknowledged."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.serving import Server, running, until
from tests.integration.test_unauthorised import _adopted, _revocation

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


async def found(server: Server) -> dict[str, Any]:
    """Have a source without authority make a finding; give it."""
    await _adopted(server)
    await server.post("/v1/events/cloudtrail", "stranger", _revocation(1))

    async def look() -> list[dict[str, Any]]:
        return [f for f in await server.findings() if f["kind"] == "unauthorised"]

    (finding,) = await until(look)
    return dict(finding)


async def delete(server: Server, path: str, token: str) -> tuple[int, Any]:
    """Take something back."""
    headers = {"Authorization": f"Bearer {token}"}
    async with server.session.delete(server.url + path, headers=headers) as got:
        return got.status, await got.json(content_type=None)


def acts(folder: Path) -> list[str]:
    """List the lines of the audit about findings."""
    with sqlite3.connect(folder / "data" / "rescind.db") as db:
        lines = db.execute("SELECT actor, action FROM audit").fetchall()
    return [f"{who}: {what}" for who, what in lines if "finding" in what]


async def test_an_acknowledgement_is_kept_audited_and_shown(tmp_path: Path) -> None:
    """Over a restart; repeated it changes nothing; another person takes over."""
    async with running(tmp_path) as server:
        name = (await found(server))["id"]
        path = f"/v1/findings/{name}/acknowledgement"

        assert 403 == (await server.post(path, "viewer", {}))[0]
        status, answer = await server.post(path, "revoker", {"note": "on it"})
        mark = answer["acknowledged"]
        assert (status, mark["by"], mark["note"], mark["worse"]) == (
            201, "revoker", "on it", False,
        )  # fmt: skip
        assert 200 == (await server.post(path, "revoker", {"note": "on it"}))[0]
        assert len(acts(tmp_path)) == 1
        assert 422 == (await server.post(path, "revoker", {"note": 7}))[0]
        assert 422 == (await server.post(path, "revoker", {"remark": "x"}))[0]
    async with running(tmp_path) as server:
        _, answer = await server.get("/v1/findings?state=acknowledged")
        assert answer["findings"][0]["acknowledged"] == mark
        assert answer["findings"][0]["open"]  # nothing of it is over
        assert 201 == (await server.post(path, "restorer", {}))[0]
        _, shown = await server.get(f"/v1/findings/{name}")
        assert shown["acknowledged"]["by"] == "restorer"

        assert 403 == (await delete(server, path, "viewer"))[0]
        status, answer = await delete(server, path, "revoker")
        assert (status, answer["acknowledged"]) == (200, None)
        assert 404 == (await delete(server, path, "revoker"))[0]
        none = "/v1/findings/none/acknowledgement"
        assert 404 == (await server.post(none, "revoker", {}))[0]
    said = acts(tmp_path)
    assert len(said) == 3
    assert said[0].startswith(
        f"revoker: acknowledge finding {name}: unauthorised about"
    )
    assert said[0].endswith(": on it")
    assert "take back that restorer looks into finding" in said[2]


async def test_a_finding_is_shown_with_the_words_of_its_alert(tmp_path: Path) -> None:
    """As its receivers would read it, with what to do."""
    async with running(tmp_path) as server:
        finding = await found(server)
        status, shown = await server.get(f"/v1/findings/{finding['id']}", "revoker")

        alert = shown.pop("alert")
        assert (status, shown) == (200, finding)
        assert alert["title"].startswith("Statement from a source without authority: ")
        assert any(line.startswith("Now: ") for line in alert["lines"])
        assert alert["details"]["realm"] == "default"
        assert alert["closing"] is None
        assert 404 == (await server.get("/v1/findings/none"))[0]


async def test_people_look_for_findings(tmp_path: Path) -> None:
    """The newest first, by a filter; both orders at once are refused."""
    async with running(tmp_path) as server:
        finding = await found(server)

        for query in ("order=newest", "state=new&severity=high&kind=unauthorised"):
            _, answer = await server.get(f"/v1/findings?{query}")
            assert answer == {"findings": [finding], "before": None, "looked": 1}
        _, answer = await server.get(f"/v1/findings?before={finding['changed']}")
        assert answer == {"findings": [], "before": None, "looked": 0}
        _, answer = await server.get("/v1/findings?limit=1&order=newest")
        assert answer["before"] == finding["changed"]
        for query in ("order=odd", "kind=odd", "state=open&after=1", "before=x",
                      "order=oldest&kind=leak"):  # fmt: skip
            assert 422 == (await server.get(f"/v1/findings?{query}"))[0], query

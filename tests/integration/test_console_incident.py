"""An incident in the console: from a finding to the proof that nobody allows it."""

from __future__ import annotations

import hashlib
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from streams.model.times import DAY, rfc3339
from tests.integration.console_browser import Browser, Shown, browsing
from tests.integration.serving import Server, until, values
from tests.integration.test_closure import guard
from tests.integration.test_findings_pages import found

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

AGENT = "agent.id:planner"
HOSTILE = "<script>alert(1)</script>\u202e\x00'\"&{{ 7*7 }}"
_FIELD = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


def persons(folder: Path) -> list[dict[str, Any]]:
    """Give tokens of on-call people: each revokes and restores, and two are ann's."""
    tokens = list(values(folder)["tokens"])
    for name, person in (("ann", "ann"), ("ann2", "ann"), ("bob", "bob")):
        digest = hashlib.sha256(name.encode()).hexdigest()
        roles = ["viewer", "revoker", "restorer"]
        tokens.append(
            {"name": name, "person": person, "sha256": digest, "roles": roles}
        )
    return tokens


async def at(server: Server, token: str) -> Browser:
    """Give a browser that is logged in."""
    browser = Browser(server.url, server.session)
    await browser.login(token)
    return browser


def hidden(shown: Shown, form: str) -> dict[str, str]:
    """Give the hidden fields of the form that is sent to a path."""
    begin = shown.text.index(f'action="/console{form}"')
    part = shown.text[begin : shown.text.index("</form>", begin)]
    return {name: value for name, value in _FIELD.findall(part) if name != "csrf"}


async def test_from_a_finding_to_closed(tmp_path: Path) -> None:
    """Two forms: what it would end, and the order; sent twice, it is ordered once."""
    async with browsing(tmp_path, tokens=persons(tmp_path)) as (server, _):
        finding = await found(server)
        ann = await at(server, "ann")
        async with guard(server, "edge") as edge:
            await edge.ready(50)
            page = await ann.get(f"/findings/{finding['id']}?whole=1")
            assert "Statement from a source without authority" in page.text
            plan = await ann.act(
                "/contain/plan", finding=finding["id"], act="revoke", names=AGENT
            )
            assert "<h1>What this would end</h1>" in plan.text
            assert f'href="/console/findings/{finding["id"]}"' in plan.text
            given = hidden(plan, "/contain/apply")
            done = await ann.act("/contain/apply", **given, reason="case 7")
            assert "It is ordered." in done.text
            assert "case 7" in done.text

            async def closed() -> Any:
                _, answer = await server.get("/v1/revocations")
                return answer["revocations"][0]["state"] == "closed"

            await until(closed)
            again = await ann.act("/contain/apply", **given, reason="case 7")
            assert "It was applied by ann at" in again.text
            _, answer = await server.get("/v1/revocations")
            (row,) = answer["revocations"]
            shown = await ann.get(f"/revocations/{row['id']}?whole=1")
            for text in ("closed", "1 of 1", "ann", "case 7", "1 of 1 guards showed"):
                assert text in shown.text, text
            listed = await ann.get("/revocations?whole=1")
            assert f'href="/console/revocations/{row["id"]}"' in listed.text
            assert not edge.check(AGENT).allowed
        taken = await ann.act(f"/revocations/{row['id']}/withdraw", reason="wrong one")
        assert "It is taken back." in taken.text
        wrong = await ann.act(f"/revocations/{row['id']}/withdraw", reason=" ")
        assert wrong.status == 422
        assert "give a reason" in wrong.text
        assert 404 == (await ann.get("/revocations/none?whole=1")).status


async def test_a_plan_that_changed_is_refused_and_shown(tmp_path: Path) -> None:
    """Nothing is ordered, the reason stays; with a tick it is ordered all the same."""
    ahead = [0]
    more = {"tokens": persons(tmp_path), "clock": lambda: time.time_ns() + ahead[0]}
    async with browsing(tmp_path, **more) as (server, _):
        bob = await at(server, "bob")

        async def grown(name: str) -> None:
            entry = {"identifier": name, "parents": [AGENT]}
            body = {"credentials": [{"identifier": AGENT}, entry]}
            assert 201 == (await server.post("/v1/adopt", "restorer", body))[0]
            await until(lambda: server.served.stages.idle)

        await grown("vault.accessor:a0")
        plan = await bob.act("/contain/plan", act="suspend", names=AGENT)
        given = hidden(plan, "/contain/apply")
        await grown("vault.accessor:a1")
        refused = await bob.act("/contain/apply", **given, reason="case & <8>")

        assert refused.status == 409
        for text in ("Changed since <time", "<h3>1 more would end</h3>",
                     "vault.accessor:a1", 'value="case &amp; &lt;8&gt;"',
                     'name="anyway"'):  # fmt: skip
            assert text in refused.text, text
        assert (await server.get("/v1/revocations"))[1]["revocations"] == []
        done = await bob.act("/contain/apply", **given, reason="x", anyway="yes")
        assert "It is ordered." in done.text
        shown = await bob.act(done_path(done) + "/lift", reason="too soon")
        assert f"It is lifted. {AGENT} is still denied, though" in shown.text
        ahead[0] = 6 * 10**9
        shown = await bob.act(done_path(done) + "/lift", reason="over")
        assert "It is lifted.</p>" in shown.text
        assert (await server.get(f"/v1/why/{AGENT}"))[1]["allowed"]


def done_path(shown: Shown) -> str:
    """Give the path of the revocation that a page shows."""
    found = re.search(r'action="/console(/revocations/[0-9a-f]{64})/', shown.text)
    assert found is not None, shown.text
    return found[1]


async def test_nobody_is_their_own_second_person(tmp_path: Path) -> None:
    """Neither with another credential of theirs; what waits changes nothing."""
    limit = {"grants": [], "blast_limit": 1, "over_limit": "hold"}
    settings = values(tmp_path)["authorities"] | {"operators": limit}
    more = {"tokens": persons(tmp_path), "authorities": settings}
    async with browsing(tmp_path, **more) as (server, _):
        names = [f"vault.accessor:a{number}" for number in range(3)]
        entries = [{"identifier": name, "parents": [AGENT]} for name in names]
        body = {"credentials": [{"identifier": AGENT}, *entries]}
        assert 201 == (await server.post("/v1/adopt", "restorer", body))[0]
        await until(lambda: server.served.stages.idle)
        ann, same = await at(server, "ann"), await at(server, "ann2")
        bob = await at(server, "bob")
        plan = await ann.act("/contain/plan", act="revoke", names=AGENT)
        given = hidden(plan, "/contain/apply")
        waits = await ann.act("/contain/apply", **given, reason=HOSTILE)
        assert "not accepted" in waits.text
        assert "You proposed it" in waits.text
        assert "<script>alert" not in waits.text
        assert "\u202e" not in waits.text
        _, answer = await server.get("/v1/approvals")
        (pending,) = answer["approvals"]

        for person in (ann, same):
            refused = await person.act("/approvals/approve", id=pending["id"])
            assert refused.status == 403
            assert "not approved" in refused.text
        assert (await server.get("/v1/revocations"))[1]["revocations"] == []

        offered = await bob.get("/approvals?whole=1")
        assert hidden(offered, "/approvals/approve") == {"id": pending["id"]}
        empty = await bob.act("/approvals/reject", id=pending["id"], reason="")
        assert empty.status == 422
        done = await bob.act("/approvals/approve", id=pending["id"])
        assert "It is approved and done." in done.text
        assert done_path(done).endswith(pending["revocation"])
        again = await bob.act("/approvals/approve", id=pending["id"])
        assert again.status == 404


async def test_a_reader_sees_no_act(tmp_path: Path) -> None:
    """And what they send is refused by the API; whoever revokes sees no silence."""
    async with browsing(tmp_path) as (server, _):
        finding = await found(server)
        path = f"/findings/{finding['id']}"
        viewer = await at(server, "viewer")
        for page in (path, "/contain", "/approvals", "/findings", "/revocations"):
            shown = await viewer.get(f"{page}?whole=1")
            assert shown.status == 200, shown.text
            assert 'method="post" action="/console/contain' not in shown.text
            assert f'action="/console{path}' not in shown.text
        refused = await viewer.act(f"{path}/acknowledge", note="x")
        assert refused.status == 403
        refused = await viewer.act("/contain/plan", act="revoke", names=AGENT)
        assert refused.status == 403
        assert AGENT in refused.text or "may not end" in refused.text

        revoker = await at(server, "revoker")
        shown = await revoker.get(f"{path}?whole=1")
        assert f'action="/console{path}/acknowledge"' in shown.text
        assert f'action="/console{path}/silence"' not in shown.text
        done = await revoker.act(f"{path}/acknowledge", note=HOSTILE)
        assert "You look into it now." in done.text
        for text in (done.text, (await revoker.get("/findings?whole=1")).text):
            assert "<script>alert" not in text
            assert "\u202e" not in text
        back = await revoker.act(f"{path}/take-back")
        assert "Nobody looks into it any more." in back.text


async def test_a_silence_is_ordered_once(tmp_path: Path) -> None:
    """What is wrong is said beside the form, with what was typed."""
    async with browsing(tmp_path, tokens=persons(tmp_path)) as (server, _):
        finding = await found(server)
        path = f"/findings/{finding['id']}"
        bob = await at(server, "bob")
        page = await bob.get(f"{path}?whole=1")
        given = hidden(page, f"{path}/silence")
        wrong = await bob.act(f"{path}/silence", **given, reason="why", until="odd")
        assert wrong.status == 422
        assert "until: " in wrong.text
        assert 'value="why"' in wrong.text
        for _ in range(2):
            done = await bob.act(f"{path}/silence", **given, reason="why", until="8h")
            assert "It is silent until" in done.text

        async def silences() -> list[Any]:
            _, answer = await server.get("/v1/alerts/silences")
            return list(answer["silences"])

        assert len(await until(silences)) == 1
        listed = await bob.get("/findings?state=silenced&whole=1")
        assert f'href="/console{path}"' in listed.text
        none = await bob.get("/findings?state=new&whole=1")
        assert "No finding is one of these." in none.text


async def test_findings_are_looked_for_by_the_address(tmp_path: Path) -> None:
    """Saved views, a filter that cannot be read, a table to save."""
    async with browsing(tmp_path) as (server, browser):
        finding = await found(server)
        await browser.login("viewer")
        for query in ("", "?state=new", "?state=any&severity=high&authority=",
                      "?kind=unauthorised&identifier=aws.*"):  # fmt: skip
            joint = "&" if query else "?"
            shown = await browser.get(f"/findings{query}{joint}whole=1")
            assert f'href="/console/findings/{finding["id"]}"' in shown.text, query
        wrong = await browser.get("/findings?kind=odd&whole=1")
        assert "no kinds of findings: odd" in wrong.text
        assert 'value="odd"' in wrong.text
        closed = await browser.get("/findings?state=closed&whole=1")
        assert 'aria-current="page">Closed' in closed.text
        saved = await browser.get("/findings?export=csv")
        assert saved.headers["Content-Type"].startswith("text/csv")
        assert finding["id"] in saved.text
        assert 404 == (await browser.get("/findings/none?whole=1")).status


async def test_a_plan_that_cannot_be_made_loses_nothing(tmp_path: Path) -> None:
    """What was typed stands in the form again, but for a secret."""
    async with browsing(tmp_path) as (server, _):
        revoker = await at(server, "revoker")
        shown = await revoker.act(
            "/contain/plan", act="revoke", names="agnt.id:x\nsecret:hunter2-hunter2",
            reason=HOSTILE, where="", scopes="",
        )  # fmt: skip
        assert shown.status == 422
        assert "agnt.id:x" in shown.text
        assert "hunter2" not in shown.text
        assert "<script>alert" not in shown.text
        assert "&lt;script&gt;alert(1)" in shown.text
        gone = await revoker.get("/contain?plan=none&whole=1")
        assert gone.status == 404
        assert "plan it anew" in gone.text
        filled = await revoker.get(f"/contain?names={AGENT}&act=revoke&whole=1")
        assert f">{AGENT}</textarea>" in filled.text
        assert '<option value="revoke" selected>' in filled.text


async def test_what_is_ordered_for_later_can_be_cancelled(tmp_path: Path) -> None:
    """By whoever ordered it; the page says when it is carried out."""
    async with browsing(tmp_path, tokens=persons(tmp_path)) as (server, _):
        body = {"identifier": AGENT, "at": rfc3339(time.time_ns() + DAY), "reason": "x"}
        bob = await at(server, "bob")
        status, answer = await server.post("/v1/revocations", "bob", body)
        assert status == 202, answer
        shown = await bob.get("/approvals?whole=1")
        order = hidden(shown, "/approvals/cancel")
        wrong = await bob.act("/approvals/cancel", **order, reason="")
        assert wrong.status == 422
        done = await bob.act("/approvals/cancel", **order, reason="not needed")
        assert "It is cancelled" in done.text
        assert "No order waits for its time." in done.text

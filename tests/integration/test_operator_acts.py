"""Lift, withdraw, distrust and owners; and what waits for a second person."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import pytest

from streams.model.times import SECOND, rfc3339
from tests.integration.serving import created_key, running, until, values

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

AGENT = "agent.id:planner"
GRANTS = ["lift", "withdraw", "distrust", "owners", "adopt"]


def persons(**more: Any) -> dict[str, Any]:
    """Give settings with two restorers more, one of whom has two tokens."""
    people = {"alice": "alice", "alice-laptop": "Alice ", "bob": "bob"}
    tokens = [
        {
            "name": name,
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
            "roles": ["restorer", "revoker"],
            "person": person,
        }
        for name, person in people.items()
    ]
    return {"tokens": [*_tokens(), *tokens], **more}


def _tokens() -> list[dict[str, Any]]:
    from pathlib import Path  # noqa: PLC0415 - the folder is of no use here

    return list(values(Path())["tokens"])


async def lives(server: Server, name: str) -> bool:
    """Tell whether the server's table lets a name live, all applied."""
    await until(lambda: server.served.stages.idle)
    _, answer = await server.get(f"/v1/why/{name}")
    return not answer["dead"]


async def adopt(server: Server, **entry: Any) -> None:
    """Declare one name."""
    status, answer = await server.post(
        "/v1/adopt", "restorer", {"credentials": [entry]}
    )
    assert status == 201, answer


async def test_a_lift_ends_a_suspend_and_needs_a_reason(tmp_path: Path) -> None:
    """The audit record has the reason."""
    now = [time.time_ns()]
    async with running(tmp_path, clock=lambda: now[0]) as run:
        await adopt(run, identifier=AGENT, suspended="risk")
        assert not await lives(run, AGENT)
        order = {"identifier": AGENT, "aspect": "risk"}

        status, answer = await run.post("/v1/lifts", "restorer", order)
        assert status == 422
        assert "reason" in answer["detail"]
        now[0] += 6 * SECOND
        body = order | {"reason": "case 7 closed"}
        status, answer = await run.post("/v1/lifts", "restorer", body)

        assert (status, answer["accepted"]) == (201, True)
        assert await lives(run, AGENT)
        _, audit = await run.get("/v1/audit")
        assert "case 7 closed" in str(audit)


async def test_a_withdraw_takes_a_revocation_back(tmp_path: Path) -> None:
    """It names the fact, and may not name a withdraw or distrust."""
    async with running(tmp_path) as run:
        await adopt(run, identifier=AGENT)
        revoked = {"identifier": AGENT, "reason": "by mistake"}
        _, answer = await run.post("/v1/revocations", "revoker", revoked)
        assert not await lives(run, AGENT)

        order = {"identifier": AGENT, "fact": answer["id"], "reason": "wrong agent"}
        status, _ = await run.post("/v1/withdrawals", "restorer", order)

        assert status == 201
        assert await lives(run, AGENT)

        wrongs: tuple[dict[str, Any], ...]
        wrongs = ({"fact": "ab"}, {"kind": "distrust"}, {"more": 1})
        for wrong in wrongs:
            status, _ = await run.post("/v1/withdrawals", "restorer", order | wrong)
            assert status == 422


async def test_who_names_what_nobody_knows_is_told(tmp_path: Path) -> None:
    """It is written all the same: what it names may come later."""
    async with running(tmp_path) as run:
        await adopt(run, identifier=AGENT)
        revoked = {"identifier": AGENT, "reason": "by mistake"}
        _, answer = await run.post("/v1/revocations", "revoker", revoked)
        await until(lambda: run.served.stages.idle)
        fact, typo = answer["id"], "agent.id:plannr"
        why = {"reason": "wrong agent"}

        async def told(act: str, **order: Any) -> tuple[Any, str]:
            status, answer = await run.post(f"/v1/{act}", "restorer", why | order)
            assert (status, answer["accepted"]) == (201, True)
            return answer["unknown"], answer.get("detail", "")

        unknown, detail = await told("withdrawals", identifier=typo, fact=fact)
        assert [typo] == unknown
        assert f"nothing is known of {typo} so far, and nothing is taken" in detail
        unknown, detail = await told("withdrawals", identifier=AGENT, fact="0" * 64)
        assert ["0" * 64] == unknown
        assert f"`rescind why {AGENT}` shows the ids" in detail
        unknown, detail = await told("lifts", identifier="agent.id:nobody")
        assert ["agent.id:nobody"] == unknown
        assert "no suspension ends by this; is it spelt right?" in detail
        unknown, _ = await told("owners", identifier=typo, owners=["person.id:ann"])
        assert [typo] == unknown
        assert ([], "") == await told("withdrawals", identifier=AGENT, fact=fact)
        assert await lives(run, AGENT)


async def test_a_distrust_of_who_said_nothing_says_so(tmp_path: Path) -> None:
    """The authority, its credential and the time are looked up in the log."""
    async with running(tmp_path) as run:
        key = created_key("AKIAONE", "mallory", "2026-07-10T12:09:47Z", "e-1")
        await run.post("/v1/events/cloudtrail", "aws", {"Records": [key]})
        now = time.time_ns()
        order = {
            "suspect": "aws", "key": "aws", "from": rfc3339(now - 60 * SECOND),
            "reason": "key stolen",
        }  # fmt: skip
        before = {
            "from": rfc3339(now - 90 * SECOND), "to": rfc3339(now - 60 * SECOND),
        }  # fmt: skip
        for wrong in ({"suspect": "awss"}, {"key": "ws"}, {"key": "aw_"}, before):
            given = order | wrong
            status, answer = await run.post("/v1/distrusts", "restorer", given)
            assert (status, answer["accepted"]) == (201, True)
            assert [given["suspect"], given["key"]] == answer["unknown"]
            assert "are both spelt right?" in answer["detail"]

        _, answer = await run.post("/v1/distrusts", "restorer", order)
        assert ([], None) == (answer["unknown"], answer.get("detail"))


async def test_a_question_about_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    """With the nearest, and those of its system."""
    async with running(tmp_path) as run:
        for path in ("why", "blast-radius"):
            status, answer = await run.get(f"/v1/{path}/aws.acess_key:AKIA1")
            assert 422 == status
            assert (
                "no kind is called 'aws.acess_key'; is it aws.access_key? There"
                in (answer["detail"])
            )
            assert "aws.role" in answer["detail"]
            assert "okta.user" not in answer["detail"]
            status, answer = await run.get(f"/v1/{path}/zzz:1")
            assert 422 == status
            assert "okta.user" in answer["detail"]
            assert (await run.get(f"/v1/{path}/agent.id:nobody"))[0] == 200


async def test_a_distrusted_key_said_nothing(tmp_path: Path) -> None:
    """What it issued is unknown again."""
    async with running(tmp_path) as run:
        born = time.time_ns()
        key = created_key("AKIAONE", "mallory", "2026-07-10T12:09:47Z", "e-1")
        await run.post("/v1/events/cloudtrail", "aws", {"Records": [key]})
        await until(lambda: run.served.stages.idle)
        _, before = await run.get("/v1/why/aws.access_key:AKIAONE")
        assert before["allowed"]

        order = {
            "suspect": "aws", "key": "aws", "from": rfc3339(born - SECOND),
            "reason": "key stolen",
        }  # fmt: skip
        status, answer = await run.post("/v1/distrusts", "restorer", order)

        assert status == 201, answer
        await until(lambda: run.served.stages.idle)
        _, after = await run.get("/v1/why/aws.access_key:AKIAONE")
        assert not after["allowed"]
        order["from"] = rfc3339(time.time_ns() + 60 * SECOND)
        status, answer = await run.post("/v1/distrusts", "restorer", order)
        assert (status, "nothing" in answer["detail"]) == (422, True)


async def test_owners_are_said_as_an_authority_within_its_grants(
    tmp_path: Path,
) -> None:
    """And no empty set."""
    async with running(tmp_path) as run:
        order = {
            "identifier": "aws.user:arn:aws:iam::111122223333:user/x",
            "owners": ["agent.id:owner"], "authority": "aws", "reason": "handed over",
        }  # fmt: skip
        status, _ = await run.post("/v1/owners", "restorer", order)
        assert status == 201
        beyond = order | {"identifier": AGENT}
        status, answer = await run.post("/v1/owners", "restorer", beyond)
        assert (status, "may not speak of" in answer["detail"]) == (422, True)
        wrongs: tuple[dict[str, Any], ...]
        wrongs = ({"owners": []}, {"owners": ["nonsense"]}, {"authority": "no"})
        for wrong in wrongs:
            status, _ = await run.post("/v1/owners", "restorer", order | wrong)
            assert status == 422


async def test_a_grant_waits_for_another_person(tmp_path: Path) -> None:
    """Also over a restart, and whoever proposed it cannot approve it."""
    now = [time.time_ns()]
    more = persons(approvals={"acts": GRANTS, "expires_seconds": 600})
    async with running(tmp_path, clock=lambda: now[0], **more) as run:
        revoked = {"identifier": AGENT, "reason": "by mistake"}
        _, answer = await run.post("/v1/revocations", "revoker", revoked)
        order = {"identifier": AGENT, "fact": answer["id"], "reason": "wrong agent"}
        status, answer = await run.post("/v1/withdrawals", "alice", order)
        assert (status, answer["accepted"]) == (202, False)
        assert "not accepted" in answer["detail"]
        assert not await lives(run, AGENT)
        now[0] += 1
        listed = {"credentials": [{"identifier": AGENT}]}
        status, _ = await run.post("/v1/adopt", "alice", listed)
        assert status == 202

    async with running(tmp_path, clock=lambda: now[0], **more) as run:
        _, answer = await run.get("/v1/approvals")
        first, second = answer["approvals"]
        path = f"/v1/approvals/{first['id']}/approve"
        for himself in ("alice", "alice-laptop"):
            status, answer = await run.post(path, himself, {})
            assert (status, answer["title"]) == (403, "not approved")
        assert not await lives(run, AGENT)
        status, answer = await run.post(path, "bob", {})
        assert (status, answer["accepted"]) == (201, True)
        assert await lives(run, AGENT)
        assert (await run.post(path, "bob", {}))[0] == 404

        now[0] += 601 * SECOND
        path = f"/v1/approvals/{second['id']}"
        status, answer = await run.post(f"{path}/approve", "bob", {})
        assert (status, "in time" in answer["detail"]) == (410, True)
        assert (await run.get("/v1/approvals"))[1] == {"approvals": []}


async def test_what_waits_can_be_rejected(tmp_path: Path) -> None:
    """With a reason, once."""
    more = persons(approvals={"acts": GRANTS})
    async with running(tmp_path, **more) as run:
        listed = {"credentials": [{"identifier": AGENT}]}
        _, answer = await run.post("/v1/adopt", "alice", listed)
        path = f"/v1/approvals/{answer['pending'][0]['id']}/reject"
        assert (await run.post(path, "bob", {}))[0] == 422
        status, _ = await run.post(path, "bob", {"reason": "not ours"})
        assert status == 200
        assert (await run.post(path, "bob", {"reason": "again"}))[0] == 404
        _, audit = await run.get("/v1/audit")
        assert "not ours" in str(audit)

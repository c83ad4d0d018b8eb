"""Plans: what an act would reach, and the act as it was seen, on a running server."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from agents_registry.facts import SECOND
from streams.cli.main import app
from streams.model.times import rfc3339
from streams.ports.fact_log import NotWrittenError
from streams.services.plans import KeptPlans
from tests.integration.serving import created_key, running, until, used_key
from tests.integration.test_operator_acts import lives, persons

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

TOP = "agent.id:planner"
REVOKE = {"act": "revoke", "identifier": TOP, "reason": "leaked"}


async def grow(server: Server, *entries: dict[str, Any]) -> None:
    """Declare names, and wait until the table has them."""
    body = {"credentials": list(entries)}
    status, answer = await server.post("/v1/adopt", "restorer", body)
    assert status == 201, answer
    await until(lambda: server.served.stages.idle)


def below(number: int, **more: Any) -> dict[str, Any]:
    """Declare a credential of the agent."""
    return {"identifier": f"vault.accessor:a{number}", "parents": [TOP], **more}


async def planned(server: Server, **more: Any) -> dict[str, Any]:
    """Plan to revoke the agent."""
    status, answer = await server.post("/v1/plans", "revoker", REVOKE | more)
    assert status == 201, answer
    return dict(answer)


async def test_a_plan_shows_what_it_would_end_and_is_applied_as_seen(
    tmp_path: Path,
) -> None:
    """Nothing is ordered before; the audit line names the plan."""
    async with running(tmp_path) as run:
        ann, bob = "person.id:ann", "person.id:bob"
        await grow(
            run,
            {"identifier": TOP, "owners": [ann]},
            *map(below, range(3)),
            {"identifier": "agent.id:owned", "owners": [TOP]},
            {"identifier": "agent.id:shared", "owners": [TOP, bob]},
            {"identifier": ann},
            {"identifier": bob},
        )
        plan = await planned(run)

        ends = plan["ends"]
        assert ends["by_kind"] == {"agent.id": 2, "vault.accessor": 3}
        assert ends["by_owner"][0] == {"owner": ann, "count": 4}
        assert ends["by_authority"] == [
            {"authority": None, "count": 3}, {"authority": "operators", "count": 2}
        ]  # fmt: skip
        assert ends["by_last_use"]["never"] == ends["total"] == 5
        assert plan["lose_last_owner"] == {"total": 1, "first": ["agent.id:owned"]}
        assert (plan["live_on"], plan["denied_already"]["total"]) == (1, 0)
        assert plan["incomplete"] == []
        assert await lives(run, TOP)
        assert await run.get(f"/v1/plans/{plan['id']}") == (200, plan)

        path = f"/v1/plans/{plan['id']}/apply"
        assert (await run.post(path, "viewer", {}))[0] == 403
        status, answer = await run.post(path, "revoker", {"reason": "case 7"})

        assert status == 201, answer
        for name in (TOP, "vault.accessor:a2", "agent.id:owned"):
            assert not await lives(run, name)
        assert await lives(run, "agent.id:shared")
        _, audit = await run.get("/v1/audit")
        assert f"as of plan {plan['id']}" in str(audit)
        assert "case 7" in str(audit)
        status, answer = await run.post(path, "revoker", {})
        assert (status, answer["title"]) == (409, "applied already")


async def test_what_changed_since_is_told_and_nothing_is_ordered(
    tmp_path: Path,
) -> None:
    """Neither what came nor what went; with ``anyway`` it is ordered all the same."""
    async with running(tmp_path) as run:
        await grow(run, {"identifier": TOP}, *map(below, range(3)))
        plan = await planned(run)
        order = {"identifier": "vault.accessor:a0", "reason": "lost"}
        assert (await run.post("/v1/revocations", "revoker", order))[0] == 201
        await grow(run, below(7), below(8))

        path = f"/v1/plans/{plan['id']}/apply"
        status, answer = await run.post(path, "revoker", {})

        assert (status, answer["title"]) == (409, "changed since the plan")
        changes = answer["changes"]
        assert changes["added"]["by_kind"] == {"vault.accessor": 2}
        names = ["vault.accessor:a7", "vault.accessor:a8"]
        assert sorted(changes["added"]["first"]) == names
        assert changes["removed"]["first"] == ["vault.accessor:a0"]
        assert await lives(run, TOP)
        assert (await run.post(path, "revoker", {"anyway": True}))[0] == 201
        assert not await lives(run, "vault.accessor:a8")


async def test_what_ran_out_by_itself_is_no_change(tmp_path: Path) -> None:
    """It is told where something else changed."""
    now = [time.time_ns()]
    async with running(tmp_path, clock=lambda: now[0]) as run:
        soon = rfc3339(now[0] + 60 * SECOND)
        await grow(run, {"identifier": TOP}, below(1, expires_at=soon), below(2))
        plan = await planned(run)
        assert plan["ends"]["total"] == 3
        now[0] += 120 * SECOND
        path = f"/v1/plans/{plan['id']}/apply"
        await grow(run, below(3))
        status, answer = await run.post(path, "revoker", {})
        assert (status, answer["changes"]["added"]["total"]) == (409, 1)
        assert answer["changes"]["expired"] == 1
        order = {"identifier": "vault.accessor:a3", "reason": "not needed"}
        assert (await run.post("/v1/revocations", "revoker", order))[0] == 201
        await until(lambda: run.served.stages.idle)

        status, answer = await run.post(path, "revoker", {})

        assert status == 201, answer


async def test_a_plan_is_void_after_a_day(tmp_path: Path) -> None:
    """Whether it is looked at or applied; the next plan drops it."""
    now = [time.time_ns()]
    async with running(tmp_path, clock=lambda: now[0]) as run:
        await grow(run, {"identifier": TOP})
        plan = await planned(run)
        now[0] += 86_400 * 10**9 + 10**9
        for status, _ in (
            await run.get(f"/v1/plans/{plan['id']}"),
            await run.post(f"/v1/plans/{plan['id']}/apply", "revoker", {}),
        ):
            assert status == 410
        await planned(run)
        assert (await run.get(f"/v1/plans/{plan['id']}"))[0] == 404
        assert await lives(run, TOP)


async def test_used_names_come_first_and_who_acts_now_is_told(tmp_path: Path) -> None:
    """As the sentinel remembers uses; a shared account is told with its agents."""
    now = time.time_ns()
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now // 10**9 - 60))
    user = "aws.user:arn:aws:iam::111122223333:user/mallory"
    async with running(tmp_path) as run:
        events = [
            created_key("AKIAEXAMPLE000000001", "mallory", at, "e-1"),
            used_key("AKIAEXAMPLE000000001", "mallory", at, "e-2"),
        ]
        status, answer = await run.post(
            "/v1/events/cloudtrail", "aws", {"Records": events}
        )
        assert status == 202, answer
        await until(lambda: run.served.stages.idle)
        body = {"act": "revoke", "identifier": user, "first": 1}
        status, plan = await run.post("/v1/plans", "revoker", body)

        assert status == 201, plan
        assert plan["ends"]["by_last_use"]["hour"] >= 1
        (first,) = plan["first"]
        assert first["identifier"] == "aws.access_key:AKIAEXAMPLE000000001"
        assert first["last_use"] is not None
        (acting,) = plan["acting_now"]["first"]
        assert acting["agent"] == user


async def test_second_persons_hold_for_plans_too(tmp_path: Path) -> None:
    """What is applied waits as the act itself would; so does what reaches too much."""
    limit = {"grants": [], "blast_limit": 3, "over_limit": "hold"}
    nothing: dict[str, Any] = {"grants": []}
    authorities = {"operators": limit, "aws": nothing, "stranger": nothing}
    more = persons(authorities=authorities)
    more["sources"] = {}
    async with running(tmp_path, **more) as run:
        await grow(run, {"identifier": TOP}, *map(below, range(5)))
        plan = await planned(run)
        assert plan["ends"]["total"] == 6

        path = f"/v1/plans/{plan['id']}/apply"
        status, answer = await run.post(path, "revoker", {})

        assert status == 202, answer
        assert await lives(run, TOP)
        status, _ = await run.post(
            f"/v1/approvals/{answer['pending'][0]['id']}/approve", "bob", {}
        )
        assert status == 201
        assert not await lives(run, TOP)


async def test_a_selector_is_planned_by_what_matches_and_what_hangs_below(
    tmp_path: Path,
) -> None:
    """What comes under it since is told; planning leaves no trace in the table."""
    team = "label.team:payments"
    where = "label.team=payments,kind=vault.accessor"
    order = {"act": "suspend", "where": where, "for": "2h", "reason": "case 9"}
    async with running(tmp_path) as run:
        await grow(
            run,
            {"identifier": "person.id:ann"},
            {
                "identifier": "vault.accessor:m1",
                "labels": [team],
                "owners": ["person.id:ann"],
            },
            {"identifier": "vault.accessor:m2", "labels": [team]},
            {"identifier": "vault.accessor:other", "labels": ["label.team:other"]},
            {"identifier": "agent.id:named", "labels": [team]},
            {"identifier": "jwt.jti:below", "parents": ["vault.accessor:m1"]},
        )
        names = len(run.served.stages.registry.lineage)
        status, plan = await run.post("/v1/plans", "revoker", order)
        assert status == 201, plan
        mine = order | {"where": "owner=person.id:ann,label.team=payments"}
        status, owned = await run.post("/v1/plans", "revoker", mine)
        assert status == 201, owned
        assert owned["selector"] == {"matching": 1, "below": 1}
        assert len(run.served.stages.registry.lineage) == names

        assert plan["selector"] == {"matching": 2, "below": 1}
        assert plan["ends"]["total"] == 3
        path = f"/v1/plans/{plan['id']}/apply"
        await grow(run, {"identifier": "vault.accessor:m3", "labels": [team]})
        status, answer = await run.post(path, "revoker", {})
        assert (status, answer["title"]) == (409, "changed since the plan")
        assert answer["changes"]["added"]["first"] == ["vault.accessor:m3"]
        status, answer = await run.post(path, "revoker", {"anyway": True})
        assert status == 201, answer

        for name in ("vault.accessor:m3", "jwt.jti:below"):
            assert not await lives(run, name)
        assert await lives(run, "agent.id:named")
        assert await lives(run, "vault.accessor:other")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"identifier": TOP}, "act is one of"),
        ({"act": "end", "identifier": TOP}, "act is one of"),
        ({"act": "revoke"}, "identifier"),
        ({"act": "revoke", "identifier": TOP, "first": -1}, "first is a number"),
        ({"act": "revoke", "identifier": TOP, "more": 1}, "unknown fields: more"),
    ],
)
async def test_a_wrong_plan_is_refused(
    tmp_path: Path, body: dict[str, Any], what: str
) -> None:
    """With what to change."""
    async with running(tmp_path) as run:
        status, answer = await run.post("/v1/plans", "revoker", body)
        assert status == 422
        assert what in answer["detail"]


async def typed(server: Server, *line: str) -> tuple[int, str]:
    """Run a command against the server; give exit code and output."""
    env = {"RESCIND_URL": server.url, "RESCIND_TOKEN": "revoker"}
    got = await asyncio.to_thread(CliRunner().invoke, app, line, env=env)
    return got.exit_code, got.output


async def test_an_order_is_shown_and_given_at_the_command_line(tmp_path: Path) -> None:
    """Any of the four; what changed is told, and ``--anyway`` gives it."""
    async with running(tmp_path) as run:
        await grow(run, {"identifier": TOP, "owners": ["person.id:ann"]}, below(1))
        reason, said = ("--reason", "odd calls"), ""
        for order in (
            ("revoke", TOP, "agent.id:plannr"),
            ("narrow", TOP, "--scope", "r|x"),
            ("not-before", TOP),
            ("suspend", TOP, "--for", "2h"),
        ):
            code, said = await typed(run, *order, *reason, "--plan")
            assert code == 0, said
            assert "Nothing is ordered yet" in said
            assert "vault.accessor:a1" in said
            unknown = "Nothing is known of agent.id:plannr" in said
            assert unknown == ("agent.id:plannr" in order)
        plan = said.rstrip().rpartition(" ")[2]
        assert await lives(run, TOP)
        await grow(run, below(2))

        code, said = await typed(run, "apply", plan)

        assert code == 1
        changed = "not applied: changed since the plan: 1 more would end, 0 no longer "
        assert changed + "(planned at 2" in said
        added = "1 identifier (1 vault.accessor): vault.accessor:a2."
        assert f"It would also end {added}" in said
        assert await lives(run, TOP)
        code, said = await typed(run, "apply", plan, "--anyway")
        assert code == 0, said
        assert "Suspended agent.id:planner" in said
        assert not await lives(run, TOP)
        code, said = await typed(run, "apply", plan)
        assert (code, "applied already" in said) == (1, True)
        code, said = await typed(run, "apply", "none")
        assert (code, "no such plan" in said) == (2, True)


async def test_of_two_who_apply_a_plan_at_once_one_does(tmp_path: Path) -> None:
    """A second not-before would end what was issued after the first."""
    async with running(tmp_path) as run:
        await grow(run, {"identifier": TOP}, *map(below, range(3)))
        plan = await planned(run)
        path = f"/v1/plans/{plan['id']}/apply"
        answers = await asyncio.gather(
            *(run.post(path, "revoker", {}) for _ in range(4))
        )
        assert sorted(status for status, _ in answers) == [201, 409, 409, 409]
        _, audit = await run.get("/v1/audit")
        assert str(audit).count(f"as of plan {plan['id']}") == 1


async def test_a_plan_that_was_not_noted_as_applied_is_the_same_order_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash behind the order: its facts are repeated, of the first time."""
    order = {"act": "suspend", "identifier": TOP, "reason": "leaked", "for": "2h"}
    async with running(tmp_path) as run:
        await grow(run, {"identifier": TOP})
        status, plan = await run.post("/v1/plans", "revoker", order)
        assert status == 201, plan
        path = f"/v1/plans/{plan['id']}/apply"

        async def broken(*_: object) -> None:
            raise NotWrittenError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(KeptPlans, "note_applied", broken)
            _, first = await run.post(path, "revoker", {})
        status, again = await run.post(path, "revoker", {"anyway": True})

        assert status == 201, again
        assert (first["id"], first["until"]) == (again["id"], again["until"])
        assert (await run.post(path, "revoker", {"anyway": True}))[0] == 409

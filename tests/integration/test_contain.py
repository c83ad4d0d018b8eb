"""Contain by a selector: one fact for all that fits, also for what comes later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.life import Reason
from enforcement import Guard
from streams.model.times import SECOND
from tests.integration.serving import DEADLINE, running, until
from tests.integration.test_blast_limit import LIMIT, limited
from tests.integration.test_grant_commands import command
from tests.integration.test_operator_acts import adopt, lives, persons

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

PAYER, OTHER = "agent.id:payer", "agent.id:other"
TOKEN, LATER = "jwt.jti:of-payer", "jwt.jti:later"
WHY = ("--reason", "INC-7")
TEAM = "label.team=payments"


async def declared(run: Server) -> None:
    """Declare an agent of a team with a token, and one of no team."""
    body = {
        "credentials": [
            {"identifier": PAYER, "labels": ["label.team:payments"]},
            {"identifier": TOKEN, "parents": [PAYER]},
            {"identifier": OTHER},
        ]
    }
    status, answer = await run.post("/v1/adopt", "restorer", body)
    assert status == 201, answer


async def test_what_fits_is_contained_and_the_rest_is_not(tmp_path: Path) -> None:
    """By its kind below a label; born contained; the same selector lifts it."""
    now = [time.time_ns()]
    async with running(tmp_path, clock=lambda: now[0]) as run:
        await declared(run)
        contain = ("contain", "--where", f"kind=jwt.jti,{TEAM}", "--for", "2h", *WHY)
        code, out = await command(run, "revoker", *contain)
        said = f"Suspended what fits {TEAM},kind=jwt.jti, and what descends from it"
        assert (code, out.startswith(said)) == (0, True), out
        assert await lives(run, PAYER)
        assert not await lives(run, TOKEN)
        await adopt(run, identifier=LATER, parents=[PAYER])
        assert not await lives(run, LATER)
        await adopt(run, identifier="jwt.jti:elsewhere", parents=[OTHER])
        assert await lives(run, "jwt.jti:elsewhere")

        suspend = {"identifier": "label.team:payments", "reason": "r"}
        assert (await run.post("/v1/suspensions", "revoker", suspend))[0] == 201
        assert not await lives(run, PAYER)
        now[0] += 6 * SECOND
        lift = ("lift", "--where", f"{TEAM},kind=jwt.jti", *WHY)
        code, out = await command(run, "restorer", *lift)
        assert (code, out.startswith(f"Written: lift what fits {TEAM}")) == (
            0,
            True,
        )
        assert not await lives(run, TOKEN)  # by the other suspension
        assert (await run.post("/v1/lifts", "restorer", suspend))[0] == 201
        assert await lives(run, TOKEN)
        _, audit = await run.get("/v1/audit?limit=1000")
        assert f"suspend what fits {TEAM},kind=jwt.jti at" in str(audit)


async def test_a_lift_says_whether_the_selectors_suspend_stands_still(
    tmp_path: Path,
) -> None:
    """Exit code 1 if it does, and where none has this selector and aspect."""
    now = [time.time_ns()]
    where = f"{TEAM},kind=jwt.jti"
    async with running(tmp_path, clock=lambda: now[0]) as run:
        await declared(run)

        async def lifted(*more: str) -> tuple[int, str]:
            code, out = await command(run, "restorer", "lift", *more, *WHY)
            assert out.startswith("Written: lift what fits "), out
            return code, out

        none = "No suspend by operators has this selector and this aspect"
        slip = ("contain", "--where", "label.team=paymnts", *WHY)
        code, out = await command(run, "revoker", *slip)
        told = "rescind contain: nothing is known of label.team:paymnts so far"
        assert (code, told in out) == (0, True), out
        for line in (TEAM, where):
            contain = ("contain", "--where", line, "--aspect", "case-7", *WHY)
            assert (await command(run, "revoker", *contain))[0] == 0
            code, out = await lifted("--where", line)
            assert (code, none in out) == (1, True), out
            code, out = await lifted("--where", "label.team=other")
            assert (code, none in out) == (1, True), out
            _, out = await command(run, "viewer", "why", TOKEN)
            assert f"  cause      suspend of what fits {line}, and what des" in out
            assert "  aspect     case-7\n" in out
            lift = ("--where", line, "--aspect", "case-7")
            code, out = await lifted(*lift)
            assert (code, "Its suspend stands still" in out) == (1, True), out
            now[0] += 6 * SECOND
            code, out = await lifted(*lift)
            assert (code, "Its suspend is lifted." in out) == (0, True), out
            now[0] += 2 * 3600 * SECOND
            assert (await lifted(*lift))[0] == 0
        assert await lives(run, PAYER)


async def test_who_leaves_the_team_is_contained_no_more(tmp_path: Path) -> None:
    """And who joins it is; the labels are an order of a restorer, with a reason."""
    async with (
        running(tmp_path) as run,
        Guard(run.url, "guard", name="g") as guard,
    ):
        await declared(run)
        code, out = await command(run, "revoker", "contain", "--where", TEAM, *WHY)
        assert code == 0, out

        async def labelled(name: str, *line: str) -> str:
            code, out = await command(run, "restorer", "labels", name, *line, *WHY)
            assert code == 0, out
            token = out.split("at_least")[1].split()[0]
            assert await guard.wait_for(token, DEADLINE)
            return out

        await guard.ready(DEADLINE)
        await until(lambda: guard.check(TOKEN).reason is Reason.SUSPENDED)
        assert guard.check(OTHER).allowed
        await labelled(OTHER, "team=payments", "env=prod")
        assert guard.check(OTHER).reason is Reason.SUSPENDED
        out = await labelled(PAYER, "team=search")
        assert "set the labels of agent.id:payer to team=search, as operators" in out
        assert guard.check(TOKEN).allowed
        await labelled(OTHER, "--clear")
        assert guard.check(OTHER).allowed
        order = {"identifier": OTHER, "labels": ["team=payments"], "reason": "r"}
        assert (await run.post("/v1/labels", "revoker", order))[0] == 403


async def test_owners_and_labels_are_joined_and_nothing_else_is_ended(
    tmp_path: Path,
) -> None:
    """One fact, for what meets every condition; an owner alone is one, too."""
    now = [time.time_ns()]
    team, ann, bob = ["label.team:payments"], "person.id:ann", "person.id:bob"
    entries: list[dict[str, Any]] = [
        {"identifier": ann}, {"identifier": bob},
        {"identifier": PAYER, "labels": team, "owners": [ann]},
        {"identifier": TOKEN, "parents": [PAYER]},
        {"identifier": "agent.id:of-bob", "labels": team, "owners": [bob]},
        {"identifier": "agent.id:of-both", "labels": team, "owners": [bob, ann]},
        {"identifier": OTHER, "owners": [ann]},
    ]  # fmt: skip
    async with running(tmp_path, clock=lambda: now[0]) as run:
        body = {"credentials": entries}
        assert (await run.post("/v1/adopt", "restorer", body))[0] == 201
        both = f"owner={ann},{TEAM}"
        for where, ended in (
            (both, {PAYER, TOKEN, "agent.id:of-both"}),
            (f"owner={ann}", {PAYER, TOKEN, "agent.id:of-both", OTHER}),
        ):
            before = (await run.get("/v1/audit?limit=1000"))[1]["lines"]
            code, out = await command(run, "revoker", "contain", "--where", where, *WHY)
            assert code == 0, out
            after = (await run.get("/v1/audit?limit=1000"))[1]["lines"]
            assert len(after) - len(before) == 2  # the fact, and who ordered it
            for entry in entries:
                name = str(entry["identifier"])
                assert await lives(run, name) is (name not in ended), (where, name)
            now[0] += 6 * SECOND
            lift = ("lift", "--where", where, *WHY)
            assert (await command(run, "restorer", *lift))[0] == 0
            assert await lives(run, TOKEN)


async def test_labels_may_need_a_second_person(tmp_path: Path) -> None:
    """As whatever may end a denial."""
    async with running(tmp_path, **persons(approvals={"acts": ["labels"]})) as run:
        order = {"identifiers": [OTHER, PAYER], "labels": ["team=x"], "reason": "r"}
        status, answer = await run.post("/v1/labels", "alice", order)
        assert (status, answer["pending"][0]["kind"]) == (202, "labels")
        path = f"/v1/approvals/{answer['pending'][0]['id']}/approve"
        assert (await run.post(path, "bob", {}))[0] == 201
        suspend = {"where": "label.team=x", "reason": "r"}
        assert (await run.post("/v1/suspensions", "alice", suspend))[0] == 201
        assert not await lives(run, OTHER)


@pytest.mark.parametrize("where", [TEAM, "owner=person.id:ann,kind=agent.id"])
async def test_a_selector_that_reaches_too_much_is_held(
    tmp_path: Path, where: str
) -> None:
    """All that carries the label, or is the owner's, counts."""
    async with running(tmp_path, **limited("hold")) as run:
        label = ["label.team:payments"]
        more = {"labels": label, "owners": ["person.id:ann"]}
        entries = [{"identifier": f"agent.id:{n}", **more} for n in range(1 + LIMIT)]
        body = {"credentials": entries}
        assert (await run.post("/v1/adopt", "restorer", body))[0] == 201
        order = {"where": where, "reason": "r"}
        status, answer = await run.post("/v1/suspensions", "alice", order)
        assert (status, answer["accepted"]) == (202, False)
        assert await lives(run, "agent.id:0")
        path = f"/v1/approvals/{answer['pending'][0]['id']}/approve"
        assert (await run.post(path, "bob", {}))[0] == 201
        assert not await lives(run, "agent.id:0")


async def test_what_is_no_selector_is_refused(tmp_path: Path) -> None:
    """With what to write."""
    async with running(tmp_path) as run:
        wrongs: tuple[tuple[str, dict[str, Any], str], ...] = (
            ("suspensions", {"where": "kind=jwt.jti"}, "name a label or an owner"),
            ("suspensions", {"where": f"{TEAM},kind=jwt.jtj"}, "is it jwt.jti?"),
            ("suspensions", {"where": TEAM, "identifier": OTHER}, "and not both"),
            ("suspensions", {"where": 5}, "condition 1 is none"),
            ("suspensions", {"where": "authority=aws"}, "name a label that it sets"),
            ("suspensions", {"where": "owner=x.y:z"}, "no kind is called 'x.y'"),
            ("revocations", {"where": TEAM}, "names identifiers: name them"),
        )
        for act, body, says in wrongs:
            status, answer = await run.post(f"/v1/{act}", "revoker", body)
            assert (status, says in answer["detail"]) == (422, True), answer
        grants: tuple[tuple[str, dict[str, Any], str], ...] = (
            ("lifts", {"where": TEAM, "identifier": OTHER}, "and not both"),
            ("labels", {"identifier": OTHER, "labels": ["team"]}, "as team=payments"),
            (
                "labels",
                {"identifier": OTHER, "labels": ["Team=x"]},
                "no key of",
            ),
            ("labels", {"identifier": OTHER, "labels": "team=x"}, "is a list of"),
            ("labels", {"identifier": "label.a:b", "labels": []}, "is a label itself"),
        )
        for act, body, says in grants:
            given = body | {"reason": "r"}
            status, answer = await run.post(f"/v1/{act}", "restorer", given)
            assert (status, says in answer["detail"]) == (422, True), answer
        for line, says in (
            (("labels", OTHER, *WHY), "or --clear to take all away"),
            (("lift", OTHER, "--where", TEAM, *WHY), "and not both"),
        ):
            code, out = await command(run, "restorer", *line)
            assert (code, says in out) == (2, True), out

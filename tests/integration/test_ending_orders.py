"""Suspend, narrow, not-before and revoke, over HTTP and as commands, of many names."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.life import Reason
from enforcement import Guard
from streams.model.times import SECOND, rfc3339
from tests.held_loop import least_held
from tests.integration.serving import DEADLINE, running, until
from tests.integration.test_blast_limit import LIMIT, grow, limited, paged
from tests.integration.test_grant_commands import asked, command
from tests.integration.test_operator_acts import lives

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

AGENT, CHILD = "agent.id:planner", "agent.id:child"
MANY = 10_000
WHY = ("--reason", "INC-7")


async def declared(run: Server) -> None:
    """Declare an agent and one below it."""
    body = {
        "credentials": [
            {"identifier": AGENT, "scope": ["api|read", "api|write"]},
            {"identifier": CHILD, "parents": [AGENT]},
        ]
    }
    assert (await run.post("/v1/adopt", "restorer", body))[0] == 201


async def test_a_suspend_is_lifted_by_its_aspect_alone(tmp_path: Path) -> None:
    """With its reason and who ordered it in the audit chain, and what is below."""
    now = [time.time_ns()]
    async with running(tmp_path, clock=lambda: now[0]) as run:
        await declared(run)
        order = {"identifier": AGENT, "reason": "odd calls"}
        for aspect in ("case-7", "case-8"):
            body = order | {"aspect": aspect}
            status, answer = await run.post("/v1/suspensions", "revoker", body)
            assert (status, answer["effect"]) == (201, "suspend"), answer
            assert answer["summary"].endswith(f"aspect {aspect}")
        assert not await lives(run, CHILD)
        now[0] += 6 * SECOND
        for aspect, alive in (("", False), ("case-7", False), ("case-8", True)):
            body = order | {"aspect": aspect}
            assert (await run.post("/v1/lifts", "restorer", body))[0] == 201
            assert await lives(run, CHILD) is alive
        _, audit = await run.get("/v1/audit?limit=1000")
        assert "odd calls" in str(audit)
        assert '"actor": "revoker"' in json.dumps(audit)


async def test_each_act_is_denied_by_a_guard_as_it_says(tmp_path: Path) -> None:
    """Narrowed to a scope, ended up to now, revoked."""
    async with (
        running(tmp_path) as run,
        Guard(run.url, "guard", name="g") as guard,
    ):
        await declared(run)
        await guard.ready(DEADLINE)

        async def reason(act: str, scope: str | None, **more: Any) -> Any:
            order = {"identifier": AGENT, "reason": "r", **more}
            status, answer = await run.post(f"/v1/{act}", "revoker", order)
            assert status == 201, answer
            assert await guard.wait_for(answer["token"], DEADLINE)
            return guard.check(CHILD, scope=scope).reason

        narrow = {"scopes": ["api|read"], "aspect": "x"}
        assert await reason("narrowings", "api|read", **narrow) is Reason.LIVES
        assert guard.check(CHILD, scope="api|write").reason is Reason.NARROWED
        assert guard.check(CHILD).reason is Reason.NARROWED
        assert await reason("not-before", "api|read") is Reason.NOT_BEFORE
        assert await reason("suspensions", "api|read") is Reason.SUSPENDED
        assert await reason("revocations", "api|read") is Reason.REVOKED


async def test_a_suspend_ends_by_itself_and_why_says_so(tmp_path: Path) -> None:
    """With its end while it lasts, and that it was there afterwards."""
    now = [time.time_ns()]
    async with running(tmp_path, clock=lambda: now[0]) as run:
        await declared(run)
        suspend = ("suspend", AGENT, "--for", "2h", *WHY)
        code, out = await command(run, "revoker", *suspend)
        end = rfc3339(now[0] + 7200 * SECOND)
        assert (code, f", until {end}.\n" in out) == (0, True), out
        _, out = await command(run, "viewer", "why", CHILD)
        assert "suspended, until a restore or its end, through an ancestor" in out
        assert f"  ends       {end}\n" in out
        now[0] += 7200 * SECOND
        assert not await lives(run, CHILD)  # within the tolerance for clocks
        now[0] += 10 * SECOND
        assert await lives(run, CHILD)
        _, out = await command(run, "viewer", "why", CHILD)
        assert f"  ended      suspend of {AGENT}, by itself at {end}\n" in out
        _, audit = await run.get("/v1/audit?limit=1000")
        assert f"until {end}: INC-7" in str(audit)


async def test_what_is_no_order_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """And by nobody but a revoker."""
    async with running(tmp_path) as run:
        order = {"identifier": AGENT}
        assert (await run.post("/v1/suspensions", "restorer", order))[0] == 403
        for act, more, says in (
            ("suspensions", {"scopes": ["a|b"]}, "unknown fields: scopes"),
            ("revocations", {"for": "2h"}, "takes no end: suspend it"),
            ("not-before", {"until": "2199-01-01T00:00:00Z"}, "takes no end"),
            ("narrowings", {}, "scopes is a list"),
            ("suspensions", {"identifiers": [AGENT]}, "unknown fields: identifier"),
            ("suspensions", {"identifier": "agnt.id:x"}, "is it agent.id?"),
            ("suspensions", {"identifier": None}, "identifier is a text"),
        ):
            status, answer = await run.post(f"/v1/{act}", "revoker", order | more)
            assert (status, says in answer["detail"]) == (422, True), answer


@pytest.mark.long
async def test_one_order_ends_ten_thousand(tmp_path: Path) -> None:
    """All of them, with one audit entry that names their number and digest."""
    lines = ["# leaked tokens", "", *(f"jwt.jti:{n}" for n in range(MANY)), "jwt.jti:1"]
    order = {"identifiers": lines, "reason": "leak 9"}
    async with running(tmp_path) as run:
        status, answer = await run.post("/v1/revocations", "revoker", order)

        assert (status, answer["count"]) == (201, MANY), answer
        assert answer["effects"] == {"revoke": MANY}
        assert answer["summary"].startswith(f"revoke {MANY} identifiers (sha256 ")
        await until(lambda: run.served.stages.idle)
        for name in ("jwt.jti:0", f"jwt.jti:{MANY - 1}"):
            assert not await lives(run, name)
        _, seen = await run.get(f"/v1/revocations/{answer['id']}")
        assert seen["effect"] == "revoke"
        _, audit = await run.get(f"/v1/audit?limit=10&after={MANY - 1}")
        acts = [line for line in audit["lines"] if answer["summary"] in str(line)]
        assert len(acts) == 1
        assert "leak 9" in str(acts)


@pytest.mark.long
@pytest.mark.parametrize("act", ["suspensions", "lifts"])
async def test_a_long_order_holds_no_loop(tmp_path: Path, act: str) -> None:
    """Read, judged and written in pieces."""
    order = {"identifiers": [f"jwt.jti:{n}" for n in range(MANY)], "reason": "r"}
    body, token = json.dumps(order).encode(), ("restorer", "revoker")[act[0] == "s"]
    held = limited("hold")
    held["authorities"]["operators"]["blast_limit"] = 2 * MANY
    async with running(tmp_path, **held) as run:

        async def give() -> None:
            status, _ = await run.post(f"/v1/{act}", token, body)
            assert status == 201
            await until(lambda: run.served.stages.idle)

        seen = await least_held(give, 0.020)
    assert seen.seconds < 0.020, seen


async def test_bad_lines_are_named_and_nothing_is_done(tmp_path: Path) -> None:
    """By their numbers, also in a long list."""
    good = [f"jwt.jti:{n:050}" for n in range(600)]
    for lines in (good[:3], good):
        wrong = [*lines, "agnt.id:x", "", "nocolon"]
        async with running(tmp_path / str(len(lines))) as run:
            order = {"identifiers": wrong, "reason": "r"}
            status, answer = await run.post("/v1/suspensions", "revoker", order)
            assert status == 422
            first = len(lines) + 1
            assert f"line {first}: no kind is called 'agnt.id'" in answer["detail"]
            assert f"line {first + 2}: " in answer["detail"]
            assert answer["lines"] == [first, first + 2]
            _, table = await run.get("/v1/table")
            assert table["rows"] == []
            for bad, says in (
                ([], "is a list of texts"),
                ([5], "line 1: an identifier is a text"),
                (["", "# nothing"], "names 0 identifiers"),
                ([f"jwt.jti:x{n}" for n in range(10_001)], "give 1 to 10000"),
            ):
                given: dict[str, Any] = {"identifiers": bad}
                status, answer = await run.post("/v1/suspensions", "revoker", given)
                assert (status, says in answer["detail"]) == (422, True), answer


async def test_the_limit_counts_all_that_an_order_names(tmp_path: Path) -> None:
    """One approval for all of it, also over a restart; once."""
    names = [f"jwt.jti:{n}" for n in range(1100)]
    order = {"identifiers": names, "reason": "leak 9"}
    async with running(tmp_path, **limited("hold")) as run:
        few = order | {"identifiers": names[: LIMIT + 1]}
        assert (await run.post("/v1/suspensions", "alice", few))[0] == 201
        status, answer = await run.post("/v1/suspensions", "alice", order)
        assert (status, answer["accepted"]) == (202, False)
        (held,) = answer["pending"]
        assert (held["kind"], held["facts"], held["reason"]) == ("held", 1100, "leak 9")
        assert f"reaches more than {LIMIT} identifiers" in held["summary"]
        (finding,) = await paged(run)
        assert "held, not enforced" in finding["message"]
        _, why = await run.get("/v1/why/jwt.jti:1099")
        assert not why["dead"]

    async with running(tmp_path, **limited("hold")) as run:
        path = f"/v1/approvals/{held['id']}/approve"
        assert (await run.post(path, "alice-laptop", {}))[0] == 403
        status, answer = await run.post(path, "bob", {})
        assert (status, answer["facts"]) == (201, 1100), answer
        assert not await lives(run, "jwt.jti:1099")
        assert (await run.get("/v1/approvals"))[1] == {"approvals": []}
        (finding,) = await paged(run)
        assert not finding["open"]
        assert (await run.post(path, "bob", {}))[0] == 404


async def test_an_order_that_reaches_too_much_is_held_whatever_it_does(
    tmp_path: Path,
) -> None:
    """As a revocation is; rejected, it never comes."""
    async with running(tmp_path, **limited("hold")) as run:
        await grow(run, "agent.id:parent", range(1 + LIMIT))
        order = {"identifier": "agent.id:parent", "reason": "r"}
        for act, more in (
            ("suspensions", {}), ("not-before", {}), ("narrowings", {"scopes": ["a|b"]})
        ):  # fmt: skip
            status, answer = await run.post(f"/v1/{act}", "alice", order | more)
            assert status == 202, answer
            path = f"/v1/approvals/{answer['pending'][0]['id']}/reject"
            assert (await run.post(path, "bob", {"reason": "no"}))[0] == 200
        assert await lives(run, "agent.id:parent")


async def test_commands_give_the_orders(tmp_path: Path) -> None:
    """Of one name, of several, and of a file; exit code 1 where it waits."""
    file = tmp_path / "names.txt"
    file.write_text("# stolen\njwt.jti:1\n\njwt.jti:2\njwt.jti:3\njwt.jti:4\n")
    async with running(tmp_path, clock=time.time_ns, **limited("hold")) as run:
        await declared(run)
        suspend = ("suspend", AGENT, "--aspect", "case-7", *WHY)
        code, out = await command(run, "alice", *suspend)
        said = f"Suspended {AGENT}, and what descends from it, since "
        assert (code, out.startswith(said)) == (0, True)
        _, out = await command(run, "viewer", "why", CHILD)
        assert f"  cause      suspend of {AGENT}, and what descends from it\n" in out
        assert "  aspect     case-7\n" in out
        code, out = await command(run, "alice", "narrow", AGENT, "--scope", "a|b", *WHY)
        assert (code, out.startswith(f"Narrowed {AGENT}, and what")) == (0, True)
        code, out = await command(run, "alice", "not-before", AGENT, *WHY)
        assert (code, "what was issued under agent.id:planner until" in out) == (
            0, True
        )  # fmt: skip
        two = ("suspend", "jwt.jti:8", "jwt.jti:9", "--wait", "0", *WHY)
        code, out = await command(run, "alice", *two)
        said = "Suspended jwt.jti:8, jwt.jti:9, and what descends from them"
        assert (code, out.startswith(said)) == (1, True)
        assert "UNKNOWN: no guard sends receipts" in out
        code, out = await command(
            run, "alice", "suspend", "--from-file", str(file), *WHY
        )
        assert (code, "Suspended 4 identifiers" in out) == (0, True), out
        lift = ("lift", "--from-file", str(file), *WHY)
        code, out = await command(run, "alice", *lift)
        assert (code, out.startswith("Written: lift jwt.jti:1, jwt.jti:2")) == (1, True)
        assert "0 of 4 identifiers allowed.\nStill denied: 4; a lift ends " in out
        file.write_text(file.read_text() + "jwt.jti:5\n")
        answer = await asked(run, "alice", "revoke", "--from-file", str(file), *WHY)
        assert not answer["accepted"]


async def test_a_lift_of_several_says_which_are_denied_still(tmp_path: Path) -> None:
    """By an exit code, too; of the first hundred, and how many there are beside."""
    now, many = [time.time_ns()], [f"agent.id:{n}" for n in range(102)]
    file = tmp_path / "names.txt"
    file.write_text("# all\n" + "\n".join([*many, many[0]]))
    async with running(tmp_path, clock=lambda: now[0]) as run:
        entries = [{"identifier": each} for each in many]
        body = {"credentials": entries}
        assert (await run.post("/v1/adopt", "restorer", body))[0] == 201
        suspend = ("suspend", "--from-file", str(file), *WHY)
        assert (await command(run, "revoker", *suspend))[0] == 0
        lift = ("lift", *many[:12], *WHY)
        code, out = await command(run, "restorer", *lift)
        assert (code, "0 of 12 identifiers allowed." in out) == (1, True), out
        assert "  agent.id:9 (suspended)\n  and 2 more\n" in out
        now[0] += 6 * SECOND
        assert (await command(run, "revoker", "revoke", many[1], *WHY))[0] == 0
        answer = await asked(run, "restorer", *lift)
        revoked = {"identifier": many[1], "reason": "revoked"}
        assert (answer["alive"], answer["denied"]) == (False, [revoked])
        code, out = await command(run, "restorer", "lift", *many[2:12], *WHY)
        assert (code, out.endswith("10 of 10 identifiers allowed.\n")) == (0, True)
        lift = ("lift", "--from-file", str(file), *WHY)
        code, out = await command(run, "restorer", *lift)
        assert (code, "99 of 102 identifiers allowed.\n" in out) == (1, True), out
        assert "\n2 not looked at: ask `rescind why ID` of each\n" in out


async def test_all_names_that_nothing_is_known_of_are_counted(tmp_path: Path) -> None:
    """A hundred by name, and the rest by number."""
    file = tmp_path / "names.txt"
    async with running(tmp_path) as run:
        for number, more in ((150, "rescind suspend: and of 50 more: are"), (100, "")):
            names = [f"agent.id:{number}-{n}" for n in range(number)]
            file.write_text("\n".join(names))
            suspend = ("suspend", "--from-file", str(file), *WHY)
            code, out = await command(run, "revoker", *suspend)
            assert (code, out.count("nothing is known of agent.id:")) == (0, 100)
            assert (more in out, " more: are they" in out) == (True, bool(more))


async def test_commands_refuse_what_cannot_be_meant(tmp_path: Path) -> None:
    """With the line of the file, and what to do instead."""
    file = tmp_path / "names.txt"
    file.write_text("jwt.jti:1\n# x\nagnt.id:x\n")
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n")
    behind = tmp_path / "behind.txt"
    behind.write_text("jwt.jti:1\n\njwt.jti:2#a\njwt.jti:3  # leaked in CI\n")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\xff")
    async with running(tmp_path) as run:
        for line, says in (
            (("revoke", AGENT, "--for", "2h"), "takes no end: suspend it"),
            (("suspend",), "name an identifier, or a file"),
            (("suspend", AGENT, "--from-file", str(file)), "and not both"),
            (("suspend", "--from-file", str(file)), "line 3: no kind is called"),
            (("suspend", "--from-file", str(empty)), "names nothing"),
            (("suspend", "--from-file", str(binary)), "is not UTF-8"),
            (("suspend", "--from-file", str(behind)), "line 4: a comment stands"),
            (("suspend", "--from-file", str(tmp_path / "no")), "No such file"),
            (("suspend", AGENT, "--until", "noon"), "--until 'noon' is not a time"),
            (("revoke", AGENT, "x.y:z", "--with-created"), "takes one identifier"),
        ):
            code, out = await command(run, "revoker", *line)
            assert (code, says in out) == (2, True), (line, out)

"""Orders for later, on a running server: they outlive restarts and kills, and come."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from streams.model.times import SECOND, rfc3339
from streams.observability.failpoints import VARIABLE
from streams.services import schedule as schedule_of
from tests.integration.cli_server import DEADLINE, environment, serving
from tests.integration.cli_server import run as ask
from tests.integration.forked_program import RESCIND
from tests.integration.serving import running, until
from tests.integration.test_blast_limit import LIMIT, grow, limited
from tests.integration.test_grant_commands import asked, command
from tests.integration.test_operator_acts import AGENT, adopt, lives, persons

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

HOUR = 3600 * SECOND
WHY = ("--reason", "INC-7")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for what is due again and again."""
    monkeypatch.setattr(schedule_of, "LOOK_SECONDS", 0.01)


async def scheduled(run: Server) -> list[dict[str, Any]]:
    """List what waits for its time."""
    _, answer = await run.get("/v1/schedule")
    return list(answer["schedule"])


async def denied(run: Server, name: str) -> bool:
    """Tell whether a name is denied by now."""
    return not await lives(run, name)


def eventually(run: Server, name: str) -> Callable[[], Any]:
    """Give what asks whether a name is denied."""
    return lambda: denied(run, name)


async def test_an_order_outlives_a_restart_and_comes_at_its_time(
    tmp_path: Path,
) -> None:
    """One that came due while nothing ran is carried out at the start."""
    now = [time.time_ns()]
    at = rfc3339(now[0] + HOUR)
    names = [f"jwt.jti:{number}" for number in range(30)]
    order = {"identifiers": names, "reason": "end of contract", "at": at}
    async with running(tmp_path, clock=lambda: now[0]) as run:
        for act in ("suspensions", "revocations"):
            status, answer = await run.post(f"/v1/{act}", "revoker", order)
            assert (status, answer["accepted"]) == (202, False)
            assert answer["scheduled"]["due_at"] == at
        assert len(await scheduled(run)) == 2
        assert await run.get("/v1/why/jwt.jti:29") == await run.get(
            "/v1/why/jwt.jti:29"
        )

    async with running(tmp_path, clock=lambda: now[0]) as run:
        assert [each["facts"] for each in await scheduled(run)] == [30, 30]
        assert not (await run.get("/v1/why/jwt.jti:29"))[1]["dead"]
    now[0] += HOUR
    async with running(tmp_path, clock=lambda: now[0]) as run:
        await until(eventually(run, "jwt.jti:29"))
        await until_empty(run)
        _, why = await run.get("/v1/why/jwt.jti:0")
        assert why["cause"]["at"] == at
        _, audit = await run.get("/v1/audit?limit=1000")
        assert str(audit).count("carried out ") == 2


async def until_empty(run: Server) -> None:
    """Wait until nothing is scheduled."""

    async def empty() -> bool:
        return not await scheduled(run)

    await until(empty)


async def test_an_approval_is_asked_for_when_the_order_is_given(
    tmp_path: Path,
) -> None:
    """What was approved then is held no more; a lift may wait, too."""
    now = [time.time_ns()]
    more = limited("hold") | {"approvals": {"acts": ["lift"]}}
    async with running(tmp_path, clock=lambda: now[0], **more) as run:
        await grow(run, "agent.id:parent", range(1 + LIMIT))
        at = rfc3339(now[0] + HOUR)
        order = {"identifier": "agent.id:parent", "reason": "r", "at": at}
        waiting = []
        for act in ("suspensions", "lifts"):
            body = order if act == "suspensions" else order | {
                "at": rfc3339(now[0] + 2 * HOUR)
            }  # fmt: skip
            status, answer = await run.post(f"/v1/{act}", "alice", body)
            assert status == 202, answer
            assert answer["pending"][0]["due_at"] == body["at"]
            waiting.append(answer["pending"][0]["id"])
        assert await scheduled(run) == []
        for identity in waiting:
            path = f"/v1/approvals/{identity}/approve"
            status, answer = await run.post(path, "bob", {})
            assert (status, answer["accepted"]) == (202, False), answer
        assert [each["id"] for each in await scheduled(run)] == waiting
        now[0] += HOUR
        await until(eventually(run, "agent.id:0"))
        now[0] += HOUR
        await until_empty(run)
        assert await lives(run, "agent.id:0")


async def test_orders_are_listed_and_cancelled_by_commands(tmp_path: Path) -> None:
    """A revoker cancels their own, a restorer any; with a reason, in time."""
    now = [time.time_ns()]
    async with running(tmp_path, clock=lambda: now[0], **persons()) as run:
        await adopt(run, identifier=AGENT)
        at = ("--at", str(rfc3339(now[0] + HOUR)))
        code, out = await command(run, "viewer", "schedule")
        assert (code, out) == (0, "Nothing is scheduled.\n")
        code, out = await command(run, "alice", "revoke", AGENT, *at, *WHY)
        assert (code, out.startswith(f"Scheduled for {at[1]}: revoke {AGENT}")) == (
            0, True
        ), out  # fmt: skip
        answer = await asked(run, "alice", "suspend", AGENT, *at, *WHY, "--wait", "1")
        first, second = (each["id"] for each in await scheduled(run))
        assert answer["scheduled"]["id"] in (first, second)
        code, out = await command(run, "viewer", "schedule", "list")
        assert (code, f"{first}  {at[1]}  " in out, "by alice at" in out) == (
            0, True, True
        )  # fmt: skip
        cancel = ("schedule", "cancel")
        code, out = await command(run, "revoker", *cancel, first, *WHY)
        assert (code, "a restorer may cancel it" in out) == (2, True)
        code, out = await command(run, "alice", *cancel, first, *WHY)
        assert (code, out.startswith("Cancelled: ")) == (0, True)
        code, out = await command(run, "alice", *cancel, first, *WHY)
        assert (code, "list the schedule" in out) == (2, True)
        now[0] += HOUR - 3 * SECOND
        code, out = await command(run, "restorer", *cancel, second, *WHY)
        assert (code, "within seconds" in out) == (2, True)
        lift = ("lift", AGENT, "--at", str(rfc3339(now[0] + HOUR)), *WHY)
        code, out = await command(run, "bob", *lift)
        assert (code, out.startswith("Scheduled for ")) == (0, True)
        path = f"/v1/schedule/{second}/cancel"
        for body in ({}, {"reason": "r", "more": 1}):
            assert (await run.post(path, "restorer", body))[0] == 422


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_kill_between_due_and_written_loses_nothing(tmp_path: Path) -> None:
    """The next start carries the order out."""
    env = environment(tmp_path, **{VARIABLE: "schedule.claimed"})
    with subprocess.Popen(
        [RESCIND, "serve", "--listen", "127.0.0.1:0"],
        cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as killed:  # fmt: skip
        assert killed.stdout is not None
        assert killed.stdout.readline()
        at = str(rfc3339(time.time_ns() + 10 * SECOND))
        done = ask(tmp_path, "revoke", AGENT, "--at", at, *WHY)
        assert (done.returncode, "Scheduled for" in done.stdout) == (0, True), done
        assert -signal.SIGKILL == killed.wait(3 * DEADLINE)
    with serving(tmp_path) as again:
        end = time.monotonic() + DEADLINE
        while "Nothing is scheduled" not in again.ask("schedule")[1]:
            assert time.monotonic() < end
        why = again.json("why", AGENT)
        assert (why["reason"], why["cause"]["at"]) == ("revoked", at)


@pytest.mark.parametrize("stays", [True, False])
async def test_a_lift_is_not_that_of_who_is_a_restorer_no_more(
    tmp_path: Path, *, stays: bool
) -> None:
    """Whoever ends a stolen credential would have to look for what it scheduled."""
    now = [time.time_ns()]
    order = {"identifier": AGENT, "reason": "odd calls"}
    lift = {**order, "at": rfc3339(now[0] + HOUR)}
    people = persons()
    async with running(tmp_path, clock=lambda: now[0], **people) as run:
        assert (await run.post("/v1/suspensions", "revoker", order))[0] == 201
        assert (await run.post("/v1/lifts", "alice", lift))[0] == 202
        assert await denied(run, AGENT)
    if not stays:
        kept = [each for each in people["tokens"] if each["name"] != "alice"]
        people = {"tokens": kept}
    now[0] += 2 * HOUR
    async with running(tmp_path, clock=lambda: now[0], **people) as run:

        async def none_waits() -> bool:
            return not await scheduled(run)

        await until(none_waits)
        assert await lives(run, AGENT) is stays
        _, audit = await run.get("/v1/audit")
        assert ("alice is no restorer any more" in str(audit)) is not stays

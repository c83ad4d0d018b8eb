"""The commands that may allow again, against a running server."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from streams.cli.main import app
from tests.integration.serving import running
from tests.integration.test_blast_limit import LIMIT, grow, limited
from tests.integration.test_operator_acts import adopt, lives

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

AGENT = "agent.id:planner"
WHY = ("--reason", "INC-7")


async def command(run: Server, token: str, *arguments: str) -> tuple[int, str]:
    """Run a command with a token; give exit code and output."""
    env = {"RESCIND_URL": run.url, "RESCIND_TOKEN": token}
    work = CliRunner().invoke
    done = await asyncio.to_thread(work, app, list(arguments), env=env)
    return done.exit_code, done.output


async def asked(run: Server, token: str, *arguments: str) -> Any:
    """Run a command and read its JSON."""
    _, out = await command(run, token, *arguments, "--output", "json")
    return json.loads(out.partition("\n")[0])  # a note may follow


async def test_each_command_does_its_act(tmp_path: Path) -> None:
    """Those that need one person."""
    async with running(tmp_path) as run:
        await adopt(run, identifier=AGENT, suspended="risk")
        lift = ("lift", AGENT, "--aspect", "risk")
        code, out = await command(run, "restorer", *lift, "--authority", "aws", *WHY)
        assert (code, "may not speak of" in out) == (2, True)
        code, out = await command(run, "restorer", *lift, *WHY)
        assert (code, out.startswith("Written: lift agent.id:planner")) == (1, True)
        assert "It is still denied (suspended)" in out  # within 5 s: ambiguous
        at = "2026-01-01T00:00:00Z"
        await adopt(run, identifier="agent.id:old", suspended="risk", suspended_at=at)
        lift = ("lift", "agent.id:old", "--aspect", "risk")
        code, out = await command(run, "restorer", *lift, *WHY)
        assert (code, out.endswith("It is allowed.\n")) == (0, True)

        owner = ("owners", AGENT, "--owner", "agent.id:team")
        assert (await command(run, "restorer", *owner, *WHY))[0] == 0
        distrust = ("distrust", "aws", "--key", "aws", "--from", "2026-01-01T00:00:00Z")
        answer = await asked(run, "restorer", *distrust, *WHY)
        assert answer["accepted"]
        until = ("--to", "2026-01-02T00:00:00Z")
        assert (await command(run, "restorer", *distrust, *until, *WHY))[0] == 0

        revoked = {"identifier": "agent.id:z", "reason": "r"}
        _, answer = await run.post("/v1/revocations", "revoker", revoked)
        code, out = await command(run, "restorer", "lift", "agent.id:z", *WHY)
        assert (code, "It is still denied (revoked)" in out) == (1, True)
        withdraw = ("withdraw", "agent.id:z", answer["id"])
        assert (await command(run, "restorer", *withdraw, *WHY))[0] == 0
        assert await lives(run, "agent.id:z")
        typo = ("withdraw", "agent.id:zz", answer["id"])
        code, out = await command(run, "restorer", *typo, *WHY)
        assert (code, "nothing is known of agent.id:zz so far" in out) == (0, True)
        wrong = ("distrust", "awss", "--key", "aws", "--from", "2026-01-01T00:00:00Z")
        code, out = await command(run, "restorer", *wrong, *WHY)
        assert (code, "of the authority awss said in that time" in out) == (0, True)
        code, out = await command(run, "viewer", "why", "agnt.id:z")
        assert (code, "is it agent.id? There are agent.id" in out) == (2, True)
        code, out = await command(run, "restorer", "approvals", "list")
        assert (code, out) == (0, "Nothing waits.\n")


async def test_a_withdrawal_asks_the_worker_of_whom_nothing_is_known(
    tmp_path: Path,
) -> None:
    """As on Kafka, where ingress has no table; the order is written all the same."""
    for folder in ("ingress", "worker"):
        (tmp_path / folder).mkdir()
    async with running(tmp_path / "ingress") as run, running(tmp_path / "worker") as by:
        revoked = {"identifier": AGENT, "reason": "r"}
        _, answer = await run.post("/v1/revocations", "revoker", revoked)
        withdraw = ("withdraw", AGENT, answer["id"], *WHY, "--worker")
        unknown = f"nothing is known of {AGENT} so far: is it spelt right?"

        code, out = await command(run, "restorer", *withdraw, run.url)
        assert (code, unknown in out) == (0, False)
        assert await lives(run, AGENT)
        code, out = await command(run, "restorer", *withdraw, by.url)
        assert (code, unknown in out) == (0, True)
        code, out = await command(run, "restorer", *withdraw, "http://127.0.0.1:1")
        assert (code, out.startswith("Done: withdraw")) == (0, True)


async def test_what_waits_is_listed_approved_and_rejected(tmp_path: Path) -> None:
    """Exit code 1 says that it waits."""
    more = limited("hold") | {"approvals": {"acts": ["lift", "owners"]}}
    async with running(tmp_path, clock=time.time_ns, **more) as run:
        code, out = await command(run, "alice", "lift", AGENT, *WHY)
        assert (code, out.startswith("Not accepted: nothing changes")) == (1, True)
        owner = (
            "owners",
            AGENT,
            "--owner",
            "agent.id:team",
            "--authority",
            "operators",
        )
        answer = await asked(run, "alice", *owner, *WHY)
        assert not answer["accepted"]
        await grow(run, "agent.id:parent", range(1 + LIMIT))
        revoke = ("revoke", "agent.id:parent", "--reason", "leaked")
        code, out = await command(run, "alice", *revoke)
        assert (code, out.startswith("Not accepted")) == (1, True)
        assert "created" not in out
        code, out = await command(run, "alice", *revoke, "--with-created")
        assert (code, "What it created is not revoked, and will" in out) == (1, True)
        assert not (await asked(run, "alice", *revoke))["accepted"]

        _, out = await command(run, "viewer", "approvals", "list")
        assert "until it is decided" in out
        assert "by alice at" in out
        waiting = (await asked(run, "viewer", "approvals", "list"))["approvals"]
        first, second = waiting[0]["id"], waiting[1]["id"]
        code, out = await command(run, "alice", "approvals", "approve", first)
        assert (code, "another person" in out) == (2, True)
        code, out = await command(run, "bob", "approvals", "approve", first)
        assert (code, out.startswith(f"Approved {first}")) == (0, True)
        code, out = await command(run, "bob", "approvals", "reject", second, *WHY)
        assert (code, out.startswith("Rejected: set the owners")) == (0, True)
        code, _ = await command(run, "bob", "approvals", "reject", second, *WHY)
        assert code == 2

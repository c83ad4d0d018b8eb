"""Containment on a running server: once, over a restart, until an operator lifts it."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from streams.model.times import SECOND, parse_time
from streams.services.containment import ContainmentWorker
from streams.services.intake import NotWrittenError
from streams.stages.containment.containment import Containment
from tests.integration.serving import Server, running, until
from tests.integration.test_grant_commands import asked, command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

AGENT: Final = "gateway.agent:planner"
RULES: Final = {
    "stop": {
        "findings": ["use_after_revocation"], "contain": "agent", "mode": "enforce",
        "until_lifted": True, "blast_limit": 9, "per_hour": 9,
    },
    "note": {"findings": ["use_after_revocation"], "contain": "agent", "for": "2h"},
}  # fmt: skip


class Clock:
    """The time of the machine, and as much more as a test likes."""

    def __init__(self) -> None:
        """Begin at the machine's."""
        self.more = 0

    def __call__(self) -> int:
        """Give the time."""
        return time.time_ns() + self.more


def settings(repository: Path) -> dict[str, Any]:
    """Give settings of a gateway, with rules."""
    mapping = str(repository / "examples/mappings/agent-gateway.yaml")
    return {
        "sources": {"gateway": {"format": "generic", "mapping": mapping}},
        "authorities": {
            "aws": {"grants": [{"kind": "gateway.*"}]},
            "stranger": {"grants": [{"kind": "jwt.jti"}]},
        },
        "containment": RULES,
    }


def moment(seconds: float) -> str:
    """Write a time as the gateway does."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


async def send(run: Server, *events: dict[str, Any]) -> None:
    """Send lines of the gateway."""
    at = moment(time.time() - 60)
    data = b"\n".join(json.dumps({"at": at} | each).encode() for each in events)
    assert 202 == (await run.post("/v1/events/gateway", "aws", data))[0]


def issued(token: str) -> dict[str, Any]:
    """Give the line of a token's issue."""
    of = {"id": token, "agent": "planner", "owner": "dana"}
    return {"id": f"i-{token}", "action": "token.issued", "result": "ok", "token": of}


def ended(token: str) -> dict[str, Any]:
    """Give the line of a token's end, ten minutes ago."""
    at = moment(time.time() - 600)
    gone = {"action": "token.revoked", "result": "ok", "token": {"id": token}}
    return {"id": f"r-{token}", "at": at} | gone


def used(token: str, number: int) -> dict[str, Any]:
    """Give the line of a use that was accepted."""
    caller = {"agent": "planner", "token_id": token}
    told = {"action": "tool.call", "caller": caller, "tool": "mail", "status": 200}
    return {"id": f"u-{token}-{number}"} | told


async def counted(run: Server, result: str, rule: str = "stop") -> bool:
    """Tell whether a rule has decided so."""
    async with run.session.get(run.url + "/metrics") as got:
        text = await got.text()
    lines = [each for each in text.splitlines() if f'rule="{rule}"' in each]
    return any(f'result="{result}"' in each for each in lines)


async def ready(run: Server) -> None:
    """Wait until the rules look at what is new."""

    async def looked() -> bool:
        async with run.session.get(run.url + "/metrics") as got:
            return "rescind_containment_behind_seconds " in await got.text()

    await until(looked)


async def follows(run: Server) -> bool:
    """Tell whether a use of what a rule suspended is a finding, on the rule's word."""
    return any(
        each["presented"] == "gateway.token:t2"
        and each["authority"] == "rescind.containment"
        for each in await run.findings()
    )


async def causes(run: Server, name: str) -> list[str]:
    """Give the ids of the causes that deny a name."""
    _, answer = await run.get(f"/v1/table?now={time.time_ns()}")
    return next((row[3] for row in answer["rows"] if row[0] == name), [])


async def test_a_rule_contains_once_until_an_operator_lifts_it(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a restart, and another finding on the same name; all of it is audited.

    Nothing is decided in the event loop that accepts.
    """
    threads, decide = set[str](), Containment.decide

    def noted(stage: Containment, *more: Any) -> Any:
        threads.add(threading.current_thread().name)
        return decide(stage, *more)

    monkeypatch.setattr(Containment, "decide", noted)
    clock, given = Clock(), settings(repository)
    async with running(tmp_path, clock, **given) as run:
        await ready(run)
        await send(run, issued("t1"), issued("t2"), issued("t3"))
        await send(run, ended("t1"), ended("t3"), used("t1", 1))
        await until(lambda: counted(run, "contained"))
        await until(lambda: causes(run, AGENT))
        first = await causes(run, AGENT)
        await until(lambda: counted(run, "contained", "note"))
        await send(run, used("t2", 1) | {"at": moment(clock() // SECOND + 5)})
        await until(lambda: follows(run))
    async with running(tmp_path, clock, **given) as run:
        await ready(run)
        await send(run, used("t1", 2), used("t3", 1))
        await until(lambda: counted(run, "already"))
        assert first == await causes(run, AGENT)
        assert 1 == len(first)

        clock.more += 60 * SECOND
        lift = ("lift", AGENT, "--aspect", "stop", "--reason", "INC-7")
        _, out = await command(
            run, "restorer", *lift, "--authority", "rescind.containment"
        )
        assert out.startswith(f"Written: lift {AGENT}, aspect stop"), out
        assert [] == await causes(run, AGENT)
        owners = ("owners", AGENT, "--owner", "person.id:eve", "--reason", "x")
        code, out = await command(
            run, "restorer", *owners, "--authority", "rescind.containment"
        )
        assert (2, True) == (code, "speaks by its rules" in out)

        await send(run, issued("t4"), ended("t4"), used("t4", 1))
        await until(lambda: counted(run, "lifted"))
        assert [] == await causes(run, AGENT)
        kinds = [each["kind"] for each in await run.findings()]
        assert 1 == kinds.count("containment")  # the rule in shadow tells nobody

        assert {"analysis"} == threads
        settings_file = tmp_path / "rules.json"
        settings_file.write_text(json.dumps(given))
        words = ("policy", "test", "--since", "1d", "--config", str(settings_file))
        told = await asked(run, "viewer", *words)
        stop, note = told["rules"]
        assert {AGENT} == {each["target"] for each in stop["contained"]}
        assert 1 == len(note["contained"])
        lived = {one["identifier"] for one in stop["contained"][0]["living"]}
        assert "gateway.token:t2" in lived
        headers = {"Authorization": "Bearer viewer"}
        async with run.session.get(f"{run.url}/v1/audit", headers=headers) as got:
            text = await got.text()
    for said in ("stop, enforce: contained", "note, shadow: contained"):
        assert f"containment rule {said}" in text
    assert "containment rule stop, enforce: lifted" in text


@pytest.mark.long
async def test_a_server_that_ends_once_it_has_decided_does_it_at_its_next_start(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the time of the decision."""
    given, died, do = settings(repository), list[str](), ContainmentWorker._do

    async def dies(_: object, decisions: Any) -> None:
        died.append(decisions[0].key)
        raise NotWrittenError("the process ends once it has decided")

    monkeypatch.setattr(ContainmentWorker, "_do", dies)
    async with running(tmp_path, **given) as run:
        await ready(run)
        await send(run, issued("t1"), ended("t1"), used("t1", 1))
        await until(lambda: bool(died))
        assert [] == await causes(run, AGENT)
    decided_by = time.time_ns()
    monkeypatch.setattr(ContainmentWorker, "_do", do)
    async with running(tmp_path, **given) as run:
        await until(lambda: causes(run, AGENT))
        await ready(run)
        assert 1 == len(await causes(run, AGENT))
        _, why = await run.get(f"/v1/why/{AGENT}")
    assert (parse_time(why["cause"]["at"]) or decided_by) < decided_by

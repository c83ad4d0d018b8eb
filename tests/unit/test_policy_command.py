"""``rescind policy test`` on logs: what it says, and how it ends."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agents_registry.identifiers import Identifier
from streams.cli.main import app
from streams.clients import rescind
from streams.model.findings import FindingKind
from streams.services.told_findings import MOST_ASKED
from streams.settings.containment import rules_of
from streams.settings.server import load
from tests.unit.containing import a_finding
from tests.unit.test_backtest import Server

pytestmark = pytest.mark.unit

RULES = """
kinds: {gateway.agent: principal}
containment:
  stop: {findings: [use_after_revocation, enforcement_lag], contain: agent, for: 2h}
  quiet: {findings: [leak], contain: credential, mode: enforce, for: 1d}
"""


def line(number: int, at: str, **more: Any) -> str:
    """Write a line of the gateway's log."""
    return json.dumps({"id": f"e{number}", "at": f"2026-03-02T{at}Z"} | more)


def call(number: int, at: str, token: str) -> str:
    """Write that a tool was called."""
    caller = {"agent": "planner", "token_id": token}
    return line(number, at, action="tool.call", caller=caller, tool="mail", status=200)


def issue(number: int, token: str, owner: str) -> str:
    """Write that a token was issued."""
    told = {"id": token, "agent": "planner", "owner": owner}
    return line(number, "09:00:00", action="token.issued", result="ok", token=told)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give a log in which a dead token is accepted, and another one works on."""
    file = tmp_path / "gateway.ndjson"
    dead = line(3, "09:10:00", action="token.revoked", result="ok", token={"id": "t1"})
    lines = [issue(1, "t1", "ann"), issue(2, "t2", "dan"), dead]
    lines += [call(4, "09:20:00", "t1"), call(5, "09:30:00", "t2")]
    file.write_text("\n".join(lines))
    return file


def run(*words: str) -> tuple[int, str, str]:
    """Run the command; give exit code, output and errors."""
    got = CliRunner().invoke(app, ["policy", "test", *words])
    return got.exit_code, got.stdout, got.stderr


@pytest.fixture
def words(tmp_path: Path, log: Path, repository: Path) -> list[str]:
    """Give what names settings and logs."""
    settings = tmp_path / "s.yaml"
    settings.write_text(RULES)
    mapping = repository / "examples/mappings/agent-gateway.yaml"
    return ["--config", str(settings), "--logs", str(log), "--mapping", str(mapping)]


def test_what_a_rule_would_have_hit_is_named_with_its_owner(words: list[str]) -> None:
    """The exit code says that something lives there."""
    code, out, _ = run(*words)

    assert 1 == code
    assert "Tested on 5 events, 2 uses." in out
    assert "stop (shadow, contains the agent): 1 contained" in out
    assert "gateway.token:t2 (of person.id:dan, another owner, 1 uses)" in out
    assert "not in this history, so not tested: enforcement_lag" in out
    assert "quiet (enforce, contains the credential): no finding" in out


def test_json_has_all_of_it(words: list[str]) -> None:
    """Times are RFC 3339."""
    code, out, _ = run(*words, "--output", "json", "--jobs", "1")
    told = json.loads(out)
    stop, quiet = told["rules"]
    (act,) = stop["contained"]

    assert 1 == code
    assert {"events": 5, "uses": 2} == told["read"]
    assert ("gateway.agent:planner", "2026-03-02T11:20:00Z") == (
        act["target"], act["until"],
    )  # fmt: skip
    assert [1, True] == [act["living"][0][name] for name in ("uses", "other_owner")]
    assert (1, 0) == (stop["living"], quiet["living"])


def test_nothing_living_is_zero_and_what_cannot_be_read_is_three(
    words: list[str], log: Path
) -> None:
    """As of a hunt."""
    log.write_text("\n".join(log.read_text().splitlines()[:-1]))
    assert 0 == run(*words)[0]
    with log.open("a") as file:
        file.write("\nno json\n")
    code, _, err = run(*words)
    assert (3, True) == (code, "not read" in err)


def test_more_acts_than_are_shown_are_counted(words: list[str], log: Path) -> None:
    """The rest is in the other form."""
    rows = log.read_text().splitlines()
    for n in range(30):
        token = {"id": f"x{n}", "agent": f"a{n}", "owner": "ann"}
        issued = {"action": "token.issued", "result": "ok", "token": token}
        gone = {"action": "token.revoked", "result": "ok", "token": {"id": f"x{n}"}}
        rows.append(line(100 + n, "09:00:00", **issued))
        rows.append(line(200 + n, "09:10:00", **gone))
        # Beyond an hour after each other, so that the rate lets all of them through.
        day = f"2026-04-{n % 28 + 1:02}T{n // 28:02}:00:00Z"
        caller = {"agent": f"a{n}", "token_id": f"x{n}"}
        used = {"action": "tool.call", "caller": caller, "tool": "m", "status": 200}
        rows.append(json.dumps({"id": f"u{n}", "at": day} | used))
    log.write_text("\n".join(rows))

    assert "and 11 more: --output json" in run(*words)[1]


LEAK = "findings: [leak], contain: agent"


@pytest.mark.parametrize(
    ("text", "more", "says"),
    [
        ("{}", (), "sets no rule in `containment`"),
        (f"containment: {{a: {{{LEAK}}}}}", (), "set either for"),
        (
            "containment: {a: {findings: [test], contain: agent, for: 2h}}",
            (),
            "test na",
        ),
        (f"containment: {{a: {{{LEAK}, for: 2}}}}", (), "text"),
        (f"containment: {{a: {{{LEAK}, for: 2y}}}}", (), "90s"),
        (f"containment: {{a: {{{LEAK}, for: 2h, scopes: [x]}}}}", (), "scopes is for"),
        (f"containment: {{a: {{{LEAK}, until_lifted: 1, fo: 1}}}}", (), "is it for?"),
        (f"containment: {{a: {{{LEAK}, for: 2h, labels: [a]}}}}", (), "KEY=VALUE"),
        (f"containment: {{a: {{{LEAK}, for: 2h, labels: [A=b]}}}}", (), "key of a l"),
        ("authorities: {rescind.containment: {grants: []}}", (), "rules of contain"),
        (RULES, ("--since", "2d"), "leave it out"),
        (RULES, ("--source", "nosuch"), "either --source or"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    words: list[str], tmp_path: Path, text: str, more: tuple[str, ...], says: str
) -> None:
    """With the line of the settings where it is one of them."""
    (tmp_path / "s.yaml").write_text(text)
    code, _, err = run(*words, *more)

    assert 2 == code
    assert says in err


def test_labels_and_a_narrow_are_read(tmp_path: Path) -> None:
    """As the stage takes them."""
    file = tmp_path / "s.yaml"
    file.write_text(
        "containment: {a: {findings: [leak], contain: agent, until_lifted: true,"
        " effect: narrow, scopes: ['m|r'], labels: ['team=payments']}}"
    )
    (rule,) = rules_of(load(file).containment)

    assert ("label.team:payments", ("m|r",), None) == (
        str(rule.labels[0]), rule.scopes, rule.lasts,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ("identifiers: [githb.token]", "containment a: identifiers: "),
        ("authorities: [nobody]", "no authority is called 'nobody'"),
        ("identifiers: ['aws.*'], authorities: [operators]", ""),
    ],
)
def test_a_rule_that_could_never_act_is_refused_before_a_start(
    tmp_path: Path, filters: str, says: str
) -> None:
    """By the check of the settings, with its line."""
    file = tmp_path / "s.yaml"
    file.write_text(f"containment:\n  a: {{{LEAK}, for: 2h, {filters}}}\n")
    got = CliRunner().invoke(app, ["config", "check", str(file)])

    assert (2 if says else 0) == got.exit_code
    assert says in got.stderr
    assert not says or "line 2" in got.stderr


def test_who_was_not_asked_about_is_told_and_ends_with_three(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server has more below a name than is asked about."""
    token = Identifier("jwt.jti", "t1")
    agent = Identifier("gateway.agent", "planner")
    use = a_finding(
        token, kind=FindingKind.USE_AFTER_REVOCATION, path=(token, agent),
        last_seen=time.time_ns(),
    )  # fmt: skip
    server = Server(use)
    server.below = [f"jwt.jti:d{number}" for number in range(MOST_ASKED + 50)]
    monkeypatch.setattr(rescind, "client", lambda *_: server)
    settings = Path(words[1])
    limit = "contain: agent, blast_limit: 1000"
    settings.write_text(RULES.replace("contain: agent", limit))
    code, told, _ = run(*words[:2])
    assert 3 == code
    assert "would have hit nothing; 50 below were not asked for" in told

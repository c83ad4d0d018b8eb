"""``rescind adopt`` against a running server: entitled, audited, repeatable, whole."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from streams.cli.main import app
from tests.integration.serving import created_key, running, until, values

if TYPE_CHECKING:
    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

ACCOUNT = "arn:aws:iam::111122223333:user"
HEAD = "user,arn,user_creation_time,password_enabled,access_key_1_last_rotated\n"
KEY = "aws.access_key:AKIA0"
MANY = 2500


def report(folder: Path, users: int) -> str:
    """Write a report of so many users."""
    rows = [
        f"u{n},{ACCOUNT}/u{n},2025-01-01T00:00:00+00:00,false,N/A" for n in range(users)
    ]
    path = folder / "report.csv"
    path.write_text(HEAD + "\n".join(rows))
    return str(path)


def keys(folder: Path, status: str = "Active") -> str:
    """Write the keys of the first user."""
    path = folder / "keys.json"
    listed = {"UserName": "u0", "AccessKeyId": "AKIA0", "Status": status,
              "CreateDate": "2025-01-02T00:00:00+00:00"}  # fmt: skip
    path.write_text(json.dumps({"AccessKeyMetadata": [listed]}))
    return str(path)


def generated(folder: Path) -> str:
    """Write a report of one user as GetCredentialReport answers it."""
    content = Path(report(folder, 1)).read_bytes()
    answer = {"Content": b64encode(content).decode(),
              "GeneratedTime": "2025-06-01T00:00:00+00:00"}  # fmt: skip
    path = folder / "report.json"
    path.write_text(json.dumps(answer))
    return str(path)


def aged(*paths: str) -> tuple[str, ...]:
    """Make files as old as the middle of 2025."""
    for path in paths:
        os.utime(path, (1_748_736_000, 1_748_736_000))  # 2025-06-01T00:00:00Z
    return paths


def tokens(folder: Path) -> list[dict[str, Any]]:
    """Give the tokens of the tests, and an operator's who may all."""
    digest = hashlib.sha256(b"operator").hexdigest()
    roles = ["restorer", "revoker", "viewer"]
    operator = {"name": "operator", "roles": roles, "sha256": digest}
    return [*values(folder)["tokens"], operator]


async def adopt(server: Server, *arguments: str, token: str = "operator") -> Any:
    """Run the command; give exit code and what it printed."""
    line = ["adopt", "aws-credential-report", *arguments, "--url", server.url]
    env = {"RESCIND_TOKEN": token}
    got = await asyncio.to_thread(CliRunner().invoke, app, line, env=env)
    return got.exit_code, got.output


async def told(server: Server, *arguments: str) -> dict[str, Any]:
    """Run the command as the source's authority; give its report."""
    own = ("--authority", "aws", "--output", "json")
    code, out = await adopt(server, *arguments, *own)
    assert 0 == code, out
    return said(out)


def said(output: str) -> dict[str, Any]:
    """Read the report among what the server of this process logs meanwhile."""
    line = next(line for line in output.splitlines() if line.startswith("{"))
    return dict(json.loads(line))


async def why(server: Server, name: str) -> dict[str, Any]:
    """Ask for a verdict."""
    _, answer = await server.get(f"/v1/why/{name}")
    return dict(answer)


async def test_a_list_is_whole_audited_and_the_same_when_repeated(
    tmp_path: Path,
) -> None:
    """Thousands in parts; a second run changes no row; what went is told."""
    seen = str(tmp_path / "seen")
    async with running(tmp_path, tokens=tokens(tmp_path)) as server:
        files = (report(tmp_path, MANY), keys(tmp_path))
        first = await told(server, *files)
        await until(lambda: server.served.stages.idle)
        before = (await server.get("/v1/table?now=1"))[1]["rows"]
        await told(server, *files, "--roster", seen)
        same = await told(server, *files, "--roster", seen)
        await until(lambda: server.served.stages.idle)
        after = (await server.get("/v1/table?now=1"))[1]["rows"]

        fewer = report(tmp_path, MANY - 1)
        gone = [await told(server, fewer, "--roster", seen) for _ in range(2)]
        assert (await why(server, KEY))["allowed"]  # told, not silently ended
        revoke = {"identifier": KEY}
        assert 201 == (await server.post("/v1/revocations", "operator", revoke))[0]
        await until(lambda: server.served.stages.idle)
        gone.append(await told(server, fewer, "--roster", seen))

    assert MANY + 1 == first["accepted"]
    assert before == after
    assert (0, MANY + 1) == (same["accepted"], same["same"])
    # A user's name can be given again, so it is told once; a key until it is revoked.
    user = f"aws.user:{ACCOUNT}/u{MANY - 1}"
    assert [[KEY, user], [KEY], []] == [sorted(each["gone"]) for each in gone]
    with sqlite3.connect(tmp_path / "data" / "rescind.db") as store:
        audit = store.execute("SELECT actor, action FROM audit").fetchall()
    name = "aws-credential-report: report.csv, keys.json"
    assert ("operator", f"adopt 1000 credentials as aws: {name}") == audit[0]
    assert [1000, 1000, 501] == [int(action.split()[1]) for _, action in audit[:3]]


async def test_what_the_source_says_later_counts(tmp_path: Path) -> None:
    """An inactive key is suspended until its own event makes it active."""
    files = aged(generated(tmp_path), keys(tmp_path, "Inactive"))
    event = created_key("AKIA0", "u0", "2025-06-01T00:00:10Z", "e") | {
        "eventName": "UpdateAccessKey",
        "requestParameters": {"userName": "u0", "accessKeyId": "AKIA0",
                              "status": "Active"},
    }  # fmt: skip
    async with running(tmp_path, tokens=tokens(tmp_path)) as server:
        await told(server, *files)
        await until(lambda: server.served.stages.idle)
        assert "suspended" == (await why(server, KEY))["reason"]
        body = json.dumps({"Records": [event]}).encode()
        assert 202 == (await server.post("/v1/events/cloudtrail", "aws", body))[0]
        await until(lambda: server.served.stages.idle)
        assert (await why(server, KEY))["allowed"]

        # The list again, which is older than the event: it takes nothing back.
        await told(server, *files)
        await until(lambda: server.served.stages.idle)
        assert (await why(server, KEY))["allowed"]


async def test_only_what_the_authority_may_say_is_taken(tmp_path: Path) -> None:
    """And its name must be one of the settings; the role is restorer's."""
    files = (report(tmp_path, 1), keys(tmp_path))
    async with running(tmp_path, tokens=tokens(tmp_path)) as server:
        unknown = await adopt(server, *files, "--authority", "amazon")
        stranger = await adopt(server, *files, "--authority", "stranger")
        viewer = await adopt(server, *files, "--authority", "aws", token="viewer")
        assert not (await why(server, KEY))["allowed"]
        operators = await adopt(server, *files, "--authority", "operators")
        await until(lambda: server.served.stages.idle)
        assert (await why(server, KEY))["allowed"]

    assert 2 == unknown[0] == stranger[0] == viewer[0]
    assert "no authority is called 'amazon': there are aws, operators" in unknown[1]
    assert "authority stranger may not speak of aws." in stranger[1]
    assert 0 == operators[0]


def test_a_dry_run_asks_no_server(tmp_path: Path) -> None:
    """It prints an entry a line, and what it would do."""
    line = ["adopt", "aws-credential-report", report(tmp_path, 2), keys(tmp_path),
            "--dry-run"]  # fmt: skip
    got = CliRunner().invoke(app, line, env={"RESCIND_DATA_DIR": str(tmp_path / "no")})

    assert 0 == got.exit_code, got.output
    entries = [json.loads(each) for each in got.stdout.splitlines()]
    assert {KEY, f"aws.user:{ACCOUNT}/u0"} < {each["identifier"] for each in entries}
    assert "would declare 3 credentials" in got.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["okta"], "name saved answers, or the system with --from"),
        (
            ["okta", "--from", "https://x.okta.com"],
            "--secret-file or OKTA_API_TOKEN",
        ),
        (["okta", "--from", "http://x.okta.com"], "without TLS"),
        (["okta", "--from", "https://x", "saved.json"], "name saved answers, or"),
        (["github", "--from", "https://x"], "--org"),
        (["github", "--from", "https://x", "--org", "a", "--part", "x"], "--part 'x'"),
        (
            ["keycloak", "--from", "https://x"],
            "--secret-file or KEYCLOAK_TOKEN or KEYCLOAK_CLIENT_SECRET",
        ),
        (["kubernetes", "saved.json"], "saved.json: line 2: not JSON"),
        (["aws-credential-report", "nowhere.csv"], "nowhere.csv"),
        (["access-log"], "name saved answers"),
        (
            ["aws"],
            "no file aws, and no system of that name; there are",
        ),
    ],
)
def test_a_wrong_argument_is_told(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one sentence, with exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved.json").write_text('{"kind": "ServiceAccount"}\n{nothing')
    env = dict.fromkeys(
        ("OKTA_API_TOKEN", "KEYCLOAK_TOKEN", "KEYCLOAK_CLIENT_SECRET"), ""
    )
    got = CliRunner().invoke(
        app, ["adopt", *arguments], env=env | {"GITHUB_TOKEN": "t"}
    )

    assert 2 == got.exit_code, got.output
    assert said in got.stderr

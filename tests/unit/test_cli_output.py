"""What the commands print of an answer, and what they send."""

from __future__ import annotations

import errno
import gc
import json
import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock, create_autospec

import pytest
from typer.testing import CliRunner

from streams.cli import serve as serve_command
from streams.cli.adopt import adopt_file
from streams.cli.main import app
from streams.cli.options import loading, run
from streams.cli.output import columns
from streams.cli.query import findings, inventory, why
from streams.cli.revoke import Order, carry_out
from streams.clients import rescind as clients
from streams.clients.rescind import Client, ClientError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

CAUSE = {
    "id": "ab" * 32, "target": "vault.entity:e", "effect": "suspend",
    "reach": "self", "authority": "openbao", "at": "2026-01-01T00:00:00Z",
}  # fmt: skip
STRANGER = {
    "identifier": "k:v", "allowed": False, "reason": "unknown_credential",
    "dead": False, "via": None, "path": ["k:v"], "cause": None, "ancestors": [],
    "as_of": "g:0:7", "total": 0,
}  # fmt: skip


def fake(*answers: dict[str, Any] | ClientError) -> Mock:
    """Make a client that gives planned answers to orders, the first to questions."""
    made: Mock = create_autospec(Client, instance=True)
    made.get.side_effect = lambda *_, **__: answers[0]
    made.post.side_effect = answers
    made.patient.return_value = made
    return made


def sent(client: Mock) -> list[list[dict[str, Any]]]:
    """Give the parts of a list that were sent."""
    return [call.args[1]["credentials"] for call in client.post.call_args_list]


def ordered(name: str) -> Order:
    """Order the revocation of one name."""
    return Order("revoke", [name], {})


def test_names_from_logs_cannot_command_the_terminal() -> None:
    """Escape sequences and line ends are shown, not obeyed; nothing is cut."""
    table = columns(("a", "name"), [("x" * 300, "\x1b[2J\n\u202eü"), (None, "")])

    assert [
        f"a{' ' * 299}  name",
        f"{'x' * 300}  \\x1b[2J\\n\\u202eü",
        f"-{' ' * 299}  -",
    ] == table.split("\n")


def test_why_says_in_words_what_a_reason_means(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A cause of reach self takes nothing with it; a doubt has no cause."""
    suspended = STRANGER | {
        "reason": "suspended", "dead": True, "cause": CAUSE,
        "path": ["k:v", "vault.entity:e"],
    }  # fmt: skip
    assert 1 == why(fake(suspended), "agent.id:v", None, "table")
    named = suspended | {"reason": "revoked", "via": "direct"}
    assert 1 == why(fake(named), "agent.id:v", None, "table")
    expired = STRANGER | {"reason": "expired"}
    assert 1 == why(fake(expired), "agent.id:v", None, "table")

    lines = capsys.readouterr().out.splitlines()
    assert "k:v is denied: suspended, until a restore, through an ancestor" == lines[0]
    assert "  cause      suspend of vault.entity:e" in lines
    assert "k:v is denied: revoked, directly" in lines
    assert ["k:v is denied: expired", "  path       k:v"] == lines[-2:]


def test_inventory_tells_who_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    """A section that is as long as the limit may go on."""
    answer = {
        "identifiers": 1,
        "undeclared": [
            {
                "identifier": "agent.id:x",
                "what": "agent",
                "points": ["crm", "m"],
                "first_seen": "2026-01-01T00:00:00Z",
                "credentials": ["jwt.jti:t"],
                "last_seen": "2026-01-02T00:00:00Z",
            },
        ],
        "ownerless": ["k:2", "k:1"],
        "shared_service_accounts": [{"account": "s:a", "agents": ["a:1", "a:2"]}],
        "excess_scopes": [{"child": "c:1", "ancestor": "p:1", "scopes": ["s3|*"]}],
        "unmapped": [],
        "ambiguous_lifts": [CAUSE],
        "unapplied": [CAUSE | {"effect": "revoke"}],
    }
    assert 0 == inventory(fake(answer), 2, "table")

    lines = capsys.readouterr().out.splitlines()
    assert "1 identifier in the table" == lines[0]
    assert ["Without owner or parent: 2 or more; see --limit", "  k:1", "  k:2"] == (
        lines[5:8]
    )
    assert "In use, and nobody declared it: 1" == lines[2]
    for line in (
        "  agent agent.id:x: last at 2026-01-02T00:00:00Z at crm, m, with 1 credential",
        "  s:a: a:1, a:2",
        "  c:1: s3|* beyond p:1",
        "  vault.entity:e: suspend by openbao at 2026-01-01T00:00:00Z",
        "  vault.entity:e: revoke by openbao at 2026-01-01T00:00:00Z",
    ):
        assert line in lines


def test_no_findings_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty table would leave doubt."""
    assert 0 == findings(fake({"findings": [], "after": 0}), None, "table")
    assert "No findings.\n" == capsys.readouterr().out


def test_a_finding_is_open_or_closed_and_says_who_was_late(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is silenced is open, and nobody is told of it."""
    one = {
        "severity": 4, "kind": "use_after_revocation", "count": 2, "first_seen": "a",
        "last_seen": "b", "message": "m", "open": True, "late_by": "source",
        "silenced": None,
    }  # fmt: skip
    closed = one | {"open": False, "late_by": None}
    silenced = one | {"silenced": {"id": "s"}, "late_by": "guard"}
    looked_into = one | {"acknowledged": {"by": "ann"}, "id": "f4"}
    answer = {"findings": [one, closed, silenced, looked_into], "after": 0}

    assert 0 == findings(fake(answer, answer | {"findings": []}), None, "table")
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split("  ")[:2] == ["severity", "kind"]
    assert [row.split()[2:4] for row in rows] == [
        ["open", "source"], ["closed", "-"], ["silenced", "guard"], ["open,", "ann"],
    ]  # fmt: skip
    assert "f4" in rows[-1]


def test_a_revocation_counts_though_the_server_cannot_show_it_yet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that is loading takes revocations: that must never be held up."""
    monkeypatch.setattr(clients, "SETTLED", 0.05)
    accepted = {"id": "f", "effect": "revoke", "at": "2026-01-01T00:00:00Z",
                "token": "g:0:8"}  # fmt: skip
    client = fake(accepted)
    client.get.side_effect = ClientError("the server says: loading", 3)

    code = carry_out(client, ordered("k:v"), wait=None, output="json")

    out, err = capsys.readouterr()
    assert 0 == code
    assert {"identifier": "k:v"} | accepted == json.loads(out)
    assert "accepted; the server's table does not show it yet" in err


@pytest.mark.parametrize("more", [{"wait": 0.0}, {"wait": None, "with_created": True}])
def test_what_is_revoked_is_never_told_as_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: Any
) -> None:
    """Exit code 1 and not 2 where nobody can say who enforces it, or what it made."""
    monkeypatch.setattr(clients, "SETTLED", 0.05)
    accepted = {"id": "f", "effect": "revoke", "at": "2026-01-01T00:00:00Z",
                "token": "g:0:8"}  # fmt: skip
    client = fake(accepted)
    client.get.side_effect = ClientError("the server says: Not Found", 2)

    code = carry_out(client, ordered("k:v"), output="table", **more)

    out, err = capsys.readouterr()
    assert 1 == code
    assert out.startswith("Revoked k:v, and what descends from it")
    assert "k:v is revoked; what is asked for beyond failed: the server says" in err


@pytest.mark.parametrize("gone", [False, True])
def test_an_accepted_order_is_told_though_its_issuers_are_not_known(
    capsys: pytest.CaptureFixture[str], *, gone: bool
) -> None:
    """A server that goes away meanwhile is no failure of the order: exit code 1."""
    accepted = {"id": "f", "effect": "revoke", "at": "2026-01-01T00:00:00Z",
                "token": "g:0:7"}  # fmt: skip
    client = fake(accepted)
    closed = {"state": "unknown", "applied": 0, "fenced": [], "laggards": [],
              "left": 0, "unknown": [], "observing": []}  # fmt: skip

    def answer(path: str, *_: object, **__: object) -> dict[str, Any]:
        if (gone and path == "revocations") or path.endswith("/issuers"):
            raise ClientError("cannot reach it", 3)
        return closed if path == "revocations" else STRANGER

    client.get.side_effect = answer
    code = carry_out(client, ordered("k:v"), wait=0.0, output="table", at_issuers=True)

    out, _ = capsys.readouterr()
    assert 1 == code
    assert out.startswith("Revoked k:v, and what descends from it")
    assert "  fact      f\n" in out
    assert "Issuers: not known (cannot reach it)\n" in out


def test_an_accepted_order_that_cannot_be_printed_is_no_refusal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a full disk; the id is told where there is still somebody."""
    accepted = {"id": "f", "effect": "revoke", "at": "2026-01-01T00:00:00Z",
                "token": "g:0:7"}  # fmt: skip
    client = fake(accepted)
    client.get.side_effect = lambda *_, **__: STRANGER
    full = create_autospec(sys.stdout, instance=True)
    full.write.side_effect = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        assert 1 == carry_out(client, ordered("k:v"), wait=None, output="table")
        sys.stdout.close()

    said = "rescind revoke: accepted as f, but the answer cannot be printed: No space"
    assert said in capsys.readouterr().err


def test_a_secret_is_named_by_its_hmac_once_the_server_knows_that(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It goes to the one request that needs it, and is not shown again."""
    name = "vault.token_hmac:hmac-sha256:12"
    accepted = {"id": "f", "effect": "revoke", "at": "2026-01-01T00:00:00Z",
                "token": "g:0:7", "identifiers": [name]}  # fmt: skip
    client = fake(accepted)
    client.get.side_effect = lambda *_, **__: STRANGER
    secret = "vault.token_hmac:hvs.secret"

    code = carry_out(client, ordered(secret), wait=None, output="table")

    assert 0 == code
    assert secret == client.post.call_args.args[1]["identifier"]
    assert {name} == {call.args[1] for call in client.get.call_args_list}
    assert "hvs.secret" not in "".join(capsys.readouterr())


def test_a_long_list_is_sent_in_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where one fails, it says how far it came."""
    path = tmp_path / "list.csv"
    rows = [f"jwt.jti:{n},team.id:{'x' * 200}" for n in range(2500)]
    path.write_text("\n".join(["identifier,owners", *rows]))
    took = [{"accepted": 1000, "facts": 2000, "token": f"g:0:{n}"} for n in range(2)]
    client = fake(*took, took[0] | {"accepted": 500, "facts": 1000})

    assert 0 == adopt_file(lambda: client, path)
    assert "Declared 2500 credentials (5000 facts).\n" == capsys.readouterr().out
    assert [1000, 1000, 500] == [len(part) for part in sent(client)]
    assert "jwt.jti:2499" == sent(client)[2][-1]["identifier"]
    with pytest.raises(ClientError, match=r"503; the first 1000 are declared"):
        adopt_file(lambda: fake(took[0], ClientError("503", 3)), path)
    with pytest.raises(ClientError, match=r"^503$"):
        adopt_file(lambda: fake(ClientError("503", 3)), path)


def test_parts_stay_below_the_longest_body_of_a_request(tmp_path: Path) -> None:
    """Few entries may be long ones."""
    path = tmp_path / "list.json"
    owners = [f"person.id:{n}{'x' * 200}" for n in range(64)]
    entry = {"identifier": "jwt.jti:1", "owners": owners}
    path.write_text(json.dumps([entry] * 90))
    answer = {"accepted": 3, "facts": 1, "token": "g:0:1"}
    client = fake(answer, answer, answer)
    adopt_file(lambda: client, path)

    parts = sent(client)
    assert [90, 3] == [sum(map(len, parts)), len(parts)]
    assert max(len(json.dumps(part)) for part in parts) < 1 << 20


def test_adopt_doubts_a_kind_that_it_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be one of a mapping file, or a typing error."""
    path = tmp_path / "list.csv"
    path.write_text("identifier,owners\naws.acces_key:A,team.id:t\n")
    adopt_file(
        lambda: fake({"accepted": 1, "facts": 1, "token": "g:0:1"}),
        path,
    )

    err = capsys.readouterr().err
    assert "no built-in kind is called aws.acces_key" in err
    assert "team.id" not in err


def test_a_failure_is_one_line_with_its_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever a name in it holds."""

    def fail() -> int:
        raise ClientError("no \x1b such\nserver", 3)

    assert 3 == run("why", fail)
    assert "rescind why: no \\x1b such\\nserver\n" == capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["revoke", "x"], "'x' is not an identifier: write it as kind:value"),
        (["revoke", "a:b", "--at", "noon"], "--at 'noon' is not a time"),
        (["why", "x"], "write it as kind:value"),
        (["why", "a:b", "--at", "2451-01-01T00:00:00Z"], "lies outside 1970..2199"),
        (["why", "a:b", "--url", "ftp://x"], "not the URL of a server"),
        (["blast-radius", ":"], "write it as kind:value"),
        (["inventory", "--token-file", "nowhere"], "token file nowhere"),
        (["findings", "--url", "x"], "not the URL of a server"),
        (["dlq", "--url", "x"], "not the URL of a server"),
        (["adopt", "nowhere.csv"], "nowhere.csv"),
        (["serve", "--listen", "x"], "write HOST:PORT"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_exit_code_2(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the command, and says how to write it; no server is asked."""
    monkeypatch.setenv("RESCIND_TOKEN", "secret")
    monkeypatch.setenv("RESCIND_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(serve_command, "configure_logging", lambda: None)
    result = CliRunner().invoke(app, arguments)

    assert (2, "") == (result.exit_code, result.stdout)
    assert said in result.stderr
    assert result.stderr.startswith(f"rescind {arguments[0]}: ")
    assert 1 == result.stderr.count("\n")


def test_modules_are_loaded_without_looks_for_garbage() -> None:
    """Afterwards there are looks again, but not at what was loaded."""
    frozen = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen
    gc.unfreeze()

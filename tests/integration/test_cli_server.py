"""The commands against a real `rescind serve`: the first minutes with a vault."""

from __future__ import annotations

import http.client
import json
import shutil
import stat
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.integration.cli_server import RECORDED, Running, run, serving, until
from tests.integration.serving import receiving
from tests.integration.serving import until as until_async

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

TRUTH = json.loads((RECORDED / "truth.json").read_text())
REFUSED = {each["event_id"] for each in TRUTH["presentations"] if each["refused"]}
ALLOWED = {each["event_id"] for each in TRUTH["presentations"]} - REFUSED


def accessor(name: str) -> str:
    """Give the identifier of a recorded token's accessor."""
    return f"vault.accessor:{TRUTH['tokens'][name]['accessor']}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve without any settings, follow a vault's log, and let it be written."""
    folder = tmp_path_factory.mktemp("watched")
    log = folder / "audit.log"
    log.touch()
    with serving(folder, "--watch", "openbao=audit.log") as server:
        recorded = (RECORDED / "audit.log").read_bytes()
        half = len(recorded) // 2  # in the middle of a line
        with log.open("ab", buffering=0) as file:
            file.write(recorded[:half])
            until(lambda: server.json("inventory")["identifiers"])
            file.write(recorded[half:])
        until(lambda: _events(server) >= REFUSED)
        yield server


def _events(server: Running) -> set[str]:
    found = server.json("findings")["findings"]
    return {event for each in found for event in each["event_ids"]}


def test_finds_every_presentation_that_the_vault_refused(watched: Running) -> None:
    """All of those, and none that it allowed."""
    assert not REFUSED - _events(watched)
    assert not ALLOWED & _events(watched)
    code, out, _ = watched.ask("findings")

    assert 0 == code
    assert out.splitlines()[0].split()[:3] == ["severity", "kind", "state"]
    assert "medium    blocked_attempt" in out


def test_why_names_the_ancestor_the_cause_and_who_said_so(watched: Running) -> None:
    """G1 hangs on C1 hangs on P, which the vault revoked."""
    code, out, err = watched.ask("why", accessor("G1"))
    lines = out.splitlines()

    assert (1, "") == (code, err)
    assert f"{accessor('G1')} is denied: revoked, through an ancestor" == lines[0]
    assert ["path", accessor("G1")] == lines[1].split()
    assert [accessor("C1")] == lines[2].split()
    assert [accessor("P")] == lines[3].split()
    cause = f"revoke of vault.token_hmac:{TRUTH['tokens']['P']['token_hmac']}"
    assert f"  cause      {cause}, and what descends from it" in lines
    assert "  authority  openbao" in lines


def test_why_is_0_for_the_living_and_tells_the_past(watched: Running) -> None:
    """An orphan is never ended; the dead one was not before its revocation."""
    lives = "aws.access_key:AKIALIVES"
    declared = json.dumps([{"identifier": lives, "root": True}])
    (watched.folder / "adopt.json").write_text(declared)
    assert 0 == watched.ask("adopt", "adopt.json")[0]
    until(lambda: 0 == watched.ask("why", lives)[0])
    # The recorded orphan expired an hour after it was recorded; nothing ended it.
    assert 0 == watched.ask("why", accessor("O1"), "--at", "2199-01-01T00:00:00Z")[0]
    code, out, _ = watched.ask("why", accessor("G1"), "--at", "2020-01-01T00:00:00Z")

    assert 0 == code
    assert "was not ended at 2020-01-01T00:00:00Z" in out
    after = watched.ask("why", accessor("G1"), "--at", "2199-01-01 00:00:00Z")
    assert 1 == after[0]
    assert "was denied at 2199-01-01T00:00:00Z: revoke, through an ancestor" in after[1]


def test_what_a_key_made_is_told_and_revoked_with_it(watched: Running) -> None:
    """Each lives on when its maker ends, until an order takes it along."""
    keys = [f"aws.access_key:AKIAMADE{number}" for number in range(3)]
    declared = [
        {"identifier": key, "root": True, "created_by": maker}
        for key, maker in zip(keys, [[], [keys[0]], [keys[1]]], strict=True)
    ]
    (watched.folder / "made.json").write_text(json.dumps(declared))
    assert 0 == watched.ask("adopt", "made.json")[0]
    until(lambda: 0 == watched.ask("why", keys[2])[0])
    assert keys[1:] == watched.json("blast-radius", keys[0])["created"]

    assert 0 == watched.ask("revoke", keys[0])[0]
    code, out, _ = watched.ask("why", keys[1])
    assert 0 == code
    assert f"made by    {keys[0]}, which is denied" in out
    assert "with --with-created" in out
    assert "It made 1 identifier, which do not end" in watched.ask("why", keys[0])[1]

    code, out, _ = watched.ask("blast-radius", keys[0])
    assert out.startswith(f"Ending {keys[0]} reaches nothing else.\n\nIt and what")
    code, out, _ = watched.ask("revoke", keys[0], "--with-created")
    assert 0 == code
    assert "Revoked 2 identifiers that it made, too:" in out
    until(lambda: 1 == watched.ask("why", keys[2])[0])
    assert 1 == watched.ask("why", keys[1])[0]


def test_why_of_a_stranger_is_denied(watched: Running) -> None:
    """Nobody issued it, today or at any time."""
    for more in ([], ["--at", "2020-01-01T00:00:00Z"]):
        code, out, _ = watched.ask("why", "vault.accessor:a/../b?c#d %41", *more)

        assert 1 == code
        assert "no system said that it issued it" in out
        assert "vault.accessor:a/../b?c#d %41" in out


def test_blast_radius_counts_and_lists(watched: Running) -> None:
    """What hangs on the root token, the nearest first; what it made is apart."""
    answer = watched.json("blast-radius", accessor("root"), "--limit", "3")
    code, out, _ = watched.ask("blast-radius", accessor("root"), "--limit", "3")

    assert 0 == code
    assert 3 == len(answer["identifiers"])
    assert f"reaches {answer['total']} identifiers:" in out
    assert f"... and {answer['total'] - 3} more" in out
    assert "which do not end with it" in out
    nothing = watched.ask("blast-radius", "vault.accessor:nobody")
    assert (0, "Nothing is known to hang on vault.accessor:nobody.\n") == nothing[:2]


def test_inventory_lists_what_stands_out(watched: Running) -> None:
    """Every section is there, and its number counts its lines."""
    code, out, _ = watched.ask("inventory")
    answer = watched.json("inventory")

    assert 0 == code
    assert f"Without owner or parent: {len(answer['ownerless'])}" in out
    assert f"  {accessor('root')}" in out.splitlines()
    assert f"Parents that no system vouches for: {len(answer['unmapped'])}" in out
    assert "  vault.path:auth/token" in out.splitlines()
    assert "Restores too close to their suspension to count: 0" in out


def test_a_revocation_is_seen_by_the_next_why(watched: Running) -> None:
    """The command returns when the table holds it: scripts need not wait."""
    code, out, err = watched.ask("revoke", accessor("O2"), "--reason", "left a laptop")

    assert (0, "") == (code, err)
    assert f"Revoked {accessor('O2')}, and what descends from it" in out
    why = watched.json("why", accessor("O2"))
    assert (False, "operators") == (why["alive"], why["cause"]["authority"])


def test_a_revoked_name_can_be_given_again(watched: Running) -> None:
    """A user's name is not ended: what was issued under it until then is."""
    arn = "arn:aws:iam::111122223333:user/staff/ann"
    code, out, err = watched.ask(
        "revoke", f"aws.user:{arn}", "--at", "2026-01-01T00:00:00Z"
    )

    assert 0 == code
    assert "issued under aws.user:arn:aws:iam::111122223333:user/ann until 2026" in out
    assert "nothing is known of aws.user:" in err


def test_what_the_server_refuses_is_one_sentence(watched: Running) -> None:
    """A typing error in a kind would otherwise revoke nothing."""
    code, out, err = watched.ask("revoke", "vault.accesor:x")

    assert (2, "") == (code, out)
    assert "no kind is called 'vault.accesor'; is it vault.accessor?" in err
    assert "Traceback" not in err


def test_adopt_declares_and_can_be_repeated(watched: Running) -> None:
    """What is declared is known, owned, and hangs on its parent."""
    path = watched.folder / "list.csv"
    path.write_text(
        "identifier,parents,owners,root\n"
        "aws.access_key:AKIA0000000000000001,"
        "aws.user:arn:aws:iam::1:user/bob,person.id:bob;team.id:ops,\n"
        "aws.access_key:AKIA0000000000000002,,,yes\n"
    )
    for _ in range(2):
        code, out, _ = watched.ask("adopt", str(path))
        assert 0 == code
        assert out.startswith("Declared 2 credentials (")

    why = watched.json("why", "aws.access_key:AKIA0000000000000001")
    assert why["alive"]
    assert ["aws.user:arn:aws:iam::1:user/bob", 1] in why["ancestors"]
    assert 2 == watched.json("adopt", str(path))["accepted"]


def test_dlq_lists_reason_and_place(tmp_path: Path) -> None:
    """A line that is no JSON, at its byte offset, and nothing else is lost."""
    (tmp_path / "audit.log").write_bytes(b"{}\nnot json\n")
    with serving(tmp_path, "--watch", "vault=audit.log") as server:
        found: list[dict[str, Any]] = until(
            lambda: (
                len(server.json("dlq")["dead_letters"]) == 2
                and server.json("dlq")["dead_letters"]
            )
        )
        code, out, _ = server.ask("dlq")
        last = server.ask("dlq", "--after", str(found[0]["offset"]))

    assert [0, 3] == [letter["position"] for letter in found]
    assert {"openbao"} == {letter["source"] for letter in found}
    assert 0 == code
    assert [found[0]["reason"] in out, found[1]["reason"] in out] == [True, True]
    assert found[0]["reason"] not in last[1]


def test_the_first_start_makes_a_token_that_stands_in_no_other_file(
    tmp_path: Path,
) -> None:
    """It is its owner's alone, is not logged, and survives a restart."""
    data = tmp_path / "data"
    with serving(tmp_path) as server:
        assert 0 == server.ask("inventory")[0]
        token = (data / "operator.token").read_text().strip()
    mode = (data / "operator.token").stat().st_mode
    held = [f.name for f in data.iterdir() if token.encode() in f.read_bytes()]

    assert 0o600 == stat.S_IMODE(mode)
    assert len(token) >= 32
    assert ["operator.token"] == held
    first = server.log.read_text()
    assert str(data / "operator.token") in first
    assert token not in first
    (data / "operator.token").rename(tmp_path / "elsewhere")
    with serving(tmp_path) as again:
        assert 2 == again.ask("inventory")[0]
        assert 0 == again.ask("inventory", "--token-file", "elsewhere")[0]
    assert 1 == server.log.read_text().count("first start")


def test_the_token_cannot_do_what_is_no_operators(watched: Running) -> None:
    """It is neither a guard's nor a source's."""
    token = (watched.folder / "data" / "operator.token").read_text().strip()
    parts = urlsplit(watched.url)
    for method, path in (("GET", "/v1/feed"), ("POST", "/v1/events/openbao")):
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        headers = {"Authorization": f"Bearer {token}"}
        connection.request(method, path, headers=headers)

        assert 403 == connection.getresponse().status
        connection.close()


def test_a_token_that_the_server_does_not_know_is_refused(watched: Running) -> None:
    """The sentence does not repeat it."""
    done = run(watched.folder, "inventory", RESCIND_TOKEN="not-the-token")

    assert 2 == done.returncode
    assert "does not know the token" in done.stderr
    assert "not-the-token" not in done.stderr


def test_a_second_server_on_the_same_folder_is_refused(watched: Running) -> None:
    """It says why, and leaves the first one's files alone."""
    done = run(watched.folder, "serve", "--listen", "127.0.0.1:0")

    assert 2 == done.returncode
    assert "another process serves from" in done.stderr
    assert 0 == watched.ask("inventory")[0]


def test_a_port_in_use_is_refused(watched: Running, tmp_path: Path) -> None:
    """One sentence, no traceback."""
    done = run(tmp_path, "serve", "--listen", urlsplit(watched.url).netloc)

    assert 2 == done.returncode
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_server_it_is_exit_code_3(tmp_path: Path) -> None:
    """A server that stopped is no answer."""
    with serving(tmp_path):
        pass
    assert not (tmp_path / "data" / "server.url").exists()
    done = run(tmp_path, "why", "a:b", "--url", "http://127.0.0.1:1")

    assert 3 == done.returncode
    assert "is `rescind serve` running there?" in done.stderr


async def test_alerts_go_to_a_webhook_that_an_option_names(tmp_path: Path) -> None:
    """Signed with a secret that the first start makes; it stays the same."""
    shutil.copy(RECORDED / "audit.log", tmp_path / "audit.log")
    async with receiving() as receiver:
        options = ("--webhook", receiver.url, "--watch", "openbao=audit.log")
        with serving(tmp_path, *options) as server:
            await until_async(lambda: receiver.got)
        secret = tmp_path / "data" / "webhook.secret"
        text = secret.read_text()
        with serving(tmp_path, *options):
            pass

    assert 2004 == receiver.got[0][1]["class_uid"]
    assert 0o600 == stat.S_IMODE(secret.stat().st_mode)
    assert text == secret.read_text()
    assert text.startswith("whsec_")
    assert text.strip() not in server.log.read_text()

"""What ``rescind serve`` makes of its options, before it serves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from streams.apps.bootstrap import operator_token, webhook_secret
from streams.cli import serve as serve_command
from streams.settings.server import Settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

SECRET = "whsec_" + "A" * 32
HASH = "0" * 64


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with nothing of Rescind in the environment."""
    for name in [each for each in os.environ if each.startswith("RESCIND_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve_command, "configure_logging", lambda: None)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Collect the settings that would be served."""
    got: list[Settings] = []
    monkeypatch.setattr(serve_command, "_serve", got.append)
    return got


def serve(config: Path | None = None, **options: Any) -> int:
    """Run the command with some options."""
    given = {"data_dir": None, "listen": None, "watch": [], "webhook": None} | options
    return serve_command.run(config, **given)


def test_without_settings_only_the_operator_is_let_in(
    served: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    """On the loopback address, from the folder that is the default."""
    assert [0, 0] == [serve(), serve()]

    assert 2 == len(served)
    assert served[0] == served[1]
    assert ("127.0.0.1", 8750) == (served[0].listen.host, served[0].listen.port)
    (token,) = served[0].tokens
    assert {"viewer", "revoker", "restorer"} == token.roles
    assert 1 == capsys.readouterr().err.count("rescind-data/operator.token")


def test_settings_that_let_an_operator_in_need_no_other(
    tmp_path: Path, served: list[Settings]
) -> None:
    """A guard's token alone is not one of them."""
    config = tmp_path / "rescind.yaml"
    for role, names in (("guard", ["t", "operator"]), ("revoker", ["t"])):
        config.write_text(f"tokens: [{{name: t, sha256: '{HASH}', roles: [{role}]}}]")
        assert 0 == serve(config)
        assert names == [token.name for token in served[-1].tokens]


def test_a_watched_log_may_speak_of_its_own_system_alone(
    tmp_path: Path, served: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    """Paths are absolute, so that a restart elsewhere goes on where it was."""
    (tmp_path / "there").touch()
    watch = ["openbao=there", "cloudtrail=~", "vault=/not/yet"]
    assert 0 == serve(watch=watch)

    settings = served[0]
    assert {
        "openbao": ["vault.*"], "cloudtrail": ["aws.*"], "vault": ["vault.*"]
    } == {
        name: [grant.kind for grant in each.grants]
        for name, each in settings.authorities.items()
    }  # fmt: skip
    assert {"openbao": "openbao", "cloudtrail": "cloudtrail", "vault": "openbao"} == {
        name: each.format for name, each in settings.sources.items()
    }
    assert tmp_path / "there" == settings.watch[0].path
    assert "/not/yet does not exist yet" in capsys.readouterr().err


def test_settings_decide_about_a_source_that_they_name(
    tmp_path: Path, served: list[Settings]
) -> None:
    """Their grants stay; a source of their own needs an authority of its name."""
    config = tmp_path / "rescind.yaml"
    config.write_text(
        "authorities: {openbao: {grants: [{kind: vault.path}]}}\n"
        "sources: {mine: {format: generic, mapping: m.yaml}}\n"
    )
    assert 0 == serve(config, watch=["openbao=a"])
    assert "vault.path" == served[0].authorities["openbao"].grants[0].kind
    assert 2 == serve(config, watch=["mine=a"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"listen": "8750"}, "--listen '8750': write HOST:PORT"),
        ({"listen": "h:x"}, "--listen 'h:x': write HOST:PORT"),
        ({"listen": "h:99999"}, "port: must be less than or equal to 65535"),
        ({"watch": ["audit.log"]}, "write SOURCE=PATH, with a source of cloudtrail, "),
        ({"watch": ["okta=a"]}, "write SOURCE=PATH"),
        ({"config": "none.yaml"}, "none.yaml"),
        ({"webhook": "http://example.com/"}, "https and port 443 or 8443 are needed"),
        ({"config": "broken.yaml"}, "broken.yaml, line 3: not YAML"),
        ({"config": "list.yaml"}, "settings are names with values"),
        ({"config": "wrong.yaml"}, "tokens.0.sha256: must be a SHA-256 in hex"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_exit_code_2(
    options: dict[str, Any],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It never repeats a value of the settings: it may be a secret."""
    (tmp_path / "broken.yaml").write_text("a: 1\n{]\n")
    (tmp_path / "list.yaml").write_text("[1]\n")
    (tmp_path / "wrong.yaml").write_text(
        "tokens: [{name: a, sha256: plain-token, roles: [viewer]}]\n"
    )
    config = options.pop("config", None)
    assert 2 == serve(None if config is None else tmp_path / config, **options)

    out, err = capsys.readouterr()
    assert "" == out
    assert said in err.splitlines()[-1]
    assert "plain-token" not in err


def test_a_log_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A vault writes its log for its own user: nothing would ever be found in it."""
    (tmp_path / "audit.log").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)

    assert 2 == serve(watch=["openbao=audit.log"])
    assert "let the user that runs rescind read it" in capsys.readouterr().err


def test_alerts_are_signed_with_the_secret_that_is_set(
    served: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only without one the server makes its own; private addresses have to be named."""
    url = "http://127.0.0.1:9/"
    assert 0 == serve(webhook=url)
    made = (tmp_path / "rescind-data" / "webhook.secret").read_text().strip()
    monkeypatch.setenv("RESCIND_WEBHOOK__SECRETS", f'["{SECRET}"]')
    assert 0 == serve(webhook="https://example.com/hook")

    own, public = [each.webhook for each in served]
    assert own is not None
    assert public is not None
    assert [made] == [each.get_secret_value() for each in own.secrets]
    assert [SECRET] == [each.get_secret_value() for each in public.secrets]
    assert [True, False] == [own.allow_private, public.allow_private]


def test_a_fault_of_the_server_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence: which fault, or that the disk is to blame."""
    for error, said in (
        (OSError("disk full"), "the data folder fails: disk full"),
        (KeyError("x"), "a fault of its own: KeyError"),
    ):

        def broken(_: Settings, error: Exception = error) -> None:
            raise ExceptionGroup("tasks", [error])

        monkeypatch.setattr(serve_command, "_serve", broken)

        assert 1 == serve()
        assert said in capsys.readouterr().err


def test_a_crash_between_the_two_files_makes_both_anew(tmp_path: Path) -> None:
    """A token whose hash was never stored would let nobody in."""
    first, fresh = operator_token(tmp_path)
    assert fresh
    assert (first, False) == operator_token(tmp_path)
    (tmp_path / "operator.json").unlink()
    second, fresh = operator_token(tmp_path)

    assert fresh
    assert first != second
    assert webhook_secret(tmp_path) == webhook_secret(tmp_path)

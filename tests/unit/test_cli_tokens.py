"""Tokens made by the command line, and what settings say of them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from streams.cli.main import app
from streams.settings.access import StaticToken
from streams.settings.revoked_tokens import revoked_in

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(*arguments: str) -> Result:
    """Give the command."""
    return CliRunner().invoke(app, ["token", *arguments])


def entry_of(result: Result) -> Any:
    """Give the entry that was printed."""
    (entry,) = yaml.safe_load(result.stdout)
    return entry


def settings(folder: Path, *entries: Any) -> str:
    """Write settings with these tokens; give their path."""
    path = folder / "rescind.yaml"
    path.write_text(yaml.safe_dump({"tokens": list(entries)}))
    return str(path)


def test_a_token_is_in_its_file_alone_and_its_entry_fits(folder: Path) -> None:
    """Nobody but its owner may read the file."""
    made = ask(
        "create", "orders", "--role", "guard", "--guard", "orders-*", "--realm", "acme"
    )
    assert made.exit_code == 0, made.stderr
    file = folder / "orders.token"
    token = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(token) >= 43
    assert token not in made.output
    entry = entry_of(made)
    assert entry == {
        "name": "orders", "roles": ["guard"], "guards": ["orders-*"],
        "realms": ["acme"], "sha256": hashlib.sha256(token.encode()).hexdigest(),
    }  # fmt: skip
    assert StaticToken.model_validate(entry).name == "orders"


def test_no_file_is_written_over(folder: Path) -> None:
    """It may hold the token that somebody uses."""
    assert ask("create", "orders", "--role", "guard").exit_code == 0
    before = (folder / "orders.token").read_text()
    again = ask("create", "orders", "--role", "guard")
    assert again.exit_code == 2
    assert "orders.token is there already" in again.stderr
    assert (folder / "orders.token").read_text() == before


def test_a_wrong_role_is_named_and_makes_no_token(folder: Path) -> None:
    """The roles that there are stand beside it."""
    wrong = ask("create", "orders", "--role", "gaurd")
    assert wrong.exit_code == 2
    assert "guard" in wrong.stderr
    assert list(folder.iterdir()) == []


def test_the_list_names_no_digest(folder: Path) -> None:
    """Who may do what, and as which guard."""
    entry = entry_of(ask("create", "orders", "--role", "guard", "--guard", "orders-*"))
    listed = ask("list", "--config", settings(folder, entry))
    assert listed.exit_code == 0, listed.stderr
    heads, row = listed.stdout.splitlines()
    assert heads.split() == [
        "name",
        "roles",
        "realms",
        "guards",
        "authority",
        "revoked",
    ]
    assert row.split() == ["orders", "guard", "-", "orders-*", "-", "-"]
    assert entry["sha256"] not in listed.output


def test_a_credential_gets_another_token_with_the_same_rights(folder: Path) -> None:
    """Both are good until the old entry is removed."""
    old = entry_of(
        ask("create", "aws", "--role", "ingest", "--role", "viewer",
            "--authority", "aws")
    )  # fmt: skip
    config = settings(folder, old)
    made = ask("rotate", "aws", "--config", config, "--out", "new.token")
    assert made.exit_code == 0, made.stderr
    new = entry_of(made)
    token = (folder / "new.token").read_text()
    assert new["sha256"] == hashlib.sha256(token.encode()).hexdigest() != old["sha256"]
    assert new | {"sha256": 0} == old | {"sha256": 0}
    unknown = ask("rotate", "gcp", "--config", config)
    assert unknown.exit_code == 2
    assert "`tokens` has no gcp" in unknown.stderr


def test_all_tokens_of_a_name_are_revoked_or_one(folder: Path) -> None:
    """By their digests, which the list marks; twice is once."""
    entries = []
    for name, out in (("orders", "one"), ("orders", "two"), ("other", "three")):
        made = ask("create", name, "--role", "guard", "--out", out)
        entries.append(entry_of(made))
    path = folder / "rescind.yaml"
    given = {"tokens": entries, "revoked_tokens": "revoked"}
    path.write_text(yaml.safe_dump(given))
    file = folder / "revoked"
    config = ("--config", str(path))
    assert ask("revoke", "orders", "--token-file", "two", *config).exit_code == 0
    assert revoked_in(file) == ({entries[1]["sha256"]}, [])
    for _ in range(2):
        assert ask("revoke", "orders", *config).exit_code == 0
    assert file.read_text().count("# orders\n") == 2
    assert revoked_in(file)[0] == {each["sha256"] for each in entries[:2]}
    listed = ask("list", *config).stdout.splitlines()
    assert [line.endswith("yes") for line in listed[1:]] == [True, True, False]


def test_a_line_of_an_editor_is_no_part_of_the_next(folder: Path) -> None:
    """Also where it lacks its end."""
    made = ask("create", "orders", "--role", "guard")
    file = folder / "revoked"
    file.write_text(f"{'a' * 64}")
    path = folder / "rescind.yaml"
    path.write_text(
        yaml.safe_dump({"tokens": [entry_of(made)], "revoked_tokens": str(file)})
    )
    assert ask("revoke", "orders", "--config", str(path)).exit_code == 0
    assert revoked_in(file) == ({"a" * 64, entry_of(made)["sha256"]}, [])


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("nobody", (), "`tokens` has no nobody"),
        ("orders", (), "set `revoked_tokens`"),
        ("orders", ("--token-file", "strange"), "strange holds no token of orders"),
    ],
)
def test_what_cannot_be_revoked_is_said(
    folder: Path, name: str, more: tuple[str, ...], says: str
) -> None:
    """Before anything is written."""
    (folder / "strange").write_text("another one")
    config = settings(folder, entry_of(ask("create", "orders", "--role", "guard")))
    told = ask("revoke", name, *more, "--config", config)
    assert told.exit_code == 2
    assert says in told.stderr


@pytest.mark.parametrize("command", [("list",), ("rotate", "orders")])
def test_settings_that_are_wrong_are_named(
    folder: Path, command: tuple[str, ...]
) -> None:
    """With the line, as everywhere."""
    config = settings(folder, {"name": "orders", "roles": ["guard"], "sha256": "x"})
    wrong = ask(*command, "--config", config)
    assert wrong.exit_code == 2
    assert "sha256" in wrong.stderr
    missing = ask(*command, "--config", "nowhere.yaml")
    assert missing.exit_code == 2
    assert "nowhere.yaml" in missing.stderr

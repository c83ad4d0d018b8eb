"""Settings come from arguments, environment and file, in this order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from streams.settings import load

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

FILE = """
realm: from-file
listen: {port: 1111}
sources: {trail: {format: cloudtrail}}
webhook: {url: "https://example.com/hook", secrets: ["whsec_c2VjcmV0c2VjcmV0c2VjcmV0"]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a settings file."""
    path = tmp_path / "rescind.yaml"
    path.write_text(FILE, "utf-8")
    return path


def test_arguments_win_over_environment_over_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each layer replaces what stands below it."""
    assert load(file).listen.port == 1111
    monkeypatch.setenv("RESCIND_LISTEN__PORT", "2222")
    monkeypatch.setenv("RESCIND_REALM", "from-environment")

    assert load(file).listen.port == 2222
    assert load(file, realm="given").realm == "given"


def test_secrets_do_not_show(file: Path) -> None:
    """Printing the settings tells no secret."""
    assert "c2VjcmV0" not in repr(load(file))
    assert "c2VjcmV0" not in load(file).model_dump_json()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A typing error in the path must not start a server without tokens."""
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "wrong",
    [
        {"realm": "a/b"},
        {"lease_seconds": 0},
        {"tokens": [{"name": "a", "sha256": "plain-token", "roles": ["viewer"]}]},
        {"tokens": [{"name": "a", "sha256": "0" * 64, "roles": ["root"]}]},
        {"listen": {"prot": 1}},
    ],
)
def test_refuses_what_makes_no_sense(wrong: dict[str, Any]) -> None:
    """Bad values and unknown names are refused at the start."""
    with pytest.raises(ValidationError):
        load(**wrong)

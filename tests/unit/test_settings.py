"""Settings come from arguments, environment and file, in this order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from streams.settings.server import load

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
    with pytest.raises(ValueError, match="there is no file"):
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


def test_the_settings_of_the_guide_to_status_lists_are_settings(
    repository: Path, tmp_path: Path
) -> None:
    """They can be copied, with the hash of one's own token."""
    guide = (repository / "docs" / "status-lists.md").read_text("utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    path = tmp_path / "rescind.yaml"
    path.write_text(block.replace("…", "0" * 64), "utf-8")
    lists = load(path).status_lists

    assert lists is not None
    assert lists.bits == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "rescind.example.com/statuslists"},
        {"url": "https://rescind.example.com/statuslists/"},
        {"url": "https://rescind.example.com/statuslists?a=b"},
        {"url": "https://rescind.example.com/a b"},
        {"bits": 3},
        {"size": 12},
        {"size": 0},
        {"size": 1 << 21},
        {"ttl_seconds": 0},
        {"history_seconds": -1},
    ],
)
def test_a_wrong_setting_of_status_lists_is_refused(wrong: dict[str, Any]) -> None:
    """An address that stands in credentials cannot be mended later."""
    right = {"url": "https://rescind.example.com/statuslists", "key": "status.pem"}
    load(status_lists=right)

    with pytest.raises(ValidationError):
        load(status_lists=right | wrong)

"""The credential with which a relay asks other processes, read from its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.apps.builders.access import ConfigurationError
from streams.apps.builders.door import guard_credential

pytestmark = pytest.mark.unit

SETTING = "RESCIND_RELAY_PEERS_TOKEN"
WANTED_BY = "RESCIND_RELAY_PEERS"


def test_is_the_text_of_the_file(tmp_path: Path) -> None:
    """Without the end of its line."""
    file = tmp_path / "token"
    file.write_text("secret\n")

    assert "secret" == guard_credential(file, SETTING, WANTED_BY)


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (None, f"{SETTING}: name the file of a guard's credential for {WANTED_BY}"),
        (Path("/no/such/file"), f"{SETTING}: /no/such/file: .*No such file"),
    ],
)
def test_what_lacks_is_named_with_its_setting(file: Path | None, told: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigurationError, match=told):
        guard_credential(file, SETTING, WANTED_BY)

"""No public sample makes a finding of use where nothing had ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.golden.replayed import Log, false, hunted, live, of_use

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.public_samples

SOURCES: Final = {
    "anthropic": "anthropic", "aws": "cloudtrail", "entra": "entra", "github": "github",
    "kubernetes": "kubernetes", "okta": "okta",
}  # fmt: skip
SIGNED: Final = {"caep": "ssf"}  # a server takes them from a verified stream alone


def logs_of(folder: Path, sources: dict[str, str]) -> list[Log]:
    """Give each file as a log of its system."""
    return [
        Log(file.name, source, file.read_bytes())
        for name, source in sources.items()
        for file in sorted((folder / name).iterdir())
    ]


async def test_a_live_server_tells_of_no_use_that_no_sample_bears_out(
    public_samples: Path, tmp_path: Path
) -> None:
    """All of them in one server."""
    logs = logs_of(public_samples, SOURCES)

    assert [] == false(of_use(await live(tmp_path, logs)), logs)


@pytest.mark.parametrize("name", SOURCES | SIGNED)
def test_hunt_tells_of_no_use_that_no_sample_bears_out(
    public_samples: Path, name: str
) -> None:
    """The files of each system together, and each alone."""
    logs = logs_of(public_samples, {name: (SOURCES | SIGNED)[name]})

    assert [] == false(hunted(logs), logs)
    assert [] == [one for log in logs for one in false(hunted([log]), [log])]

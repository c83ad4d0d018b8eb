"""The long load, for a few seconds: its promises hold, and what breaks one is seen."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import tarfile
from typing import TYPE_CHECKING, Final

import pytest

from bench.load import measured
from bench.load_closures import unnamed
from bench.load_everywhere import measured as everywhere
from bench.load_fleet_table import lines as everywhere_lines
from bench.load_tally import Tally, lines

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.no_cover,
    pytest.mark.usefixtures("unmeasured"),
]

# The version that is upgraded from. It moves with each release.
PREVIOUS: Final = "44e9b9d9affd73f5f3b6bcf8a52b1e02eae0fc09"


def assert_kept(tally: Tally) -> None:
    """Assert that every promise was kept, and that there was something to keep."""
    assert tally.violations == []
    assert tally.lost == []
    assert tally.missing() == set()
    assert tally.planted
    assert tally.before[0] > 0
    assert tally.proven > 0


@pytest.mark.long
async def test_a_restart_of_the_server_costs_no_revocation_and_no_alert() -> None:
    """It is killed under a load, and so is each guard."""
    tally = await asyncio.to_thread(
        measured, 20, 6, "embedded", signals=(signal.SIGKILL,)
    )

    assert_kept(tally)
    assert all(row.value for row in lines(tally, ""))


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_fleet_whose_every_process_is_killed_allows_nothing_too_late() -> None:
    """Guards of three languages, two relays, two ingress; a planted guard is seen."""
    found = await asyncio.to_thread(everywhere, 10, flaw="unleased")

    late = {guard for guard, _, _ in found.allows.late()}
    assert {"guard-5-unleased"} == late
    assert {1} == {len(slot.ended) for slot in found.slots}
    for said in found.allows.guards.values():
        assert said.before > 0
        assert said.proven > 0
        assert said.lost == []
    assert found.answers
    assert [] == [*unnamed(found.answers, found.guards)]
    assert [] == found.given_up
    assert found.tally.missing() == set()
    assert found.tally.planted
    assert all(row.value for row in everywhere_lines(found, ""))


@pytest.mark.campaign
async def test_guards_that_lose_a_cause_are_caught() -> None:
    """Of each ten causes they lose one, and nothing else is found."""
    tally = await asyncio.to_thread(measured, 20, 4, "embedded", flaw="forgets")

    assert {"0"} == {name[-1] for name in tally.violations}


@pytest.mark.campaign
@pytest.mark.timeout(0)
async def test_a_restart_of_every_role_costs_no_revocation_and_no_alert() -> None:
    """The same around a real Kafka."""
    assert_kept(await asyncio.to_thread(measured, 50, 180, "kafka"))


@pytest.mark.campaign
@pytest.mark.timeout(0)
async def test_every_role_is_upgraded_under_a_load(
    tmp_path: Path, repository: Path
) -> None:
    """Each of the last release becomes one of this, readers before writers."""
    tally = await asyncio.to_thread(
        measured, 50, 300, "kafka", before=tree_of(PREVIOUS, repository, tmp_path)
    )

    assert_kept(tally)
    assert 0 < tally.rolled < tally.over


def tree_of(commit: str, repository: Path, folder: Path) -> Path:
    """Give the files of a commit; it needs the history of the repository."""
    archive, tree = folder / "previous.tar", folder / "previous"
    command = ["git", "archive", "-o", str(archive), commit]
    done = subprocess.run(
        command, cwd=repository, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(
            f"{done.stderr.strip()}: the clone is shallow; git fetch --unshallow"
        )
    with tarfile.open(archive) as packed:
        packed.extractall(tree, filter="data")
    return tree

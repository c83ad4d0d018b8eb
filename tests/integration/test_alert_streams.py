"""I6: every planted re-use is alerted, once per id, and nothing else, whatever happens.

Seeded streams through the whole embedded server in virtual time; see alert_stream.py.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from streams.process.lifecycle import configure_logging
from tests.integration import killed_alert_stream
from tests.integration.alert_receiver import FAULTS, METADATA
from tests.integration.alert_stream import ForeignConnectionError, Loop, play
from tests.integration.alert_truth import Tally
from tests.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

FEW = 2
SMALL = 25
MANY = 200
KILLED = 10


@pytest.mark.long
def test_every_reuse_is_alerted_and_nothing_else(tmp_path: Path) -> None:
    """Shuffled over hours, five copies, crashes, receivers that do what they do."""
    tally = Tally()
    for seed in range(FEW):
        folder = tmp_path / str(seed)
        folder.mkdir()
        assert [] == play(seed, folder, tally, SMALL)

    print(tally)  # noqa: T201 - what a run showed, for `pytest -s`
    assert tally.planted > 10 * FEW
    assert tally.kills
    assert tally.repeats
    assert {"hang", "410", *FAULTS} <= set(tally.faults)


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_hundreds_of_streams(tmp_path: Path) -> None:
    """Prints where it stands; the seed brings a stream back."""
    first = int(os.environ.get("RESCIND_ALERT_SEED", "0"))
    runs = int(os.environ.get("RESCIND_ALERT_RUNS", str(MANY)))
    print(f"\nRESCIND_ALERT_SEED={first} RESCIND_ALERT_RUNS={runs}")  # noqa: T201
    configure_logging(logging.CRITICAL)
    tally, wrong = Tally(), []
    for seed in range(first, first + runs):
        folder = tmp_path / str(seed)
        folder.mkdir()
        wrong += play(seed, folder, tally)
        shutil.rmtree(folder)
        if seed % 10 == 9:
            print(tally, flush=True)  # noqa: T201
    print(tally, *wrong, sep="\n", flush=True)  # noqa: T201
    assert [] == wrong


@pytest.mark.campaign
@pytest.mark.timeout(0)
async def test_streams_through_servers_that_are_killed(tmp_path: Path) -> None:
    """A few of them with SIGKILL and the time of the machine."""
    first = int(os.environ.get("RESCIND_ALERT_SEED", "0"))
    tally, wrong = Tally(), []
    for seed in range(first, first + KILLED):
        folder = tmp_path / str(seed)
        folder.mkdir()
        wrong += await killed_alert_stream.play(seed, folder, None, tally)
        print(tally, *wrong, sep="\n", flush=True)  # noqa: T201
    assert [] == wrong


def test_the_loop_of_the_streams_refuses_metadata_addresses() -> None:
    """A redirect that is followed would be seen."""

    async def connect(_: VirtualLoop) -> Any:
        await asyncio.open_connection(METADATA.split("/")[2], 80)

    with pytest.raises(ForeignConnectionError):
        run(connect, Loop)

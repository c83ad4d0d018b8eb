"""Tests of the crash test: an engine with one wrong line must be caught.

A copy of the product gets the wrong line; then seeded runs that kill it where the
line matters are played until one complains. The copy without a wrong line must pass
the same runs, else a complaint would say nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from streams.observability.failpoints import POINTS
from tests.campaigns import some
from tests.planted.copies import PRODUCT, Change, copied, plant, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(1000)]

COPIED: Final = (*PRODUCT, "tests/integration")
RUNS: Final = 80  # most; the first complaint ends them
PATIENCE: Final = 60  # seconds
IMPATIENCE: Final = 6  # where something is expected not to come


class Bug(NamedTuple):
    """A wrong line, and the failpoint where it matters.

    Attributes:
        first: of the runs that end there, where the script is one that shows it.
    """

    module: str
    right: str
    wrong: str
    point: str
    first: int = 0
    room: str = "engines/embedded"

    @property
    def change(self) -> Change:
        """The wrong line."""
        file = f"streams/{self.room}/{self.module}.py"
        return Change(file, self.right, self.wrong)


BUGS: Final = {
    "answer before the commit": Bug(
        "store",
        'failpoint("store.before_commit")',
        "self._loop.call_soon_threadsafe(self._committed, tx, answers)\n"
        '            __import__("time").sleep(0.05)\n'
        '            failpoint("store.before_commit")\n'
        "            answers = []",
        "store.before_commit",
    ),
    "a file's place saved before its lines": Bug(
        "file_tailer",
        "await self._ingest.records(self._delivery(records), also, patient=True)",
        "await self._kept.put(*also[0])\n"
        '        failpoint("tail.committed")\n'
        "        await self._ingest.records(self._delivery(records))",
        "tail.committed",
        first=2,
        room="pollers",
    ),
    "an access block's position saved before its findings": Bug(
        "access_steps",
        'failpoint("stages.before_access")',
        "await state.store.write("
        'lambda tx: tx.stages.set_position("sentinel", offset + 1))\n'
        '    failpoint("stages.before_access")',
        "stages.before_access",
    ),
    "a cause's position saved before its listing": Bug(
        "fact_steps",
        'failpoint("stages.before_slice")',
        "await state.store.write("
        'lambda tx: tx.stages.set_position("registry", position))\n'
        '    failpoint("stages.before_slice")',
        "stages.before_slice",
        first=7,
    ),
    "remembered uses live in memory only": Bug(
        "stage_state", "tx.stages.put_uses(", "list(", "stages.before_slice", first=1
    ),
    "a delivery forgotten before it is posted": Bug(
        "delivery",
        'failpoint("notify.before_attempt")',
        "await self._engine.save("
        "DeliveryChange(dropped=[delivery.key], state=self.state))\n"
        '        failpoint("notify.before_attempt")',
        "notify.before_attempt",
        room="pipeline",
    ),
    "a new webhook id at every attempt": Bug(
        "delivery",
        "await self.post(delivery)",
        "await self.post(__import__('attrs').evolve("
        "delivery, id=f'{delivery.id}-{self._clock()}'))",
        "notify.after_attempt",
        room="pipeline",
    ),
    "a fact written without its transaction": Bug(
        "log_rows",
        "self.end += 1\n",
        "self.end += 1\n                self._db.execute('COMMIT')\n"
        "                self._db.execute('BEGIN')\n",
        "store.fact_written",
    ),
}


CHANGES: Final = [bug.change for bug in BUGS.values()]

# One for the log, the findings and the alerts; each plays runs until one complains.
QUICK: Final = (
    "answer before the commit",
    "an access block's position saved before its findings",
    "a new webhook id at every attempt",
)


def seeds(bug: Bug, most: int) -> list[str]:
    """Give that many runs, one of which shows a bug soon."""
    numbers = range(bug.first, bug.first + most)
    return [str(POINTS.index(bug.point) + len(POINTS) * each) for each in numbers]


def suspect(
    folder: Path, seeds: list[str], seconds: int
) -> subprocess.CompletedProcess[str]:
    """Play runs on the copy in a folder; what never comes is waited for so long."""
    return run(folder, "-m", "tests.integration.crash_suspect", str(seconds), *seeds)


@pytest.mark.campaign  # the crash tests themselves show it
def test_the_engine_as_it_is_passes(repository: Path, tmp_path: Path) -> None:
    """The unchanged copy gives no complaint in the runs that catch bugs."""
    copied(repository, tmp_path, *COPIED)
    done = suspect(tmp_path, [s for b in BUGS.values() for s in seeds(b, 2)], PATIENCE)

    assert (0, "no complaint\n") == (done.returncode, done.stdout), done.stderr


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_wrong_line_is_caught(repository: Path, tmp_path: Path, name: str) -> None:
    """Some run complains of the changed copy."""
    bug = BUGS[name]
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, bug.change)
    done = suspect(tmp_path, seeds(bug, RUNS), IMPATIENCE)

    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("seed "), done.stderr

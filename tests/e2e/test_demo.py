"""The demo as a person runs it: by itself, at a terminal, and on another day."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.campaigns import some

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

RESCIND = Path(sys.executable).with_name("rescind")
DEADLINE = 50.0
LINES, COLUMNS = 40, 100

# Loaded by every Python process that the demo starts: the wall clock is moved, and
# nothing of the product knows.
OTHER_DAY = """
import datetime, os, time
NS = int(os.environ["MOVED_SECONDS"]) * 10**9
def moved(read, unit):
    return lambda *which: read(*which) + (
        NS // unit if not which or which[0] == time.CLOCK_REALTIME else 0)
time.time = moved(time.time, 10**9)
time.time_ns = moved(time.time_ns, 1)
time.clock_gettime = moved(time.clock_gettime, 10**9)
time.clock_gettime_ns = moved(time.clock_gettime_ns, 1)
class Moved(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
datetime.datetime = Moved
"""


def gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def ends(pid: int) -> bool:
    """Wait until a process is gone."""
    end = time.monotonic() + 10
    while not gone(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def guard_of(screen: str) -> int:
    """Give the process id of the guard that a screen names."""
    found = re.search(r"\(pid\s+(\d+)\)", screen)
    assert found, screen
    return int(found.group(1))


def demo(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo where standard output is no terminal."""
    return subprocess.run(
        [RESCIND, "demo"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**os.environ, **environment},
        check=False,
    )


def test_shows_the_revocation_on_one_screen_and_ends() -> None:
    """Tree, denial, uses and alert are there, colourless, and no process is left."""
    done = demo()
    screen = done.stdout

    assert (0, "") == (done.returncode, done.stderr)
    assert len(screen.splitlines()) <= LINES
    assert max(map(len, screen.splitlines())) <= COLUMNS
    assert "\x1b" not in screen
    text = " ".join(screen.split())
    for line in (
        r"└── P 1b8b210c dead revoked, denied after \d+\.\d ms",
        r"├── C1 fef24008 dead under P, denied after \d+\.\d ms",
        r"├── G1 fec3396b dead under P, denied after",
        r"├── B1 c382ecd4 dead under P, denied after",
        r"├── C2 b188bc2b dead revoked by itself before",
        r"O1 15a476fa alive └── lease of O1 \w+ alive O2 b14f258e alive",
        r"root called auth/token/revoke on P .* accepted \(202\) \d+\.\d ms",
        r"last of its 7 descendants after \d+\.\d ms",
        r"38 uses of 18 dead credentials, all refused\. All 37 presentations",
        r"Medium Dead credential still presented at openbao: P \(1b8b210c\) \(count",
        r"A local webhook got \d+, all signatures verified",
        r"O1 and O2: made as orphans",
    ):
        assert re.search(line, text), f"{line}\n{screen}"
    assert "RESCIND_TOKEN" not in screen
    assert gone(guard_of(screen))


@pytest.mark.parametrize("days", some((400, -800), (400,), pytest.mark.long))
def test_works_on_any_day(tmp_path: Path, days: int) -> None:
    """The recording's age does not matter, nor a clock that is behind it."""
    (tmp_path / "sitecustomize.py").write_text(OTHER_DAY)
    done = demo(PYTHONPATH=str(tmp_path), MOVED_SECONDS=str(days * 86_400))
    way = "forward" if days > 0 else "back"

    assert (0, "") == (done.returncode, done.stderr)
    assert re.search(rf"moved \d{{3}} d {way}", " ".join(done.stdout.split()))
    assert "Dead credential still presented at openbao: P" in done.stdout


class Terminal:
    """The demo at a terminal of its own."""

    def __init__(self, data: Path) -> None:
        """Start it."""
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [RESCIND, "demo", "--data-dir", data],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)},
        )
        os.close(theirs)
        self.screen = ""

    def read_until(self, wanted: str) -> str:
        """Read the screen, without its colours, until a pattern is on it."""
        end = time.monotonic() + DEADLINE
        while not re.search(wanted, self.screen):
            assert time.monotonic() < end, self.screen
            if select.select([self._ours], [], [], 1.0)[0]:
                self.screen += self._read()
        return self.screen

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def _read(self) -> str:
        try:
            data = os.read(self._ours, 65_536).decode(errors="replace")
        except OSError as error:  # so Linux says that the other side is closed
            raise AssertionError(f"it ended early:\n{self.screen}") from error
        return re.sub(r"\x1b\[[0-9;]*m", "", data)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Run the demo at a terminal; end it afterwards."""
    started = Terminal(tmp_path / "data")
    try:
        yield started
    finally:
        started.close()


def console(screen: str) -> str:
    """Open the console by the address on a screen, and read its findings."""
    link = re.search(r"(http://\S+)/console/link\?key=\S+", screen)
    assert link, screen
    jar = urllib.request.HTTPCookieProcessor()
    browser = urllib.request.build_opener(jar)
    with browser.open(link.group(), timeout=DEADLINE) as opened:
        assert opened.url == f"{link.group(1)}/console"
    list_of = f"{link.group(1)}/console/findings?whole=1"
    with browser.open(list_of, timeout=DEADLINE) as shown:
        (finding,) = re.findall(rb'href="(/console/findings/\w+)"', shown.read())[:1]
    address = f"{link.group(1)}{finding.decode()}?whole=1"
    with browser.open(address, timeout=DEADLINE) as shown:
        return str(shown.read().decode())


@pytest.mark.parametrize(
    "number",
    some(
        (signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
        (signal.SIGINT,),
        pytest.mark.long,
    ),
)
def test_stays_up_at_a_terminal_until_it_is_ended(
    terminal: Terminal, number: signal.Signals
) -> None:
    """What it says to try works; Ctrl-C and the like end all of it, exit code 0."""
    screen = terminal.read_until(r"curl -s \S+/metrics\s")
    values = dict(re.findall(r"(RESCIND_\w+)=(\S+)", screen))
    asked = re.search(r"rescind why (\S+)", screen)
    assert asked, screen
    why = subprocess.run(
        [RESCIND, "why", asked.group(1)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**os.environ, **values},
        check=False,
    )
    assert "revoked" in why.stdout, why.stderr
    assert "still presented at openbao" in console(screen)
    assert not gone(guard_of(screen))

    terminal.process.send_signal(number)

    assert terminal.process.wait(timeout=15) == 0
    assert gone(guard_of(screen))


def test_takes_the_guard_along_when_it_is_killed(terminal: Terminal) -> None:
    """The guard's process ends with the demo, even without a word."""
    screen = terminal.read_until(r"curl -s \S+/metrics\s")

    terminal.process.kill()

    assert ends(guard_of(screen))

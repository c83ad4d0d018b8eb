"""The benchmark of the console runs; what it measures is for a person to read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.browser.chromium import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_it_gives_a_table() -> None:
    """At a tiny size it ends, and no console of it cost a lease."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "console", "--scale", "tiny"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert "until 5 consoles heard of it" in done.stdout

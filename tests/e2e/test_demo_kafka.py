"""The demo on Kafka as a person runs it, where standard output is no terminal."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

RESCIND = Path(sys.executable).with_name("rescind")
COUNT = 60


def listens(address: str) -> bool:
    """Tell whether something accepts connections."""
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.mark.long
def test_measures_denials_over_kafka_and_ends() -> None:
    """Latencies and their histogram are on the screen, and nothing is left running."""
    done = subprocess.run(
        [RESCIND, "demo-kafka", "--count", str(COUNT)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    screen = done.stdout

    assert (0, "") == (done.returncode, done.stderr), screen
    assert "\x1b" not in screen
    number = r"-?\d+\.\d+ ms"
    told = rf"denied at the guard, (\d+) revocations: p50 {number}, p99 {number}"
    found = re.search(told, screen)
    assert found, screen
    bars = re.findall(r"^ +(?:before|above|\d).*?  +(\d+)  #+$", screen, re.MULTILINE)
    assert int(found.group(1)) == sum(map(int, bars))
    for address in re.findall(r"127\.0\.0\.1:\d+", screen):
        assert not listens(address)

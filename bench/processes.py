"""The processes of a benchmark: each says a line, and tells JSON at its end."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Part: TypeAlias = "subprocess.Popen[str]"


@contextmanager
def part(module: str, *arguments: str) -> Iterator[Part]:
    """Run a module as a process; whatever happens, it ends with the context."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def line(process: Part) -> str:
    """Wait for the next line that a process says."""
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    if not said:
        raise AssertionError("a process of the benchmark ended before it was ready")
    return said


def end(process: Part, seconds: float, last: str = "") -> dict[str, Any]:
    """End the input of a process and give what it tells.

    Args:
        process: as `part` gives it.
        seconds: that it may take.
        last: what it is told before its input ends.
    """
    told, _ = process.communicate(last or None, timeout=seconds)
    return dict(json.loads(told)) if told else {}

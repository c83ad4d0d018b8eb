"""The command ``rescind demo``: one screen; at a terminal the server stays up."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.demo.examples import EXAMPLES
from streams.demo.play import play
from streams.demo.recording import RecordingError, read
from streams.demo.screen import Screen
from streams.demo.stage import DemoError, Stage, staged
from streams.engines.embedded.data_folder import StoreInUseError
from streams.outbound.answers import RequestError
from streams.process.lifecycle import configure_logging, first_error

if TYPE_CHECKING:
    from streams.demo.recording import Recording

RECORDING: Final = EXAMPLES / "openbao"
DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2


def run(data_dir: Path | None, examples: Path = RECORDING) -> int:
    """Run the demo.

    Args:
        data_dir: an empty folder for the server's data, which is kept; without one
            it is a temporary folder.
        examples: where the recording is.

    Returns:
        The exit code: 0, or 1 when something that the demo shows did not happen, or
        2 when an argument or the recording is wrong.
    """
    if data_dir is not None and data_dir.exists() and any(data_dir.iterdir()):
        return _complain(
            f"{data_dir} is not empty: the demo starts from nothing", USAGE
        )
    configure_logging(logging.ERROR)
    try:
        recording = read(examples, time.time_ns())  # noqa: TID251 - a composition root
        if data_dir is not None:
            asyncio.run(_demo(data_dir, recording))
            return DONE
        with tempfile.TemporaryDirectory(prefix="rescind-demo-") as folder:
            asyncio.run(_demo(Path(folder), recording))
    except RecordingError as error:
        return _complain(str(error), USAGE)
    except BrokenPipeError:  # the reader (head, say) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (DemoError, StoreInUseError, RequestError, OSError) as error:
        return _complain(str(error), FAILED)
    return DONE


async def _demo(folder: Path, recording: Recording) -> None:
    screen = Screen()
    try:
        async with staged(folder, recording.family) as stage:
            # A closed terminal ends the demo as Ctrl-C does, which the server sees to.
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, stage.stop.set)
            await play(stage, recording, screen)
            if screen.is_terminal:
                screen.next_steps(stage.served.console, _next(stage, recording))
                await stage.stop.wait()
    except BaseExceptionGroup as group:
        # The stage's parts run as a group; the first failure ended the others.
        raise first_error(group) from None


def _next(stage: Stage, recording: Recording) -> list[str]:
    program = _program()
    labels = {label: name for name, label in recording.family.items()}
    log = _short_path(EXAMPLES / "audit.log")
    return [
        f"export RESCIND_URL={stage.url} RESCIND_TOKEN={stage.tokens['operator']}",
        f"{program} why {labels['G1']}",
        f"{program} hunt {log}",
        f"curl -s {stage.url}/metrics",
    ]


def _program() -> str:
    """Program as the person can type it here."""
    return _short_path(Path(sys.argv[0]))


def _short_path(path: Path) -> str:
    try:
        return shlex.quote(str(path.resolve().relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(path))


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"rescind demo: {text}\n")
    return code

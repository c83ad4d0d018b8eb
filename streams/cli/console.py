"""The command ``rescind console``: pages for a server that runs elsewhere."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from streams.apps.console import show
from streams.cli.role import served
from streams.observability.metrics import CONSOLE
from streams.observability.tracing import traced_process
from streams.settings.server import Settings, address, load

if TYPE_CHECKING:
    from pathlib import Path


def run(config: Path | None, *, url: str, ca: Path | None, listen: str | None) -> int:
    """Serve the console until a signal comes.

    Args:
        config: settings file (YAML or JSON).
        url: of the server that is asked.
        ca: who may have signed its certificate.
        listen: ``HOST:PORT``, instead of the settings' own.

    Returns:
        The exit code: 0 stopped by a signal, 1 something broke, 2 a wrong setting.
    """

    def work() -> None:
        overrides: dict[str, Any] = {}
        if listen is not None:
            overrides["listen"] = address(listen)
        settings = load(config, **overrides)
        with traced_process(CONSOLE):
            asyncio.run(show(settings, url, ca, started=_say))

    return served("console", Settings, config, work)


def _say(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()

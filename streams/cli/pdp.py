"""The command ``rescind pdp``: a guard that answers gateways over HTTP."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from streams.apps.pdp import guard_of
from streams.cli.role import served
from streams.observability.metrics import PDP
from streams.observability.tracing import traced_process
from streams.pdp.service import serve
from streams.pdp.settings import PdpSettings, load
from streams.process.lifecycle import heeding_signals
from streams.settings.server import address

if TYPE_CHECKING:
    from pathlib import Path

    from enforcement.guard import AnyGuard
    from streams.pdp.service import Deciding


def run(config: Path | None, *, url: str | None, listen: str | None) -> int:
    """Decide until a signal comes.

    Args:
        config: settings file (YAML or JSON).
        url: of the Rescind server, instead of the settings' own.
        listen: ``HOST:PORT``, instead of the settings' own.

    Returns:
        The exit code: 0 stopped by a signal, 1 something broke, 2 a wrong setting.
    """

    def work() -> None:
        overrides: dict[str, Any] = {} if url is None else {"url": url}
        if listen is not None:
            overrides["listen"] = address(listen)
        settings = load(config, **overrides)
        with traced_process(PDP):
            asyncio.run(_until_a_signal(settings, guard_of(settings)))

    return served("pdp", PdpSettings, config, work)


async def _until_a_signal(settings: PdpSettings, guard: AnyGuard[Any, Any]) -> None:
    stop = asyncio.Event()
    with heeding_signals(stop):
        await serve(settings, guard, stop=stop, started=_say)


def _say(deciding: Deciding) -> None:
    sys.stdout.write(f"{deciding.url}\n")
    sys.stdout.flush()

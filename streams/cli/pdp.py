"""The command ``rescind pdp``: a guard that answers gateways over HTTP."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from streams.apps.pdp import guard_of
from streams.cli.options import BROKEN, DONE, USAGE
from streams.cli.output import complain
from streams.observability.metrics import PDP
from streams.observability.tracing import MissingError, traced_process
from streams.pdp.service import serve
from streams.pdp.settings import PdpSettings, load
from streams.process.lifecycle import configure_logging, first_error, heeding_signals
from streams.settings.errors import explained
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
    configure_logging()
    try:
        overrides: dict[str, Any] = {} if url is None else {"url": url}
        if listen is not None:
            overrides["listen"] = address(listen)
        settings = load(config, **overrides)
        with traced_process(PDP):
            asyncio.run(_until_a_signal(settings, guard_of(settings)))
    except KeyboardInterrupt:
        return DONE
    except ValidationError as error:
        return complain("pdp", explained(error, PdpSettings, config), USAGE)
    except FileNotFoundError as error:
        return complain("pdp", f"there is no file {error.filename or error}", USAGE)
    except (MissingError, ValueError, OSError) as error:
        return complain("pdp", error, USAGE)
    except BaseExceptionGroup as group:
        return complain("pdp", _broken(group), BROKEN)
    return DONE


async def _until_a_signal(settings: PdpSettings, guard: AnyGuard[Any, Any]) -> None:
    stop = asyncio.Event()
    with heeding_signals(stop):
        await serve(settings, guard, stop=stop, started=_say)


def _say(deciding: Deciding) -> None:
    sys.stdout.write(f"{deciding.url}\n")
    sys.stdout.flush()


def _broken(error: BaseException) -> str:
    error = first_error(error)
    return f"stopped by a fault of its own: {type(error).__name__}: {error}"

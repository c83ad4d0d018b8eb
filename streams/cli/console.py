"""The command ``rescind console``: pages for a server that runs elsewhere."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from streams.apps.console import show
from streams.cli.options import BROKEN, DONE, USAGE
from streams.cli.output import complain
from streams.observability.metrics import CONSOLE
from streams.observability.tracing import MissingError, traced_process
from streams.process.lifecycle import configure_logging, first_error
from streams.settings.errors import explained
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
    configure_logging()
    try:
        overrides: dict[str, Any] = {}
        if listen is not None:
            overrides["listen"] = address(listen)
        settings = load(config, **overrides)
        with traced_process(CONSOLE):
            asyncio.run(show(settings, url, ca, started=_say))
    except KeyboardInterrupt:
        return DONE
    except ValidationError as error:
        return complain("console", explained(error, Settings, config), USAGE)
    except FileNotFoundError as error:
        return complain("console", f"there is no file {error.filename or error}", USAGE)
    except (MissingError, ValueError, OSError) as error:
        return complain("console", error, USAGE)
    except BaseExceptionGroup as group:
        return complain("console", _broken(group), BROKEN)
    return DONE


def _say(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


def _broken(error: BaseException) -> str:
    error = first_error(error)
    return f"stopped by a fault of its own: {type(error).__name__}: {error}"

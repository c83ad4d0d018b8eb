"""The command ``rescind serve``: the embedded server, also without any settings."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from typing import TYPE_CHECKING

from pydantic import ValidationError

from streams.apps.bootstrap import console_credential
from streams.apps.embedded import serve
from streams.apps.first_start import settings_of
from streams.cli.options import BROKEN, DONE, USAGE
from streams.cli.output import complain, to_stderr
from streams.cli.role import own_fault
from streams.clients.rescind import URL_FILE
from streams.console.login import LINK_SECONDS
from streams.engines.embedded.data_folder import LostLogError, StoreInUseError
from streams.observability.metrics import SERVER
from streams.observability.tracing import MissingError, traced_process
from streams.process.lifecycle import (
    configure_logging,
    first_error,
    heeding_signals,
    keep_collections_short,
)
from streams.settings.errors import explained
from streams.settings.server import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from streams.apps.embedded import Served


def run(
    config: Path | None,
    *,
    data_dir: Path | None,
    listen: str | None,
    watch: list[str],
    webhook: str | None,
) -> int:
    """Serve until a signal comes.

    Args:
        config: settings file (YAML or JSON).
        data_dir: instead of the settings' own.
        listen: ``HOST:PORT``, instead of the settings' own.
        watch: ``SOURCE=PATH``, besides those of the settings.
        webhook: where alerts go, instead of the settings' own.

    Returns:
        The exit code: 0 stopped by a signal, 1 the server broke, 2 a wrong setting.
    """
    configure_logging()
    try:
        settings = settings_of(config, data_dir, listen, watch, webhook, _note)
        with traced_process(SERVER):
            _serve(settings)
    except KeyboardInterrupt:
        return DONE
    except ValidationError as error:
        return complain("serve", explained(error, Settings, config), USAGE)
    except FileExistsError as error:
        return complain(
            "serve", f"{error.filename} is a file: name a folder for data", USAGE
        )
    except FileNotFoundError as error:
        return complain("serve", f"there is no file {error.filename or error}", USAGE)
    except sqlite3.Error as error:
        return complain("serve", _unreadable(error), BROKEN)
    except (StoreInUseError, LostLogError, MissingError, ValueError, OSError) as error:
        return complain("serve", error, USAGE)
    except BaseExceptionGroup as group:
        return complain("serve", _broken(group), BROKEN)
    return DONE


def _serve(settings: Settings) -> None:
    url_file = settings.data_dir / URL_FILE
    made, opening = console_credential(settings), ""
    if made is not None:
        token, opening = made
        settings = settings.model_copy(update={"tokens": (*settings.tokens, token)})

    def started(served: Served) -> None:
        url_file.write_text(f"{served.url}\n", "utf-8")
        sys.stdout.write(f"{served.url}\n")
        sys.stdout.flush()
        if opening:
            _note(_invitation(served.console))
        keep_collections_short()

    async def until_a_signal() -> None:
        # From the beginning on: a signal may come before the server serves.
        stop = asyncio.Event()
        with heeding_signals(stop):
            await serve(settings, stop=stop, started=started, opening=opening)

    try:
        asyncio.run(until_a_signal())
    except StoreInUseError:
        raise  # the file is the other server's
    except BaseException:
        url_file.unlink(missing_ok=True)
        raise
    url_file.unlink(missing_ok=True)


def _invitation(address: str) -> str:
    """Say where the console is: a link that opens a session, once."""
    minutes = round(LINK_SECONDS / 60)
    return (
        f"the console opens once, within {minutes} minutes, to look and to revoke: "
        f"{address}"
    )


def _broken(error: BaseException) -> str:
    error = first_error(error)
    if isinstance(error, sqlite3.Error | OSError):
        return _unreadable(error)
    return own_fault(error)


def _unreadable(error: Exception) -> str:
    # Whatever the data folder says of itself: nothing was changed to get by.
    return (
        f"stopped, since the data folder fails: {error}; make room or mend the disk, "
        "and restore the folder from a backup if its file is damaged"
    )


def _note(text: object) -> None:
    to_stderr("serve", text)

"""The command ``rescind serve``: the embedded server, also without any settings."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from streams.apps.bootstrap import operator_token, webhook_secret
from streams.apps.builders.alerting import alerting
from streams.apps.embedded import serve
from streams.cli.output import to_stderr
from streams.clients.rescind import DEFAULT_DATA_DIR, TOKEN_FILE, URL_FILE
from streams.engines.embedded.data_folder import LostLogError, StoreInUseError
from streams.observability.metrics import SERVER
from streams.observability.tracing import MissingError, traced_process
from streams.outbound.addresses import is_public
from streams.process.lifecycle import (
    configure_logging,
    first_error,
    heeding_signals,
    keep_collections_short,
)
from streams.settings.errors import explained
from streams.settings.server import Authority, GrantSettings, Settings, address, load
from streams.settings.sources import SourceSettings
from streams.settings.sources import WatchSettings as Watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.apps.embedded import Served
    from streams.settings.access import Role

STOPPED: Final = 0
BROKEN: Final = 1
USAGE: Final = 2

# What `--watch NAME=PATH` knows by itself: the format, and the kinds of the system
# that writes such a log. Vault writes what OpenBao writes.
_BUILT_IN: Final = {
    "cloudtrail": ("cloudtrail", "aws.*"),
    "openbao": ("openbao", "vault.*"),
    "vault": ("openbao", "vault.*"),
}


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
        settings = _settings(config, data_dir, listen, watch, webhook)
        with traced_process(SERVER):
            _serve(settings)
    except KeyboardInterrupt:
        return STOPPED
    except ValidationError as error:
        return _complain(explained(error, Settings, config), USAGE)
    except FileExistsError as error:
        return _complain(f"{error.filename} is a file: name a folder for data", USAGE)
    except FileNotFoundError as error:
        return _complain(f"there is no file {error.filename or error}", USAGE)
    except sqlite3.Error as error:
        return _complain(_unreadable(error), BROKEN)
    except (StoreInUseError, LostLogError, MissingError, ValueError, OSError) as error:
        return _complain(error, USAGE)
    except BaseExceptionGroup as group:
        return _complain(_broken(group), BROKEN)
    return STOPPED


def _serve(settings: Settings) -> None:
    url_file = settings.data_dir / URL_FILE

    def started(served: Served) -> None:
        url_file.write_text(f"{served.url}\n", "utf-8")
        sys.stdout.write(f"{served.url}\n")
        sys.stdout.flush()
        keep_collections_short()

    async def until_a_signal() -> None:
        # From the beginning on: a signal may come before the server serves.
        stop = asyncio.Event()
        with heeding_signals(stop):
            await serve(settings, stop=stop, started=started)

    try:
        asyncio.run(until_a_signal())
    except StoreInUseError:
        raise  # the file is the other server's
    except BaseException:
        url_file.unlink(missing_ok=True)
        raise
    url_file.unlink(missing_ok=True)


def _settings(
    config: Path | None,
    data_dir: Path | None,
    listen: str | None,
    watch: list[str],
    webhook: str | None,
) -> Settings:
    """Put the settings together and, on a first start, make what is missing.

    Raises:
        ValueError: an option cannot be read or does not fit the settings.
        OSError: a file cannot be read or written.
        InUseError: another process serves from the data folder.
    """
    overrides: dict[str, Any] = {}
    if data_dir is not None:
        overrides["data_dir"] = data_dir
    if listen is not None:
        overrides["listen"] = address(listen)
    settings = _with_webhook(config, overrides, webhook)
    alerting(settings)  # refused before anything is served
    for text in watch:
        settings = _with_watch(settings, text)
    return _with_operator(settings)


def _with_webhook(
    config: Path | None, overrides: dict[str, Any], url: str | None
) -> Settings:
    """Load the settings; alerts go to a URL, signed with a secret of this server."""
    if url is None:
        return load(config, **overrides)
    webhook = {"url": url} | ({"allow_private": True} if _is_private(url) else {})
    try:
        # Secrets may stand in the settings without a URL: these two are merged.
        return load(config, **overrides, webhook=webhook)
    except ValidationError as error:
        if [each["loc"] for each in error.errors()] != [("webhook", "secrets")]:
            raise
    unsigned = load(config, **overrides, webhook=webhook | {"secrets": ()})
    path, secret = webhook_secret(unsigned.data_dir)
    _note(f"alerts are signed with the secret in {path} (Standard Webhooks)")
    return load(config, **overrides, webhook=webhook | {"secrets": (secret,)})


def _is_private(url: str) -> bool:
    """Whether a URL names this machine or a private address in so many words."""
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or not is_public(host)
    except ValueError:
        return False  # a name; who means a private one sets webhook.allow_private


def _with_watch(settings: Settings, text: str) -> Settings:
    """Follow a log; a built-in source may speak of the kinds of its own system."""
    from pathlib import Path

    name, _, value = text.partition("=")
    known = sorted({*settings.sources, *_BUILT_IN})
    if not value or name not in known:
        message = (
            f"--watch {text!r}: write SOURCE=PATH, with a source of {', '.join(known)}"
        )
        raise ValueError(message)
    path = Path(value).expanduser().absolute()
    _look_at(path)
    sources, authorities = dict(settings.sources), dict(settings.authorities)
    if name in _BUILT_IN:
        made_of, kinds = _BUILT_IN[name]
        sources.setdefault(name, SourceSettings(format=made_of, point=name))
        if sources[name].format == made_of:
            grants = (GrantSettings(kind=kinds),)
            authorities.setdefault(name, Authority(grants=grants, issuer_log=True))
    if name not in authorities:
        message = (
            f"--watch {text!r}: the settings need an authority called {name!r} that "
            "says of which kinds this log may speak"
        )
        raise ValueError(message)
    watched = Watched(path=path, source=name, authority=name)
    return settings.model_copy(
        update={
            "sources": sources,
            "authorities": authorities,
            "watch": (*settings.watch, watched),
        }
    )


def _look_at(path: Path) -> None:
    """Refuse a log that cannot be read: nothing would ever be found in it."""
    if not path.exists():
        _note(f"{path} does not exist yet; it is read once it does")
    elif not os.access(path, os.R_OK):
        message = f"cannot read {path}: let the user that runs rescind read it"
        raise PermissionError(message)


def _with_operator(settings: Settings) -> Settings:
    """Let the operator in, where no credential of the settings may revoke."""
    if any(roles & {"revoker", "admin"} for roles in _roles(settings)):
        return settings
    token, fresh = operator_token(settings.data_dir)
    if fresh:
        path = settings.data_dir / TOKEN_FILE
        _note(f"first start: the operator's token is in {path}, and nowhere else")
        if str(settings.data_dir) != DEFAULT_DATA_DIR:
            _note(f"the other commands find it by RESCIND_DATA_DIR={settings.data_dir}")
    return settings.model_copy(update={"tokens": (*settings.tokens, token)})


def _roles(settings: Settings) -> Iterator[frozenset[Role]]:
    """Roles of every sort of credential."""
    yield from (token.roles for token in settings.tokens)
    yield from (rule.roles for each in settings.oidc.values() for rule in each.roles)
    if settings.tls is not None:
        yield from (client.roles for client in settings.tls.clients)


def _broken(error: BaseException) -> str:
    error = first_error(error)
    if isinstance(error, sqlite3.Error | OSError):
        return _unreadable(error)
    return f"stopped by a fault of its own: {type(error).__name__}: {error}"


def _unreadable(error: Exception) -> str:
    # Whatever the data folder says of itself: nothing was changed to get by.
    return (
        f"stopped, since the data folder fails: {error}; make room or mend the disk, "
        "and restore the folder from a backup if its file is damaged"
    )


def _note(text: object) -> None:
    to_stderr("serve", text)


def _complain(text: object, code: int) -> int:
    _note(text)
    return code

"""Settings of a server that is started by options, and what it makes for itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from streams.apps.bootstrap import operator_token, webhook_secret
from streams.apps.builders.alerting import alerting
from streams.clients.rescind import DEFAULT_DATA_DIR, TOKEN_FILE
from streams.outbound.addresses import is_public
from streams.settings.server import Authority, GrantSettings, Settings, address, load
from streams.settings.sources import SourceSettings
from streams.settings.sources import WatchSettings as Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.settings.access import Role

# What `--watch NAME=PATH` knows by itself: the format, and the kinds of the system
# that writes such a log. Vault writes what OpenBao writes.
_BUILT_IN: Final = {
    "cloudtrail": ("cloudtrail", "aws.*"),
    "openbao": ("openbao", "vault.*"),
    "vault": ("openbao", "vault.*"),
}


def settings_of(
    config: Path | None,
    data_dir: Path | None,
    listen: str | None,
    watch: list[str],
    webhook: str | None,
    note: Callable[[str], None],
) -> Settings:
    """Put the settings together and, on a first start, make what is missing.

    Args:
        config: settings file (YAML or JSON).
        data_dir: instead of the settings' own.
        listen: ``HOST:PORT``, instead of the settings' own.
        watch: ``SOURCE=PATH``, besides those of the settings.
        webhook: URL for alerts, instead of the settings' own.
        note: gets sentences for the person.

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
    settings = _with_webhook(config, overrides, webhook, note)
    alerting(settings)  # refused before anything is served
    for text in watch:
        settings = _with_watch(settings, text, note)
    return _with_operator(settings, note)


def _with_webhook(
    config: Path | None,
    overrides: dict[str, Any],
    url: str | None,
    note: Callable[[str], None],
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
    note(f"alerts are signed with the secret in {path} (Standard Webhooks)")
    return load(config, **overrides, webhook=webhook | {"secrets": (secret,)})


def _is_private(url: str) -> bool:
    """Whether a URL names this machine or a private address in so many words."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or not is_public(host)
    except ValueError:
        return False  # a name; who means a private one sets webhook.allow_private


def _with_watch(settings: Settings, text: str, note: Callable[[str], None]) -> Settings:
    """Follow a log; a built-in source may speak of the kinds of its own system."""
    name, _, value = text.partition("=")
    known = sorted({*settings.sources, *_BUILT_IN})
    if not value or name not in known:
        message = (
            f"--watch {text!r}: write SOURCE=PATH, with a source of {', '.join(known)}"
        )
        raise ValueError(message)
    path = Path(value).expanduser().absolute()
    _look_at(path, note)
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


def _look_at(path: Path, note: Callable[[str], None]) -> None:
    """Refuse a log that cannot be read: nothing would ever be found in it."""
    if not path.exists():
        note(f"{path} does not exist yet; it is read once it does")
    elif not os.access(path, os.R_OK):
        message = f"cannot read {path}: let the user that runs rescind read it"
        raise PermissionError(message)


def _with_operator(settings: Settings, note: Callable[[str], None]) -> Settings:
    """Let the operator in, where no credential of the settings may revoke."""
    if any(roles & {"revoker", "admin"} for roles in _roles(settings)):
        return settings
    token, fresh = operator_token(settings.data_dir)
    if fresh:
        path = settings.data_dir / TOKEN_FILE
        note(f"first start: the operator's token is in {path}, and nowhere else")
        if str(settings.data_dir) != DEFAULT_DATA_DIR:
            note(f"the other commands find it by RESCIND_DATA_DIR={settings.data_dir}")
    return settings.model_copy(update={"tokens": (*settings.tokens, token)})


def _roles(settings: Settings) -> Iterator[frozenset[Role]]:
    """Roles of every sort of credential."""
    yield from (token.roles for token in settings.tokens)
    yield from (rule.roles for each in settings.oidc.values() for rule in each.roles)
    if settings.tls is not None:
        yield from (client.roles for client in settings.tls.clients)

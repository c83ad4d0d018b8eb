"""Put together what takes vendors' requests in, on either engine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import frozen

from agents_registry.secret_shapes import HASHED_KINDS
from streams.apps.builders.access import ConfigurationError, check_authority
from streams.clients.jwks_cache import JwksCache
from streams.http.global_revocation import SOURCE, GlobalRevocations, RevocationCaller
from streams.http.hooks import Hooked, Hooks
from streams.http.token_revocation import TokenRevocation
from streams.model.error_text import error_text
from streams.model.extensions import loaded
from streams.model.keyed_names import pepper_bytes
from streams.observability import metrics
from streams.services.secret_names import SecretNames
from streams.sources.catalogue import offered

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from aiohttp import web

    from streams.http.auth import Tokens
    from streams.http.events import Speakers
    from streams.model.shared_secret import SharedSecret
    from streams.services.ingest import Intake
    from streams.services.source_health import HealthBook
    from streams.settings.server import Settings
    from streams.settings.vendors import Hook


REFRESH: Final = 3600.0  # seconds; how long a withdrawn key may still be believed


class RequestCount(Protocol):
    """Counts the requests of one kind of receiver."""

    def __call__(self, name: str, result: str, why: str = "", /) -> None:
        """Count one: taken, refused or failed, and why."""


class RequestCounts:
    """How requests from and to vendors ended.

    Attributes:
        collector: for ``/metrics``.
    """

    def __init__(self, book: HealthBook) -> None:
        """Start with none; the book of the sources is told, too."""
        self._book = book
        self.collector = metrics.SOURCE_REQUESTS.counter()

    def of(self, kind: str) -> RequestCount:
        """Counter for the sources that are called KIND:NAME."""

        def count(name: str, result: str, why: str = "", /) -> None:
            source = f"{kind}:{name}"
            self.collector.labels(source, result).inc()
            self._book.count(source, result, why)

        return count


@frozen
class Receivers:
    """Hooks and revocation endpoints."""

    hooks: Hooks
    global_revocations: GlobalRevocations
    token_revocation: TokenRevocation

    def loops(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Coroutines that run until cancelled."""
        return [each.keys.run for each in self.global_revocations.callers.values()]

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/v1/hooks/{hook}", self.hooks.get, allow_head=False)
        app.router.add_post("/v1/hooks/{hook}", self.hooks.post)
        path = "/v1/global-token-revocation/{caller}"
        app.router.add_post(path, self.global_revocations.post)
        app.router.add_post("/v1/oauth/revoke", self.token_revocation.post)


def receivers(
    settings: Settings,
    tokens: Tokens,
    speakers: Speakers,
    log: Intake,
    counts: RequestCounts,
) -> Receivers:
    """Make what the settings ask for; ``log`` writes what comes in.

    Raises:
        ConfigurationError: they cannot be used.
    """
    check_authorities(settings, "hook", settings.hooks)
    check_authorities(settings, "global_revocation", settings.global_revocation)
    peppers = peppers_of(settings)
    hooks = {
        name: _hooked(name, each, peppers) for name, each in settings.hooks.items()
    }
    callers, clock = _callers(settings), speakers.clock
    return Receivers(
        Hooks(hooks, speakers, log, counts.of("hook")),
        GlobalRevocations(callers, speakers, log, clock, counts.of(SOURCE)),
        TokenRevocation(tokens, speakers, log, peppers),
    )


def _hooked(name: str, each: Hook, peppers: Sequence[bytes]) -> Hooked:
    secret = reveal(f"hook {name}", each.secret)
    vendor = loaded(offered("hooks")[each.vendor])()
    return Hooked(name, each, vendor, secret, peppers)


def check_authorities(
    settings: Settings, what: str, named: Mapping[str, object]
) -> None:
    """Check that those who speak are there.

    Raises:
        ConfigurationError: they are not.
    """
    for name, each in named.items():
        check_authority(settings, f"{what} {name}", getattr(each, "authority", ""))


def reveal(what: str, secret: SharedSecret) -> str:
    """Secret.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return secret.reveal()
    except (OSError, ValueError) as error:
        told = error_text(error)
        text = f"{what}: {told if secret.file else f'secret: {told}'}"
        raise ConfigurationError(text) from error


def _callers(settings: Settings) -> dict[str, RevocationCaller]:
    callers = {}
    for name, each in settings.global_revocation.items():
        try:
            keys = JwksCache.of_file(name, each.jwks, time.monotonic, REFRESH)
            callers[name] = RevocationCaller(each, keys)
        except (OSError, ValueError) as error:
            text = f"global_revocation {name}: {each.jwks}: {error}"
            raise ConfigurationError(text) from error
    return callers


def secret_names(settings: Settings) -> SecretNames:
    """Namer of secrets in the realm.

    Raises:
        ConfigurationError: a pepper cannot be read, or is none.
    """
    kinds = HASHED_KINDS | set(settings.hashed_kinds)
    return SecretNames(tuple(peppers_of(settings)), kinds)


def peppers_of(settings: Settings) -> list[bytes]:
    """Peppers of the realm.

    Raises:
        ConfigurationError: one cannot be read, or is none.
    """
    peppers = []
    for name, each in settings.peppers.items():
        text = reveal(f"pepper {name}", each)
        try:
            peppers.append(pepper_bytes(text))
        except ValueError as error:
            raise ConfigurationError(f"pepper {name}: {error}") from error
    return peppers

"""Who gets in: static tokens, tokens of an OpenID provider, client certificates.

Put together once a process, the same on either engine. A middleware proves what a
request presents; what a handler asks `Tokens.holder` is answered by that.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import hdrs, web
from attrs import frozen

from streams.clients.jwks_cache import JwksCache
from streams.http.auth import PROVEN, SCHEME, Tokens, holder_of
from streams.http.oidc import Issuers, OidcIssuer, refused
from streams.http.problems import ProblemError
from streams.http.revoked_tokens import RevokedTokens
from streams.http.tls import ServedTls
from streams.model.times import SECOND
from streams.outbound.answers import RequestError
from streams.ssf.transport import Transport

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Mapping,
        Sequence,
    )

    from streams.http.auth import CredentialHolder
    from streams.settings.access import Oidc
    from streams.settings.server import Settings

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
    Loop = Callable[[], Coroutine[Any, Any, None]]

DISCOVERY: Final = "/.well-known/openid-configuration"
SITE: Final = "Sec-Fetch-Site"  # W3C Fetch Metadata Request Headers section 2.4
ELSEWHERE: Final = ("cross-site", "same-site")
_SANS: Final = {"DNS": "dns", "URI": "uri", "email": "email"}


class ConfigurationError(ValueError):
    """The settings cannot be used as they are; the text says what to change."""


@frozen
class AccessControl:
    """What lets callers in.

    Attributes:
        tokens: asked by handlers.
        tls: what the server listens with; None: plain HTTP.
        sets: the keys of OpenID providers.
        revoked: follows the file of tokens that count no longer.
    """

    tokens: Tokens
    tls: ServedTls | None
    sets: tuple[JwksCache, ...]
    _issuers: Issuers
    _clients: Mapping[str, CredentialHolder]
    _clock: Callable[[], int]
    revoked: RevokedTokens | None = None

    @property
    def context(self) -> ssl.SSLContext | None:
        """TLS context of the listener, None for plain HTTP."""
        return None if self.tls is None else self.tls.context

    def loops(self) -> list[Loop]:
        """Coroutines that run until cancelled."""
        followed = (self.tls, self.revoked, *self.sets)
        return [each.run for each in followed if each is not None]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run those loops within the context."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each()) for each in self.loops()]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    def guard(self, app: web.Application) -> None:
        """Have every request of an application proved."""
        app.middlewares.append(self._middleware())

    def _middleware(self) -> Any:
        @web.middleware
        async def proving(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                proven = await self._prove(request)
            except ProblemError as problem:
                # Not raised here: the route may be open, or prove its callers itself.
                request[PROVEN] = problem
            else:
                if proven is not None:
                    request[PROVEN] = proven
            try:
                return await handler(request)
            finally:
                self.tokens.left(request)

        return proving

    async def _prove(self, request: web.Request) -> CredentialHolder | None:
        given = request.headers.getall(hdrs.AUTHORIZATION, ())
        if len(given) > 1:
            raise refused("send one Authorization header")
        if given:
            if not given[0].startswith(SCHEME):
                return None
            return await self._issuers.prove(given[0][len(SCHEME) :].strip())
        return self._of_certificate(request)

    def _of_certificate(self, request: web.Request) -> CredentialHolder | None:
        """Holder of a client certificate, which was verified with the CA."""
        transport = request.transport
        found: Any = None if transport is None else transport.get_extra_info("peercert")
        if not found or not self._clients:
            return None
        # A browser shows its certificate for whatever page asks it to; a page cannot
        # hide that it is one.
        if hdrs.ORIGIN in request.headers or request.headers.get(SITE) in ELSEWHERE:
            raise refused("a certificate does not count for what a web page sends")
        # A connection outlives its handshake.
        ends = ssl.cert_time_to_seconds(found["notAfter"])
        if self._clock() >= ends * SECOND:
            raise refused("the client certificate has expired")
        names = {
            f"{_SANS[sort]}:{value}"
            for sort, value in found.get("subjectAltName", ())
            if sort in _SANS
        }
        holders = [self._clients[name] for name in sorted(names & set(self._clients))]
        if not holders:
            raise refused("no name of the client certificate is known here")
        if len(holders) > 1:
            raise refused("the client certificate has the names of two clients")
        return holders[0]


def access(
    settings: Settings,
    clock: Callable[[], int],
    monotonic: Callable[[], float] = time.monotonic,
) -> AccessControl:
    """Put together what lets callers in.

    Args:
        settings: of the process.
        clock: ns since 1970.
        monotonic: seconds.

    Raises:
        ConfigurationError: something cannot be used.
    """
    _check(settings)
    issuers = [
        OidcIssuer(label, each, issuer_keys(label, each, monotonic))
        for label, each in settings.oidc.items()
    ]
    tls = clients = None
    if settings.tls is not None:
        try:
            tls = ServedTls(settings.tls)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        clients = {
            each.san: holder_of(each, settings.realm) for each in settings.tls.clients
        }
    tokens = Tokens(settings.tokens, settings.realm, settings.max_requests)
    return AccessControl(
        tokens,
        tls,
        tuple(each.keys for each in issuers),
        Issuers(issuers, settings.realm, lambda: clock() / SECOND, monotonic),
        clients or {},
        clock,
        _revoked(settings, tokens),
    )


def _revoked(settings: Settings, tokens: Tokens) -> RevokedTokens | None:
    if settings.revoked_tokens is None:
        return None
    try:
        return RevokedTokens(settings.revoked_tokens, tokens)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _check(settings: Settings) -> None:
    """Refuse what would let one holder pass for another, and authorities not there."""
    clients = () if settings.tls is None else settings.tls.clients
    names = [token.name for token in settings.tokens]
    names += [client.name for client in clients]
    for name in names:
        label, colon, _ = name.partition(":")
        if colon and label in settings.oidc:
            raise ConfigurationError(
                f"{name}: such names are for holders of OpenID tokens"
            )
    for san in _twice([client.san for client in clients]):
        raise ConfigurationError(f"tls.clients: {san} stands twice")
    for issuer in _twice([each.issuer for each in settings.oidc.values()]):
        raise ConfigurationError(f"oidc: the issuer {issuer} stands twice")
    speak = [(f"tls.clients {one.name}", one.authority) for one in clients]
    for label, each in settings.oidc.items():
        speak += [(f"oidc {label}", rule.authority) for rule in each.roles]
    for what, authority in speak:
        check_authority(settings, what, authority)


def check_authority(settings: Settings, what: str, authority: str | None) -> None:
    """Check that whom something speaks for is in the settings; None: it is nobody.

    Raises:
        ConfigurationError: it is not.
    """
    if authority is not None and authority not in settings.authorities:
        text = f"no authority {authority!r}: add it to authorities"
        raise ConfigurationError(f"{what}: {text}")


def _twice(values: Sequence[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def issuer_keys(label: str, each: Oidc, clock: Callable[[], float]) -> JwksCache:
    """Keys of an issuer of the settings.

    Raises:
        ConfigurationError: the file of its keys cannot be read.
    """
    if each.jwks and "://" not in each.jwks:
        try:
            path = Path(each.jwks)
            return JwksCache.of_file(label, path, clock, each.refresh_seconds)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"oidc {label}: {each.jwks}: {error}") from error
    transport = Transport(allow_private=each.allow_private)
    return JwksCache(
        label, partial(_fetch, transport, each), clock, each.refresh_seconds
    )


async def _fetch(transport: Transport, each: Oidc) -> bytes:
    """Read the keys from where the settings or the issuer's discovery say.

    Raises:
        RequestError: they are not there.
    """
    return await transport.fetch(each.jwks or await _discovered(transport, each))


async def _discovered(transport: Transport, each: Oidc) -> str:
    """``jwks_uri`` of an issuer (OpenID Connect Discovery 1.0 section 4.3)."""
    body = await transport.fetch(each.issuer.rstrip("/") + DISCOVERY)
    try:
        document = orjson.loads(body)
        issuer, url = document["issuer"], document["jwks_uri"]
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError("the discovery document has no jwks_uri") from error
    if issuer != each.issuer or not isinstance(url, str):
        raise RequestError("the discovery document is of another issuer")
    return url

"""The console of a process, put together."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Final

from attrs import define, field

from streams.apps.builders.access import ConfigurationError, issuer_keys
from streams.console.api import Api
from streams.console.app import Console
from streams.console.assets import assets
from streams.console.attempts import LoginAttempts
from streams.console.entry import Entry
from streams.console.frame import Frame
from streams.console.live import LiveHub
from streams.console.login import OneTimeLink
from streams.console.oidc_login import ProviderClient, ProviderLogin
from streams.console.pages.catalogue import KINDS
from streams.console.roles import RoleCheck
from streams.console.sessions import ConsoleSessions, SessionLimits
from streams.console.tally import ConsoleTally
from streams.console.templates import environment
from streams.http.connections import prove
from streams.outbound.client import HttpClient
from streams.outbound.pinned import AddressRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from streams.console.sessions import ConsoleSession
    from streams.http.tls import ServedTls
    from streams.process.aside import Aside
    from streams.settings.server import Settings

_END: Final = b"-----END CERTIFICATE-----\n"
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - no binding


@define(eq=False)
class ServerReach:
    """The server that a console asks.

    Attributes:
        url: of it.
        tls: whom to trust.
    """

    url: str = ""
    tls: ssl.SSLContext | None = None
    _served: ServedTls | None = None
    _trusted: bytes = b""
    _client: HttpClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        if self._served is not None:
            self.tls = _of_own()
        self._client = HttpClient(tls=self.tls)

    @classmethod
    def own(cls, served: ServedTls | None) -> ServerReach:
        """Reach of the server that the console is a part of; `at` says where."""
        return cls(served=served)

    def at(self, url: str) -> None:
        """Note where the server listens: it is asked over loopback where it can be."""
        scheme, _, place = url.partition("://")
        host, _, port = place.rpartition(":")
        self.url = f"{scheme}://{_ANYWHERE.get(host, host)}:{port}"

    def api(self, credential: str) -> Api:
        """Client that asks with a credential, in the realm of the server."""
        self._trust()
        return Api(self._client, self.url, credential)

    def of(self, session: ConsoleSession, realm: str) -> Api:
        """Client of a session, in a realm."""
        self._trust()
        named = None if realm == session.holder.home else realm
        return Api(self._client, self.url, session.credential, named, session.end)

    async def close(self) -> None:
        """Close the connections; to be called in the loop that asked."""
        await self._client.__aexit__()

    def _trust(self) -> None:
        """Trust the certificate that this process serves now, and no name."""
        if self._served is None or self.tls is None:
            return
        leaf = self._served.pair[1].partition(_END)[0] + _END
        if leaf != self._trusted:
            self.tls.load_verify_locations(cadata=leaf.decode("ascii"))
            self._trusted = leaf


def _of_own() -> ssl.SSLContext:
    """Context for our own listener, whose name on loopback no certificate has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def console(
    settings: Settings,
    reach: ServerReach,
    aside: Aside,
    clock: Callable[[], int],
    link: OneTimeLink | None = None,
    kinds: frozenset[str] | None = None,
) -> Console:
    """Put a console together.

    Args:
        settings: of the process.
        reach: the server that is asked.
        aside: where pages are made.
        clock: gives the time (ns).
        link: opens the first session.
        kinds: whose values are keyed hashes at the server; None: it will say.

    Raises:
        ConfigurationError: the login of the settings cannot be used.
    """
    own, files = settings.console, assets()
    limits = SessionLimits(
        own.idle_seconds, own.session_seconds, own.sessions_of_person, own.sessions
    )
    sessions = ConsoleSessions(limits, clock, kinds)
    tally = ConsoleTally(sessions, [each.path for each in KINDS])
    frame = Frame(environment(files), KINDS, clock, tally.page)
    roles = RoleCheck(reach.of, clock)
    return Console(
        kinds=KINDS,
        sessions=sessions,
        entry=Entry(
            sessions=sessions,
            attempts=LoginAttempts(clock),
            frame=frame,
            api_for=reach.api,
            clock=clock,
            provider=_provider(settings, clock),
            link=link,
            tokens=own.token_login,
            count=tally.login,
        ),
        frame=frame,
        files=files,
        api_of=reach.of,
        live=LiveHub(reach.of, aside, sessions.is_alive, roles.look, roles.act),
        roles=roles,
        aside=aside,
        proved=_prove,
        tally=tally,
        secure=own.behind_https,
    )


def _prove(request: web.Request, caller: str) -> None:
    """Let the connection of a session take no place of strangers."""
    prove(request, f"console {caller}")


def _provider(settings: Settings, clock: Callable[[], int]) -> ProviderLogin | None:
    """Login of the settings.

    Raises:
        ConfigurationError: it cannot be used.
    """
    given = settings.console.login
    if given is None:
        return None
    url = settings.console.url
    if not url:
        text = "the provider has to send browsers back: set console.url"
        raise ConfigurationError(f"console.login: {text}")
    rules = settings.oidc.get(given.provider)
    if rules is None:
        text = f"there is no {given.provider!r}: add it to oidc"
        raise ConfigurationError(f"console.login.provider: {text}")
    if given.presents == "id" and given.client_id not in rules.audience:
        text = f"add {given.client_id!r} to oidc.{given.provider}.audience"
        raise ConfigurationError(f"console.login.presents: {text}")
    secret = ""
    if given.client_secret is not None:
        try:
            secret = given.client_secret.read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            text = f"{given.client_secret}: {error}"
            raise ConfigurationError(f"console.login.client_secret: {text}") from error
    client = ProviderClient(
        issuer=rules.issuer,
        client_id=given.client_id,
        secret=secret,
        scopes=tuple(dict.fromkeys(("openid", *given.scopes))),
        redirect=f"{url}/login/back",
        after=f"{url}/login?why=out",
        title=given.title,
        presents=given.presents,
        algorithms=tuple(rules.algorithms),
    )
    keys = issuer_keys(given.provider, rules, time.monotonic)
    http = HttpClient(AddressRule(rules.allow_private))
    return ProviderLogin(client, http, keys, clock)

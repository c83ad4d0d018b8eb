"""The console of a process, put together."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from attrs import define, field

from streams.console.api import Api
from streams.console.app import Console
from streams.console.assets import assets
from streams.console.frame import Frame
from streams.console.login import LoginAttempts, OneTimeLink
from streams.console.pages.catalogue import KINDS
from streams.console.sessions import ConsoleSessions, SessionLimits
from streams.console.templates import environment
from streams.outbound.client import HttpClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.http.tls import ServedTls
    from streams.process.aside import Aside
    from streams.settings.console import ConsoleSettings

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

    def api(
        self, credential: str, realm: str | None, refused: Callable[[], None]
    ) -> Api:
        """Client that asks with a credential."""
        self._trust()
        return Api(self._client, self.url, credential, realm, refused)

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
    settings: ConsoleSettings,
    reach: ServerReach,
    aside: Aside,
    clock: Callable[[], int],
    link: OneTimeLink | None = None,
) -> Console:
    """Put a console together.

    Args:
        settings: of the console.
        reach: the server that it asks.
        aside: where its work is done.
        clock: gives the time (ns).
        link: opens the first session.
    """
    files = assets()
    limits = SessionLimits(
        settings.idle_seconds,
        settings.session_seconds,
        settings.sessions_of_person,
        settings.sessions,
    )
    return Console(
        kinds=KINDS,
        sessions=ConsoleSessions(limits, clock),
        attempts=LoginAttempts(clock),
        frame=Frame(environment(files), KINDS, clock),
        files=files,
        api_for=reach.api,
        aside=aside,
        clock=clock,
        link=link,
        secure=settings.behind_https,
    )

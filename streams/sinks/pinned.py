"""Resolve a name once, check each address, and connect to those and no others.

A name that changes its mind between check and use (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from streams.sinks.addresses import is_public

if TYPE_CHECKING:
    from yarl import URL

# A resolver that hangs holds threads beyond every timeout: these, and none that the
# rest of the server works with.
_RESOLVING: Final = ThreadPoolExecutor(4, thread_name_prefix="resolve")


class RefusedAddressError(Exception):
    """The name leads to an address that nothing must be sent to."""


class UnresolvedError(Exception):
    """The name leads nowhere."""


def _resolve(host: str, port: int) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


async def addresses(
    url: URL, *, allow_private: bool, resolving: ThreadPoolExecutor = _RESOLVING
) -> list[ResolveResult]:
    """Return the checked addresses of a URL's host.

    Args:
        url: whose host and port.
        allow_private: addresses outside the public internet are good too.
        resolving: the threads to ask in.

    Raises:
        UnresolvedError: the name leads nowhere.
        RefusedAddressError: one of the addresses is not public.
    """
    host, port = url.raw_host or "", url.port or 0
    try:
        found = await asyncio.get_running_loop().run_in_executor(
            resolving, _resolve, host, port
        )
    except (OSError, UnicodeError) as error:
        raise UnresolvedError from error
    results = [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=family,
            proto=proto,
            flags=socket.AI_NUMERICHOST,
        )
        for family, _, proto, _, address in found
    ]
    if not allow_private and not all(is_public(r["host"]) for r in results):
        raise RefusedAddressError
    return results


def session(
    checked: list[ResolveResult], tls: ssl.SSLContext | None = None
) -> aiohttp.ClientSession:
    """Session that connects to checked addresses; without cookies and proxy."""
    connector = aiohttp.TCPConnector(
        resolver=_Pinned(checked),
        use_dns_cache=False,
        force_close=True,
        ssl=True if tls is None else tls,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,  # a proxy would resolve the name again
        auto_decompress=False,
    )


class _Pinned(AbstractResolver):
    """Answers with the addresses that were checked, and asks nobody."""

    def __init__(self, checked: list[ResolveResult]) -> None:
        self._checked = checked

    async def resolve(self, *_: Any, **__: Any) -> list[ResolveResult]:
        return self._checked

    async def close(self) -> None:
        """Hold nothing that would have to be closed."""

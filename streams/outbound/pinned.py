"""Resolve a name once, check each address, and connect to those and no others.

A name that changes its mind between check and use (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult
from attrs import field, frozen

from streams.outbound.addresses import is_public
from streams.outbound.answers import RequestError

if TYPE_CHECKING:
    from yarl import URL


def resolver(name: str) -> ThreadPoolExecutor:
    """Threads that resolve the names of one receiver.

    A name server that hangs holds threads beyond every timeout. Each receiver has its
    own, so that it holds up nobody else.
    """
    return ThreadPoolExecutor(2, thread_name_prefix=f"resolve-{name}")


# These, and none that the rest of the server works with.
_RESOLVING: Final = ThreadPoolExecutor(4, thread_name_prefix="resolve")


class RefusedAddressError(RequestError):
    """The name leads to an address that nothing must be sent to."""


class UnresolvedError(RequestError):
    """The name leads nowhere."""


@frozen
class AddressRule:
    """Which addresses may be connected to; by default those of the public internet.

    Attributes:
        allow_private: addresses outside of it too, and http to loopback.
        clear_text: http to every address that may be connected to.
        resolving: the threads to ask for names in.
    """

    allow_private: bool = False
    clear_text: bool = False
    resolving: ThreadPoolExecutor = field(default=_RESOLVING, repr=False, eq=False)

    async def addresses(self, url: URL) -> list[ResolveResult]:
        """Return the addresses of a URL's host, checked.

        Raises:
            UnresolvedError: the name leads nowhere.
            RefusedAddressError: one of the addresses must not be connected to, or not
                in clear text.
        """
        host, port = url.raw_host or "", url.port or 0
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self.resolving, _resolve, host, port
            )
        except (OSError, UnicodeError) as error:
            raise UnresolvedError("unresolved", "no address is known of it") from error
        if not self.allow_private and not all(is_public(str(a[0])) for *_, a in found):
            text = "it is not on the public internet; see allow_private"
            raise RefusedAddressError("refused_address", text)
        in_clear = url.scheme == "http" and not self.clear_text
        if in_clear and not (self.allow_private and all(map(_loopback, found))):
            raise RefusedAddressError("clear_text", "https is needed")
        return [
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


def _resolve(host: str, port: int) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def _loopback(found: tuple[Any, ...]) -> bool:
    return ip_address(str(found[4][0]).partition("%")[0]).is_loopback


class Pinned(AbstractResolver):
    """Answers with the addresses that were checked, and asks nobody."""

    def __init__(self, checked: list[ResolveResult]) -> None:
        self._checked = checked

    async def resolve(self, *_: Any, **__: Any) -> list[ResolveResult]:
        """Return them."""
        return self._checked

    async def close(self) -> None:
        """Hold nothing that would have to be closed."""

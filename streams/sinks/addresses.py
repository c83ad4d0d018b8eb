"""Which addresses an alert may be sent to: the public internet, unless told so.

A webhook's URL is configured by people, and names are resolved by others. Without
this check an endpoint could make the server post to its own metadata service or to a
neighbour (server-side request forgery).
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Final

# RFC 6052 and RFC 8215: an IPv4 address stands in the last 32 bits.
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
# RFC 4291 section 2.5.5.1, deprecated, yet some stacks still route it.
_COMPATIBLE: Final = IPv6Network("::/96")


def is_public(text: str) -> bool:
    """Tell whether an IP address is a unicast one of the public internet.

    An IPv4 address inside an IPv6 one (mapped, 6to4, Teredo, NAT64) is judged too.
    """
    address = ip_address(text.partition("%")[0])
    return all(_public(inner) for inner in (address, *_embedded(address)))


def _public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
    )


def _embedded(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _COMPATIBLE or any(address in network for network in _NAT64):
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [inner for inner in found if inner is not None]

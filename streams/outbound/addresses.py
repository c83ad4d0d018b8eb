"""Which addresses an alert may be sent to: the public internet, unless told so.

A webhook's URL is configured by people, and names are resolved by others. Without
this check an endpoint could make the server post to its own metadata service or to a
neighbour (server-side request forgery).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

# RFC 6052 section 2.1: an IPv4 address stands in the last 32 bits. Networks without
# IPv4 of their own reach every receiver through it, so the inner address decides.
_NAT64: Final = IPv6Network("64:ff9b::/96")


def is_public(text: str) -> bool:
    """Whether an IP address is a unicast one of the public internet.

    Of an IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) the inner one counts;
    the local-use NAT64 prefix and Teredo are never public.

    Raises:
        ValueError: the text is no IP address.
    """
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return _is_public(inner)
        return _is_public(address) and not address.is_site_local
    return _is_public(address)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
    )

"""What a transmitter says of itself: its configuration document.

Source: OpenID Shared Signals Framework 1.0 section 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from attrs import frozen
from yarl import URL

from streams.ssf.transport import TransmitterError

if TYPE_CHECKING:
    from streams.ssf.transport import Transport

# The second is what Google's RISC serves, and older transmitters.
_NAMES: Final = ("ssf-configuration", "risc-configuration")
PUSH: Final = "urn:ietf:rfc:8935"
POLL: Final = "urn:ietf:rfc:8936"


@frozen
class Metadata:
    """The members that a receiver uses; "" where the transmitter has none.

    Attributes:
        issuer: ``iss`` of every SET.
        delivery_methods: URNs; of a transmitter that says nothing, both.
    """

    issuer: str
    jwks_uri: str = ""
    configuration_endpoint: str = ""
    status_endpoint: str = ""
    add_subject_endpoint: str = ""
    verification_endpoint: str = ""
    delivery_methods: tuple[str, ...] = (PUSH, POLL)


def addresses_of(issuer: str) -> tuple[str, ...]:
    """Possible addresses of the document: its name goes between host and path.

    A text that is the address of such a document already is taken as it is.
    """
    url = URL(issuer)
    if any(f"/.well-known/{name}" in url.path for name in _NAMES):
        return (issuer,)
    path = url.path.rstrip("/")
    return tuple(str(url.with_path(f"/.well-known/{name}{path}")) for name in _NAMES)


async def discover(transport: Transport, issuer: str) -> Metadata:
    """Read the configuration of a transmitter.

    Args:
        transport: calls it; the token is not sent.
        issuer: its ``iss``, or the address of the document.

    Raises:
        TransmitterError: it is not there, cannot be read, or speaks of another issuer.
    """
    last: TransmitterError | None = None
    try:
        addresses = addresses_of(issuer)
    except ValueError as error:
        raise TransmitterError("the issuer is not a URL") from error
    for address in addresses:
        try:
            body = await transport.fetch(address)
        except TransmitterError as error:
            if error.status is None:
                raise
            last = last or error
            continue
        metadata = read(body)
        # A document that names another issuer would have its keys believed.
        if address != issuer and metadata.issuer.rstrip("/") != issuer.rstrip("/"):
            raise TransmitterError(f"{address} is about another issuer")
        return metadata
    raise last or TransmitterError(f"{issuer} has no configuration")


def read(body: bytes) -> Metadata:
    """Read a configuration document.

    Raises:
        TransmitterError: it is none.
    """
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    issuer = document.get("issuer") if isinstance(document, dict) else None
    if not isinstance(issuer, str) or not issuer:
        raise TransmitterError("the configuration is no JSON object with an issuer")
    texts = {
        name: document[name]
        for name in (
            "jwks_uri", "configuration_endpoint", "status_endpoint",
            "add_subject_endpoint", "verification_endpoint",
        )
        if isinstance(document.get(name), str)
    }  # fmt: skip
    methods = document.get("delivery_methods_supported")
    if isinstance(methods, list):
        texts["delivery_methods"] = tuple(map(str, methods))
    return Metadata(issuer, **texts)

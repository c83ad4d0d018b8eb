"""How much each hostile caller sends, and the tokens that the run is made with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from bench.load_traffic import settings
from bench.realm import token

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE: Final = "hostile"  # source and authority
LISTED: Final = "lister"  # may adopt
OPERATOR: Final = "operator"  # may revoke
VIEWER: Final = "viewer"
DEAF: Final = "deaf"  # a guard's credential


@frozen
class Sizes:
    """How much the callers send.

    Attributes:
        bomb: bytes that a packed body unpacks to.
        broken: bytes of broken lines in a body.
        depth: agents of the chain in one request.
        owned: credentials of the chain under one owner.
        aliases: of one name.
        children: of one parent.
        request: declared children in a request.
        deaf: subscribers that never read.
        connections: that never send, or never read.
        dribbling: connections that send a byte now and then.
        document: bytes of a large JSON document.
        pause: seconds between two rounds of a caller.
    """

    bomb: int = 64 << 20
    broken: tuple[int, ...] = (1 << 20, 8 << 20)
    depth: int = 5_000
    owned: int = 1_000
    aliases: int = 16_000
    children: int = 100_000
    request: int = 5_000
    deaf: int = 150
    connections: int = 1_000
    dribbling: int = 50
    document: int = 8 << 20
    pause: float = 0.5


SIZES: Final = {
    "tiny": Sizes(
        bomb=1 << 20, broken=(10_000,), depth=30, owned=20, aliases=60, children=100,
        request=50, deaf=3, connections=20, dribbling=3, document=100_000, pause=0.2,
    ),
    "small": Sizes(
        broken=(1 << 20,), depth=1_000, owned=300, aliases=1_600, children=10_000,
        deaf=30, connections=300, dribbling=20, document=1 << 20,
    ),
    "full": Sizes(),
}  # fmt: skip


def configuration(folder: Path, *, lists: bool = False) -> dict[str, Any]:
    """Give the settings of the server, with status lists where it serves them."""
    tokens = [
        token("bench", "ingest", "bench"),
        token("guard", "guard"),
        token(HOSTILE, "ingest", HOSTILE),
        token(LISTED, "restorer"),
        token(OPERATOR, "revoker"),
        token(VIEWER, "viewer"),
        token(DEAF, "guard"),
    ]
    given = settings(folder, tokens)
    source = {HOSTILE: {"format": "openbao"}}
    rights = {HOSTILE: {"grants": [{"kind": "vault.*"}]}}
    if lists:
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        path = folder / "lists.pem"
        path.write_bytes(key)
        url = "http://lists.invalid/statuslists"
        given |= {"status_lists": {"url": url, "key": str(path)}}
    return given | {
        "sources": given["sources"] | source,
        "authorities": given["authorities"] | rights,
    }

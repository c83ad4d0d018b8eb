"""What a guard reports: that it serves and under which terms, and what it applied.

The server counts a revocation as enforced by what its guards report, so a receipt may
be signed with the guard's own key: then it is a compact JWS (RFC 7515) with EdDSA
(RFC 8037), and its payload is the object that goes out as it is otherwise.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import frozen

from enforcement.clocks import wall
from enforcement.verdict import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Receipt: TypeAlias = dict[str, Any] | str
Sign: TypeAlias = "Callable[[bytes], bytes]"

MILLISECOND: Final = 1_000_000
NAMED_ROUTES: Final = 100  # for people; a hello has to stay short
HEADER: Final = b'{"alg":"EdDSA"}'


def weakest(modes: Iterable[Mode]) -> Mode:
    """Mode that promises least, for a guard of which nothing is heard.

    A route that fails open goes on allowing, however long the lease has lapsed; what
    only observes enforces nothing, so other routes speak for the guard.
    """
    found = set(modes)
    for mode in (Mode.FAIL_OPEN, Mode.FAIL_CLOSED):
        if mode in found:
            return mode
    return Mode.OBSERVE


@frozen
class Terms:
    """Under which terms a guard serves.

    Attributes:
        lease: how long it uses one proof (ns).
        mode: of routes without one of their own.
        routes: those with one.
        live_sessions: it serves sessions that end one lease after `check` denies.
    """

    lease: int
    mode: Mode
    routes: Mapping[str, Mode]
    live_sessions: bool = False


class Receipts:
    """The receipts of one guard, from its start to its end."""

    def __init__(
        self,
        guard: str,
        instance: str,
        terms: Terms,
        sign: Sign | None = None,
        wall_clock: Callable[[], int] = wall,
    ) -> None:
        """Set up.

        Args:
            guard: its name.
            instance: random; tells this process from another of the same name.
            terms: it serves under these.
            sign: signs bytes with the guard's Ed25519 key.
            wall_clock: nanoseconds UTC, compared with the log of what it guards.
        """
        self._wall = wall_clock
        self._who = {"guard": guard, "instance": instance}
        self._terms = terms
        self._sign = sign
        self._sequence = 0

    def registered(self) -> Receipt:
        """Say under which terms the guard serves."""
        terms = self._terms
        return self._receipt({
            "status": "registered",
            "lease_ms": -(-terms.lease // MILLISECOND),
            "mode": weakest([terms.mode, *terms.routes.values()]).value,
            "routes": sorted(terms.routes)[:NAMED_ROUTES],
            "live_sessions": terms.live_sessions,
        })  # fmt: skip

    def applied(self, genesis: str, position: int) -> Receipt:
        """Say that everything below a position of a log is applied."""
        return self._receipt({
            "status": "applied",
            "genesis": genesis,
            "applied": position,
            "sent_at": self._wall(),
        })  # fmt: skip

    def goodbye(self) -> Receipt:
        """Say that the guard allows nothing any more."""
        return self._receipt({"status": "goodbye"})

    def _receipt(self, said: dict[str, Any]) -> Receipt:
        self._sequence += 1
        plain = {**self._who, "sequence": self._sequence, **said}
        if self._sign is None:
            return plain
        payload = json.dumps(plain, separators=(",", ":")).encode()
        signed = b".".join((_base64url(HEADER), _base64url(payload)))
        return b".".join((signed, _base64url(self._sign(signed)))).decode()


def signer(pem: bytes) -> Sign:
    """Return a function that signs with a private key.

    Args:
        pem: an Ed25519 key, PKCS 8 in PEM (``openssl genpkey -algorithm ed25519``).

    Raises:
        ImportError: the package cryptography is not installed.
        ValueError: it is no such key.
    """
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError as error:
        message = "signed receipts need cryptography: install rescind-guard[signing]"
        raise ImportError(message) from error
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        message = "receipts are signed with an Ed25519 key"
        raise ValueError(message)  # noqa: TRY004 - of what the file holds
    return key.sign


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")

"""The receipts of a guard that reads Kafka, as records of the topic ``receipts``.

The topic keeps the last record of each guard alone, so every record says everything:
the terms stand in a receipt for what was applied as well.

A signature (Ed25519, RFC 8032) covers the bytes of the record in front of it, schema
id and all. It is the last field, so a reader of any version knows where they end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from enforcement.receipts import NAMED_ROUTES, Sign, Terms, weakest

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.codec import Codec

SIGNATURE_BYTES: Final = 64
# Avro's length in front of no bytes, and in front of 64.
UNSIGNED: Final = b"\x00"
SIGNED: Final = b"\x80\x01"


class LogReceipts:
    """Makes the receipts of one guard, from its start to its end.

    Attributes:
        key: of its records.
    """

    def __init__(
        self,
        who: tuple[str, str, str],
        terms: Terms,
        *,
        codec: Codec,
        wall_clock: Callable[[], int],
        sign: Sign | None = None,
    ) -> None:
        """Set up.

        Args:
            who: realm, name, and a random text that tells this process from others.
            terms: it serves under these.
            codec: encodes the records.
            wall_clock: nanoseconds UTC, for people.
            sign: signs bytes with the guard's Ed25519 key.
        """
        realm, guard, instance = who
        self.key = f"{realm}/{guard}".encode()
        self._same = {
            "realm": realm,
            "guard": guard,
            "instance": instance,
            "lease": terms.lease,
            "mode": weakest([terms.mode, *terms.routes.values()]).value,
            "live_sessions": terms.live_sessions,
            "routes": sorted(terms.routes)[:NAMED_ROUTES],
            # The server knows the key by the guard's name.
            "key_id": "" if sign is None else guard,
            "signature": b"",
        }
        self._codec = codec
        self._wall = wall_clock
        self._sign = sign
        self._sequence = 0

    def record(
        self, status: str, partition: int, applied: tuple[str, int] | None
    ) -> bytes:
        """Value of the next receipt.

        Args:
            status: ``registered``, ``applied`` or ``goodbye``.
            partition: of facts.
            applied: a log, and the position below which all of it is applied.
        """
        self._sequence += 1
        genesis, position = applied or ("", 0)
        said: dict[str, Any] = {
            "status": status,
            "partition": partition,
            "genesis": genesis,
            "applied": position,
            "sequence": self._sequence,
            "sent_at": self._wall(),
        }
        value = self._codec.encode("receipt", self._same | said)
        return signed_record(value, self._sign)


def signed_record(value: bytes, sign: Sign | None) -> bytes:
    """Record of a receipt with its signature, as it is where nothing signs.

    Args:
        value: the record with an empty signature.
        sign: signs bytes with an Ed25519 key.
    """
    if sign is None:
        return value
    content = value.removesuffix(UNSIGNED)
    return content + SIGNED + sign(content)

"""Read the records of the topic ``receipts``.

A guard whose public key the settings list must sign, or the relay that it is fed by.
What is not signed so proves nothing, but it may be a guard's all the same, with a wrong
key: see `GuardReceipt.proven`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen
from cryptography.exceptions import InvalidSignature

from schemas.codec import in_force
from schemas.errors import Fault, SchemaError
from streams.model.times import SECOND
from streams.stages.closure.closure import GuardMode, Registration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from streams.stages.closure.guard_names import GuardKeys

    Keys = GuardKeys[Ed25519PublicKey]

LONGEST_LEASE: Final = 24 * 3600 * SECOND
LONGEST_NAME: Final = 128
MOST_ROUTES: Final = 1000
SIGNATURE_BYTES: Final = 64
UNPROVEN: Final = " (unproven)"
RELAYED: Final = "relay:"  # before the name of a relay's key
SIGNED: Final = b"\x80\x01"  # Avro's length in front of the signature


@frozen
class GuardReceipt:
    """What a guard said.

    Attributes:
        status: ``registered``, ``applied`` or ``goodbye``; others say that it lives.
        instance: tells its process from another of the same name.
        sequence: counts the receipts of that process from 1.
        genesis: of the log of which all below ``applied`` is applied.
        sent_at: by the guard's clock (ns).
        entry: of the keys that its guard falls under.
        proven: it is signed, or need not be. Else it may add a member to wait for, and
            nothing that anybody waits for becomes true by it.
    """

    realm: str
    status: str
    terms: Registration
    instance: str
    sequence: int
    genesis: str
    applied: int
    entry: str | None
    proven: bool
    sent_at: int


def read_receipt(key: bytes | None, value: bytes, keys: Keys) -> GuardReceipt:
    """Read one record.

    Args:
        key: ``realm/guard``.
        value: the record.
        keys: of the guards that sign.

    Raises:
        SchemaError: it is none that we can read.
    """
    name, _, record = in_force().decode(value)
    if name != "receipt":
        raise SchemaError(Fault.NOT_A_FACT, f"a {name} record has no place in receipts")
    guard, realm = record["guard"], record["realm"]
    if key != f"{realm}/{guard}".encode():
        raise SchemaError(Fault.NOT_A_FACT, "the key of this receipt is not its guard")
    entry, signer = keys.entry(guard), _signer(record, keys)
    return GuardReceipt(
        realm=realm,
        status=record["status"],
        terms=_terms(record),
        instance=record["instance"],
        sequence=record["sequence"],
        genesis=record["genesis"],
        applied=record["applied"],
        entry=entry,
        proven=(
            not keys.required if signer is None else _is_signed(value, record, signer)
        ),
        sent_at=record["sent_at"],
    )


def _signer(record: Mapping[str, Any], keys: Keys) -> Ed25519PublicKey | None:
    """Key that must have signed: of the relay that vouches, or of the guard."""
    key_id: str = record["key_id"]
    relay = None
    if key_id.startswith(RELAYED):
        relay = keys.relays.get(key_id.removeprefix(RELAYED))
    return relay or keys.key(record["guard"])


def _terms(record: Mapping[str, Any]) -> Registration:
    lease, routes = record["lease"], record["routes"]
    if not (
        0 < lease <= LONGEST_LEASE
        and 0 < len(record["guard"]) <= LONGEST_NAME
        and not record["guard"].endswith(UNPROVEN)
        and len(record["instance"]) <= LONGEST_NAME
        and len(routes) <= MOST_ROUTES
    ):
        raise SchemaError(Fault.MISFIT, "lease, name or routes are out of range")
    # Of a mode that we have no word for we do not know that it ever denies.
    known = {each.value: each for each in GuardMode}
    mode = known.get(record["mode"], GuardMode.FAIL_OPEN)
    live = record["live_sessions"]
    return Registration(record["guard"], lease, mode, live, tuple(routes))


def _is_signed(value: bytes, record: Mapping[str, Any], key: Ed25519PublicKey) -> bool:
    """Whether a guard's key signed all bytes in front of the last field."""
    signature: bytes = record["signature"]
    last = SIGNED + signature
    if len(signature) != SIGNATURE_BYTES or not value.endswith(last):
        return False
    try:
        key.verify(signature, value.removesuffix(last))
    except InvalidSignature:
        return False
    return True

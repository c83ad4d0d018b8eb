"""The records of the topics ``audit`` and ``heads``: links of chains, and signed heads.

``audit`` holds both, in their order. ``heads`` is compacted and holds the last head of
each realm, as each process that signs has written it: a process that was frozen may
write an old head late, and never over the newer one of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from schemas.codec import in_force
from schemas.errors import Fault, SchemaError
from streams.engines.kafka.audit.chains import ChainLink
from streams.engines.kafka.records.codec import Outgoing, cloud_event
from streams.model.times import SECOND

if TYPE_CHECKING:
    from streams.stages.audit.chain import Head

AUDIT: Final = "audit"
HEAD: Final = "head"
_NOTHING: Final = {
    "fact_key": "", "authority": "", "ingress_key": "", "previous": b"",
    "value_hash": b"", "position": 0, "resume": 0,
}  # fmt: skip


@frozen
class SignedHead:
    """A head as it is written.

    Attributes:
        realm: whose.
        sequence: of the entry that it names; hash: of that entry.
        genesis: of the log of facts; offset: of the last record that is chained.
        signature: compact JWS.
        position: below this offset of ``facts`` all was chained one round before.
        resume: offset of ``audit`` from which on no head of that round speaks.
    """

    realm: str
    sequence: int
    hash: str
    genesis: str
    partition: int
    offset: int
    at: int
    signature: str
    position: int
    resume: int


def link_record(link: ChainLink) -> Outgoing:
    """Record of a link; the same from every writer."""
    key = f"{link.realm}/{link.partition}/{link.offset}"
    body = _NOTHING | {
        "genesis": link.genesis,
        "partition": link.partition,
        "offset": link.offset,
        "realm": link.realm,
        "previous": bytes.fromhex(link.previous),
        "fact_key": link.key,
        "fact_kind": link.kind,
        "authority": link.authority,
        "ingress_key": link.ingress_key,
        "received_at": link.at,
        "value_hash": bytes.fromhex(link.value_hash),
        "head": bytes.fromhex(link.hash),
        "sequence": link.sequence,
        "value": link.value,
    }
    return _record(link.realm, link.partition, key, AUDIT, link.at, body)


def head_record(head: SignedHead, key: bytes = b"") -> Outgoing:
    """Record of a signed head.

    Args:
        head: what.
        key: in the topic ``heads``; none in ``audit``.
    """
    name = key.decode() or f"{head.realm}/{HEAD}/{head.sequence}"
    body = _NOTHING | {
        "genesis": head.genesis,
        "partition": head.partition,
        "offset": head.offset,
        "realm": head.realm,
        "fact_kind": HEAD,
        "received_at": head.at,
        "head": bytes.fromhex(head.hash),
        "sequence": head.sequence,
        "value": head.signature.encode(),
        "position": head.position,
        "resume": head.resume,
    }
    kind = f"{AUDIT}.{HEAD}"
    return _record(head.realm, head.partition, name, kind, head.at, body)


def read_audit(value: bytes | None) -> ChainLink | SignedHead:
    """Read one record of ``audit`` or ``heads``.

    Raises:
        SchemaError: it is none that we can read.
    """
    name, _, body = in_force().decode(value or b"")
    if name != AUDIT:
        raise SchemaError(Fault.NOT_A_FACT, f"a {name} record has no place in audit")
    if body["fact_kind"] == HEAD:
        return SignedHead(
            realm=body["realm"],
            sequence=body["sequence"],
            hash=body["head"].hex(),
            genesis=body["genesis"],
            partition=body["partition"],
            offset=body["offset"],
            at=body["received_at"],
            signature=body["value"].decode("ascii", "replace"),
            position=body["position"],
            resume=body["resume"],
        )
    if body["position"] or body["resume"]:
        raise SchemaError(Fault.UNDECODABLE, "a link has no place of a head")
    return ChainLink(
        realm=body["realm"],
        sequence=body["sequence"],
        previous=body["previous"].hex(),
        hash=body["head"].hex(),
        genesis=body["genesis"],
        partition=body["partition"],
        offset=body["offset"],
        key=body["fact_key"],
        kind=body["fact_kind"],
        authority=body["authority"],
        ingress_key=body["ingress_key"],
        at=body["received_at"],
        value_hash=body["value_hash"].hex(),
        value=body["value"],
    )


def signed(head: Head, signature: str, **where: Any) -> SignedHead:
    """Head with its signature; ``where`` are its places in the topics."""
    return SignedHead(
        realm=head.realm,
        sequence=head.sequence,
        hash=head.hash,
        genesis=head.genesis,
        at=head.at * SECOND,
        signature=signature,
        **where,
    )


def _record(
    realm: str, partition: int, key: str, kind: str, at: int, body: dict[str, Any]
) -> Outgoing:
    return Outgoing(
        partition=partition,
        key=key.encode(),
        value=in_force().encode(AUDIT, body),
        headers=cloud_event(key, source=f"/realms/{realm}/audit", kind=kind, time=at),
    )

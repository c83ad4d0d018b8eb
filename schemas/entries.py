"""Read the records of the topic ``facts``: facts, and what the log says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from attrs import field, frozen

from agents_registry.facts import FACTS, Fact
from schemas.codec import Codec, fact_of, in_force
from schemas.errors import Fault, SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterable

GENESIS: Final = "genesis"
HEARTBEAT: Final = "heartbeat"
ACT: Final = "act"


@frozen(kw_only=True)
class Genesis:
    """The record that makes a partition of facts this log and no other.

    Attributes:
        partitions: how many the topic has, fixed for its life.
        created_at: in nanoseconds.
    """

    genesis: str
    partition: int
    partitions: int
    created_at: int
    created_by: str


@frozen(kw_only=True)
class Heartbeat:
    """A writer reached this partition.

    Attributes:
        writer: its stable ordinal name, so that compaction keeps one of each.
        sent_at: by the writer's clock, in nanoseconds; for people only.
    """

    genesis: str
    partition: int
    writer: str
    sequence: int
    sent_at: int


def _texts(of: Iterable[str]) -> tuple[str, ...]:
    return tuple(of)


@frozen(kw_only=True)
class Act:
    """What an operator did; it changes no table, and the audit chain holds it.

    Attributes:
        realm: the organisation.
        at: when it was ordered (ns).
        actor: name of who ordered it.
        action: what, and why, in plain words.
        facts: ids of the facts that it stated, or of what else it is about.
    """

    realm: str
    at: int
    actor: str
    action: str
    facts: tuple[str, ...] = field(default=(), converter=_texts)


@frozen
class Tombstone:
    """The record of this key was pruned."""

    key: str


Entry = Fact | Genesis | Heartbeat | Act | Tombstone
_OWN: Final[dict[str, type[Genesis | Heartbeat | Act]]] = {
    GENESIS: Genesis,
    HEARTBEAT: Heartbeat,
    ACT: Act,
}


def read_entry(
    key: bytes | None, value: bytes | None, codec: Codec | None = None
) -> Entry:
    """Read one record of the topic ``facts``.

    Raises:
        SchemaError: it is none that we can read; nothing may be served as if it had
            not been.
    """
    if value is None:
        return Tombstone((key or b"").decode("utf-8", "replace"))
    codec = codec or in_force()
    fact = codec.fact(value)
    if fact is not None:
        return fact
    decoded = codec.decode(value)
    name, _, record = decoded
    if name in FACTS:
        return fact_of(decoded)
    own = _OWN.get(name)
    if own is None:
        raise SchemaError(Fault.NOT_A_FACT, f"a {name} record has no place in facts")
    # A newer version may have more fields than we have words for.
    return own(**{a.name: record[a.name] for a in attrs.fields(own)})


def realm_of(key: bytes) -> str:
    """Realm that the key of a fact names; no realm holds a slash.

    Raises:
        SchemaError: ``not_a_fact`` for a key that is none of a fact's.
    """
    realm, _, rest = key.decode("utf-8", "replace").partition("/")
    kind, _, _ = rest.partition("/")
    if kind not in FACTS:
        raise SchemaError(Fault.NOT_A_FACT, "the key is none of a fact's")
    return realm

"""The audit chains of one partition of ``facts``: a chain for each realm in it.

Records of facts go in by their offsets, and links come out, each a function of the
link before and of one record. Who starts anew follows the links that are written
until their end and goes on from there; see `Chains.follow` for two that write at once.
Nothing here speaks to Kafka.
"""

from __future__ import annotations

import functools
import hashlib
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agents_registry.facts import Fact
from schemas.codec import in_force
from schemas.entries import ACT, Act, Tombstone, read_entry, realm_of
from schemas.errors import SchemaError
from streams.services.intake import MOST_FACT_BYTES
from streams.stages.audit.chain import (
    START,
    RecordPlace,
    act_entry,
    act_line,
    fact_entry,
    fact_line,
    hash_of,
    told,
    tombstone_entry,
    unread_entry,
)

if TYPE_CHECKING:
    from schemas.entries import Entry
    from streams.stages.audit.chain import Line

TOMBSTONE: Final = "tombstone"
UNREAD: Final = "unread"
_ACTS: Final = f"{ACT}/".encode()
REMEMBERED: Final = 100_000  # links that were passed over


class ChainLink(NamedTuple):
    """An entry as it is written to the topic ``audit``.

    Attributes:
        genesis: of the log of facts.
        partition: of the record that it speaks of; offset: its place.
        key: of that record; value: its bytes, none for a tombstone, and none where
            they are more than ingress would write: a link has to fit into a record.
        kind: of the fact; ``act``, ``tombstone`` or ``unread``.
        at: when it was accepted (ns).
        value_hash: SHA-256 of the value, hex.
    """

    realm: str
    sequence: int
    previous: str
    hash: str
    genesis: str
    partition: int
    offset: int
    key: str
    kind: str
    authority: str
    ingress_key: str
    at: int
    value_hash: str
    value: bytes


class ChainTip(NamedTuple):
    """The last entry of a realm, and the record that it speaks of."""

    sequence: int = 0
    hash: str = START
    genesis: str = ""
    offset: int = -1


class Fits(Enum):
    """How a link that is read stands to those before it."""

    NEXT = auto()
    LATE = auto()  # written again, or by who did not know that he was late
    GAP = auto()  # what stood between is gone


class Chains:
    """Where the chains of a partition end.

    Attributes:
        tips: realm to its last entry.
    """

    def __init__(self, genesis: str, partition: int) -> None:
        self.tips: dict[str, ChainTip] = {}
        self._genesis = genesis
        self._partition = partition
        self._late: deque[str] = deque(maxlen=REMEMBERED)
        self._passed: set[str] = set()

    def link(self, offset: int, key: bytes, value: bytes | None) -> ChainLink | None:
        """Chain a record of ``facts``.

        What cannot be read is chained by its key and its bytes: a newer version may
        read it, and then it counts.

        Returns:
            What is to be written; None for what is no fact or act, and for what was
            chained before.
        """
        realm = realm_named(key)
        if realm is None:
            return None
        large = len(value or b"") > MOST_FACT_BYTES
        entry = None if large else read(key, value)
        name, kept = key.decode("utf-8", "replace"), b"" if large else value or b""
        if isinstance(entry, Tombstone) and key.startswith(_ACTS):
            return None
        tip = self.tips.get(realm, ChainTip())
        if tip.genesis == self._genesis and offset <= tip.offset:
            return None
        place = RecordPlace(self._genesis, realm, offset, self._partition)
        hashed = hashlib.sha256(value or b"").hexdigest()
        said = _said(tip.hash, place, name, (kept, hashed), entry)
        sequence, hash_ = tip.sequence + 1, hash_of(said)
        self.tips[realm] = ChainTip(sequence, hash_, self._genesis, offset)
        return ChainLink(
            realm, sequence, tip.hash, hash_, self._genesis, self._partition, offset,
            name, *_of(entry), hashed, kept,
        )  # fmt: skip

    def follow(self, link: ChainLink) -> Fits:
        """Take up a link that was written, in the order of the topic ``audit``.

        Two workers write at once only while one of them does not know yet that its
        partition is another's. Both chain the same records, so mostly the same bytes;
        where compaction took a record away between their readings they differ. The
        first link that fits is the one that counts, for everybody who reads: others,
        and what follows them, are passed over.
        """
        tip = self.tips.get(link.realm)
        if tip is not None:
            after = link.sequence - tip.sequence
            if after <= 0 or (
                link.previous != tip.hash
                and (after == 1 or link.previous in self._passed)
            ):
                self._pass(link)
                return Fits.LATE
        first = tip is None and link.sequence == 1
        fits = first or (tip is not None and link.previous == tip.hash)
        self.tips[link.realm] = ChainTip(
            link.sequence, link.hash, link.genesis, link.offset
        )
        return Fits.NEXT if fits else Fits.GAP

    def _pass(self, link: ChainLink) -> None:
        if len(self._late) == REMEMBERED:
            self._passed.discard(self._late[0])
        self._late.append(link.hash)
        self._passed.add(link.hash)


def realm_named(key: bytes) -> str | None:
    """Realm of a fact or an act by its key; None for any other record."""
    if key.startswith(_ACTS):
        return key.split(b"/")[1].decode("utf-8", "replace")
    return _realm_of(key[: key.find(b"/", key.find(b"/") + 1) + 1])


@functools.lru_cache(maxsize=1 << 10)
def _realm_of(start: bytes) -> str | None:
    try:
        return realm_of(start) if start else None
    except SchemaError:
        return None


def read(key: bytes, value: bytes | None) -> Entry | None:
    """Read a record of ``facts``; None where it cannot be read."""
    fact = in_force().fact(value) if value is not None else None
    if fact is not None:
        return fact
    try:
        return read_entry(key, value)
    except SchemaError:
        return None


def line_of(link: ChainLink) -> Line:
    """Line of an export; it says so where the link is not what was written."""
    entry: Entry | None = None
    if link.kind == TOMBSTONE:
        entry = Tombstone(link.key)
    elif link.kind != UNREAD:
        entry = read(link.key.encode(), link.value)
        if entry is None:
            return act_line(link.sequence, None, link.hash)
    place = RecordPlace(link.genesis, link.realm, link.offset, link.partition)
    hashed = hashlib.sha256(link.value).hexdigest()
    if link.kind == UNREAD and not link.value:
        hashed = link.value_hash
    said = _said(link.previous, place, link.key, (link.value, hashed), entry)
    if (*_of(entry), hashed) != link[8:13]:
        return act_line(link.sequence, {**said, "record": "changed"}, link.hash)
    if isinstance(entry, Fact):
        return fact_line(link.sequence, said, link.hash, link.value, entry)
    line = act_line(link.sequence, said, link.hash)
    return line | told(link.value) if entry is None and link.value else line


def _said(
    previous: str, place: RecordPlace, key: str, value: tuple[bytes, str], entry: Any
) -> dict[str, Any]:
    kept, hashed = value
    if isinstance(entry, Fact):
        return fact_entry(previous, place, key, kept, entry)
    if isinstance(entry, Act):
        return act_entry(
            previous, place, at=entry.at, actor=entry.actor, action=entry.action,
            detail=list(entry.facts),
        )  # fmt: skip
    if isinstance(entry, Tombstone):
        return tombstone_entry(previous, place, key)
    return unread_entry(previous, place, key, hashed, kept=bool(kept))


def _of(entry: Entry | None) -> tuple[str, str, str, int]:
    """Kind, authority, ingress key and time of acceptance."""
    if isinstance(entry, Fact):
        return entry.NAME, entry.authority, entry.ingress_key, entry.received_at
    if isinstance(entry, Act):
        return ACT, "", entry.actor, entry.at
    return (TOMBSTONE if isinstance(entry, Tombstone) else UNREAD), "", "", 0

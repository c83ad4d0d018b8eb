"""Records that cannot be read: what is kept of them, and it is never their bytes.

Each becomes one dead letter whose key is topic, partition and offset, and whose other
fields follow from the record alone. So whatever is written again, after a crash before
the commit or by two owners of a partition, is the same record under the same key:
*exactly once* in ``dlq`` means one key, and one value under it.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streams.engines.kafka.records.dead_letters import KafkaPlace, poison_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.engines.kafka.records.codec import Outgoing

MILLISECOND: Final = 1_000_000


class Poison(NamedTuple):
    """A record that cannot be read.

    Attributes:
        offset: of the record.
        length: of its value.
        reason: a constant name and what to do.
        at: when the broker took it, in nanoseconds.
        digest: keyed hash of the value; None without a key.
    """

    offset: int
    length: int
    reason: str
    at: int = 0
    digest: str | None = None


def poison_of(record: Any, reason: str, key: bytes | None) -> Poison:
    """Part of a client's record that is kept."""
    value: bytes = record.value or b""
    at = max(0, getattr(record, "timestamp", None) or 0) * MILLISECOND
    return Poison(record.offset, len(value), reason, at, keyed_hash(key, value))


def keyed_hash(key: bytes | None, value: bytes) -> str | None:
    """HMAC-SHA-256 of some bytes in hex; None without a key.

    A hash without a key would let anybody test guesses of what the bytes held.
    """
    return None if key is None else hmac.digest(key, value, "sha256").hex()


def letters(
    topic: str, number: int, partitions: int, poison: Iterable[Poison]
) -> Iterator[list[Outgoing]]:
    """Dead letters of a partition's poison.

    Args:
        topic: where it lies, its full name.
        number: of the partition.
        partitions: of ``dlq``.
        poison: of the partition.
    """
    for each in poison:
        place = KafkaPlace(topic, number, each.offset, each.at)
        yield [poison_record(place, each, partitions)]

"""Say in which partition a record lies; every writer and reader must agree on it.

The partition is always given explicitly: a client's own choice would depend on the
key, which differs between the facts of one realm. The hash is that of Java's clients
(murmur2 of ``org.apache.kafka.common.utils.Utils``), so that other tools find what
belongs together.
"""

from __future__ import annotations

import functools
from typing import Final

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_WORD: Final = 0xFFFF_FFFF


@functools.lru_cache(maxsize=1 << 14)
def partition_of(realm: str, partitions: int) -> int:
    """Partition of all facts of a realm: murmur2(realm) mod N."""
    return _partition(realm.encode(), partitions)


@functools.lru_cache(maxsize=1 << 14)
def access_partition_of(realm: str, point: str, partitions: int) -> int:
    """Partition of the accesses of a realm at an enforcement point."""
    return _partition(f"{realm}/{point}".encode(), partitions)


def murmur2(data: bytes) -> int:
    """Hash bytes to 32 bits, unsigned."""
    hashed = _SEED ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _M & _WORD
        word = (word ^ word >> 24) * _M & _WORD
        hashed = (hashed * _M & _WORD) ^ word
    if whole < len(data):
        hashed = (hashed ^ int.from_bytes(data[whole:], "little")) * _M & _WORD
    hashed = (hashed ^ hashed >> 13) * _M & _WORD
    return hashed ^ hashed >> 15


def _partition(data: bytes, partitions: int) -> int:
    # As Java's clients do: the sign bit is dropped, not the number negated.
    return (murmur2(data) & 0x7FFF_FFFF) % partitions

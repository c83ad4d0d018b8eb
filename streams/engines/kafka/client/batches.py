"""Batches of one partition each, in order, no group of records torn apart."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.engines.kafka.records.codec import Outgoing

BATCH_BYTES: Final = 256 << 10  # a batch is closed at this size
# More than a batch of ours ever has, less than the broker takes.
MOST_BYTES: Final = 960 << 10
OVERHEAD: Final = 48  # bytes of a record beyond its parts, at most


def batches(
    groups: Iterable[Sequence[Outgoing]],
) -> Iterable[tuple[int, Sequence[Outgoing]]]:
    """Put groups together into batches, each of one partition, in their order."""
    open_batches: dict[int, tuple[list[Outgoing], int]] = {}
    for group in groups:
        if not group:
            continue
        partition = group[0].partition
        size = sum(map(size_of, group))
        records, filled = open_batches.pop(partition, ([], 0))
        if records and filled + size > BATCH_BYTES:
            yield partition, records
            records, filled = [], 0
        if size > MOST_BYTES:
            yield from ((partition, piece) for piece in _pieces(group))
            continue
        records.extend(group)
        open_batches[partition] = (records, filled + size)
    for partition, (records, _) in open_batches.items():
        if records:
            yield partition, records


def _pieces(group: Sequence[Outgoing]) -> Iterable[Sequence[Outgoing]]:
    """Tear a group apart that no batch can hold."""
    piece: list[Outgoing] = []
    filled = 0
    for record in group:
        if piece and filled + size_of(record) > BATCH_BYTES:
            yield piece
            piece, filled = [], 0
        piece.append(record)
        filled += size_of(record)
    yield piece


def size_of(record: Outgoing) -> int:
    """Bytes that a record takes in a batch, at most."""
    headers = sum(map(len, chain.from_iterable(record.headers)))
    headers += 4 * len(record.headers)
    return len(record.key) + len(record.value) + headers + OVERHEAD

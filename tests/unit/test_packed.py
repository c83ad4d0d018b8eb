"""Gzip that vendors send is unpacked into bounded memory and in bounded time."""

from __future__ import annotations

import gzip
import io

import pytest

from streams.sources.reading import packed
from streams.sources.reading.packed import UnpackError, unpacked

pytestmark = pytest.mark.unit

DATA = b'{"one": 1}\n'


def test_members_are_joined_and_plain_bytes_stay() -> None:
    """Log shippers append members to one object."""
    assert DATA * 2 == unpacked(gzip.compress(DATA) * 2, 100)
    assert DATA == unpacked(DATA, 100)
    assert b"" == unpacked(gzip.compress(b""), 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(DATA)[:-5], "truncated_gzip"),
        (gzip.compress(DATA)[:4], "truncated_gzip"),
        (gzip.compress(DATA) + b"junk", "damaged_gzip"),
        (gzip.compress(DATA)[:-1] + b"x", "damaged_gzip"),
        (gzip.compress(DATA)[:10] + b"\xff" * 30, "damaged_gzip"),
        (gzip.compress(bytes(101)), "too_large"),
        (gzip.compress(bytes(60)) * 2, "too_large"),
        (bytes(101), "too_large"),
    ],
    ids=range(8),
)
def test_what_is_no_whole_gzip_or_too_large_is_refused(
    data: bytes, reason: str
) -> None:
    """With a reason that the dead letter shows."""
    with pytest.raises(UnpackError, match=reason):
        unpacked(data, 100)


def test_many_empty_members_cost_no_more_than_their_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Copying the rest once for each of them would take minutes for some megabytes."""
    read: list[int] = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            found = super().read(size)
            read.append(len(found))
            return found

    monkeypatch.setattr(packed, "BytesIO", Counting)
    many = gzip.compress(b"") * 5_000 + gzip.compress(DATA)

    assert DATA == unpacked(many, 100)
    assert sum(read) <= 2 * len(many)

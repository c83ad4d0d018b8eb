"""A block gives back the facts that it was made of, or says that it cannot."""

from __future__ import annotations

import hashlib
import zlib

import pytest

from streams.engines.embedded.fact_block import (
    BlockError,
    PlacedFact,
    pack,
    unpack,
    unpack_values,
)
from streams.engines.embedded.sealed_facts import print_of

pytestmark = pytest.mark.unit


def placed(number: int) -> PlacedFact:
    """Give some fact."""
    told = hashlib.sha256(bytes([number])).digest()
    key = bytes([number % 3]) + told + b"\x00\x00\x00\x07" + b"hook" * (number % 2)
    return PlacedFact(key, b"value" * number, bytes([number] * 4))


FACTS = {place: placed(place) for place in (0, 1, 4, 5, 9)}
IDS, BODY = pack(FACTS, 10)


def test_facts_come_back_in_their_places() -> None:
    """Also those of an empty value; places without a fact stay empty."""
    assert unpack(IDS, BODY) == FACTS
    values = [(place, fact.value) for place, fact in FACTS.items()]
    assert unpack_values(IDS, BODY) == values
    assert len(IDS) == 320
    assert unpack(*pack({}, 3)) == {}


def test_the_form_of_a_block_is_that_of_every_file() -> None:
    """A form that moves would make nothing of what is written."""
    assert "9ef8b2f6d283040c" == hashlib.sha256(zlib.decompress(BODY)).hexdigest()[:16]


@pytest.mark.parametrize(
    ("ids", "body"),
    [
        (IDS[:-1], BODY),
        (IDS, BODY[:-1]),
        (IDS, b""),
        (IDS, zlib.compress(b"")),
        (IDS, zlib.compress(zlib.decompress(BODY)[:-1])),
        (IDS, zlib.compress(zlib.decompress(BODY) + b"x")),
        (IDS, zlib.compress(b"\x02" + zlib.decompress(BODY)[1:])),
    ],
)
def test_what_is_no_block_is_refused(ids: bytes, body: bytes) -> None:
    """Cut off, changed, or of a later version: nothing is read that may be wrong."""
    with pytest.raises(BlockError):
        unpack(ids, body)


def test_prints_of_an_hour_lie_side_by_side() -> None:
    """A print is a positive number of 63 bits."""
    key = b"\x00" + b"\xff" * 32 + (2**20 - 1).to_bytes(4, "big")
    assert 2**63 - 1 == print_of(key)
    now, then = (b"\x00" + b"\xff" * 32 + bytes([0, 0, 0, n]) for n in (7, 8))
    assert print_of(now) + 1 == print_of(b"\x00" + bytes(32) + then[33:])

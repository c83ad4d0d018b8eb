"""A block gives back the facts that it was made of, or says that it cannot."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Any

import pytest

from agents_registry.facts import Node, fact_key
from agents_registry.identifiers import Identifier
from schemas.codec import encode_fact
from streams.engines.embedded.block_proof import proven_fact, proven_facts
from streams.engines.embedded.fact_block import (
    FIRST_FORMAT,
    FORMAT,
    LARGE,
    LONG,
    MOST_BYTES,
    PLACES,
    STORED_BYTES,
    BlockError,
    FactBlock,
    PlacedFact,
    hold_keys,
    is_packable,
    keys_of,
    pack,
    unpack,
)
from streams.engines.embedded.packed_prints import print_of
from streams.engines.embedded.short_rows import short_key

pytestmark = pytest.mark.unit


def placed(number: int) -> PlacedFact:
    """Give some fact."""
    told = hashlib.sha256(bytes([number])).digest()
    key = bytes([number % 3]) + told + b"\x00\x00\x00\x07" + b"hook" * (number % 2)
    return PlacedFact(key, b"value" * number)


def of_first_form(block: FactBlock) -> FactBlock:
    """Give a block as the first form had it: its keys have no checksum."""
    tails = bytes([FIRST_FORMAT]) + block.tails[1:2] + block.tails[6:]
    return block._replace(tails=tails)


def summed(block: FactBlock) -> FactBlock:
    """Give a block of the first form as this form has it, whatever it says."""
    head, rest = bytes([FORMAT]) + block.tails[1:2], block.tails[2:]
    told = zlib.crc32(head + block.ids + rest).to_bytes(4, "big")
    return block._replace(tails=head + told + rest)


FACTS = {place: placed(place) for place in (0, 1, 4, 5, 9)}
WHOLE = pack(FACTS, 10)
BLOCK = of_first_form(WHOLE)
IDS, TAILS, BODY = BLOCK
PLAIN = zlib.decompress(BODY)
TAIL = b"\x00\x05\x00\x00\x00\x00\x07"  # of place 0


def with_tails(tails: bytes) -> FactBlock:
    """Give the block with other tails."""
    return BLOCK._replace(tails=tails)


def with_content(plain: bytes) -> FactBlock:
    """Give the block with other values."""
    return BLOCK._replace(body=zlib.compress(plain))


def test_facts_come_back_in_their_places() -> None:
    """Also those of an empty value; places without a fact stay empty."""
    assert unpack(BLOCK) == FACTS
    keys = {place: fact.key for place, fact in FACTS.items()}
    assert keys == keys_of(BLOCK)
    assert (len(IDS), BLOCK.places) == (320, 10)
    assert unpack(pack({}, 3)) == {}
    assert FactBlock.of(*BLOCK) == BLOCK
    assert unpack(WHOLE) == FACTS
    assert summed(BLOCK) == WHOLE
    assert (WHOLE.is_summed, BLOCK.is_summed) == (True, False)


def test_the_largest_block_comes_back() -> None:
    """Its places, its values and its keys are all that they may be."""
    size, more = divmod(MOST_BYTES, PLACES)
    facts = {
        place: PlacedFact(
            b"\x00" + hashlib.sha256(bytes([place])).digest() + bytes([0, 0, place, 7]),
            hashlib.shake_128(bytes([place])).digest(size + (more if place else 0)),
        )
        for place in range(PLACES)
    }
    left = dict(list(facts.items())[: PLACES - more])
    block = pack(left, PLACES)
    assert unpack(FactBlock.of(*block)) == left
    assert block.size < STORED_BYTES


def test_the_form_of_a_block_is_that_of_every_file() -> None:
    """A form that moves would make nothing of what is written."""
    told = hashlib.sha256(IDS + TAILS + PLAIN).hexdigest()
    assert told[:16] == "0df8ee6c8a311904"
    told = hashlib.sha256(WHOLE.tails).hexdigest()
    assert told[:16] == "dc1cfad4a064df54"


@pytest.mark.parametrize(
    "columns",
    [
        (None, TAILS, BODY),
        (IDS, TAILS, "text"),
        (IDS, 7, BODY),
        (b"", TAILS, BODY),
        (IDS[:-1], TAILS, BODY),
        (bytes(32 * (PLACES + 1)), TAILS, BODY),
    ],
)
def test_what_is_no_row_of_a_block_is_refused(columns: tuple[object, ...]) -> None:
    """Of another type, cut off, or longer than any."""
    with pytest.raises(BlockError):
        FactBlock.of(*columns)


BROKEN = {
    "a place less": BLOCK._replace(ids=IDS[:-32]),
    "a place more": BLOCK._replace(ids=IDS + IDS[:32]),
    "an empty place more": BLOCK._replace(ids=IDS + bytes(32)),
    "an id for no fact": BLOCK._replace(ids=IDS[:64] + IDS[:32] + IDS[96:]),
    "no id for a fact": BLOCK._replace(ids=bytes(32) + IDS[32:]),
    "no tails": with_tails(b"\x01"),
    "fewer tails": with_tails(TAILS[:1] + b"\x01" + TAILS[2:]),
    "more tails": with_tails(TAILS[:1] + b"\xff" + TAILS[2:]),
    "tails cut off": with_tails(TAILS[:-1]),
    "behind the tails": with_tails(TAILS + b"\x00"),
    "a tail of no fact": with_tails(
        TAILS[:1] + bytes([TAILS[1] + 1]) + TAILS[2:] + TAIL[:6] + b"x"
    ),
    "a tail twice": with_tails(TAILS[:1] + bytes([TAILS[1] + 1]) + TAILS[2:] + TAIL),
    "a fact hidden": with_tails(TAILS[:2] + b"\xff" + TAILS[3:]),
    "a fact of no kind": with_tails(TAILS.replace(TAIL, b"\x00\x05\x63" + TAIL[3:])),
    "a key cut off": with_tails(TAILS.replace(TAIL, b"\x00\x04" + TAIL[2:6])),
    "one that takes back": with_tails(TAILS.replace(TAIL, b"\x00\x05\x09" + TAIL[3:])),
    "no body": BLOCK._replace(body=b"\x00"),
    "a body cut off": BLOCK._replace(body=BODY[:-1]),
    "behind the body": BLOCK._replace(body=BODY + b"\x00"),
    "a second body behind it": BLOCK._replace(body=BODY + BODY),
    "no content": with_content(b""),
    "content cut off": with_content(PLAIN[:-1]),
    "behind the content": with_content(PLAIN + b"x"),
    "larger than any": with_content(PLAIN + bytes(2 * MOST_BYTES)),
    "a size beyond it": with_content(struct.pack(">I", 2**31) + PLAIN[4:]),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_block_is_refused(name: str) -> None:
    """Cut off or changed, in either form: nothing is read that may be wrong."""
    for block in (BROKEN[name], summed(BROKEN[name])):
        with pytest.raises(BlockError):
            unpack(block)


def test_a_key_that_was_not_written_is_refused() -> None:
    """Whichever bit is turned, a key may be that of a fact that nobody ever said."""
    for column in ("ids", "tails"):
        written = getattr(WHOLE, column)
        for at in range(len(written)):
            for bit in range(8):
                turned = bytearray(written)
                turned[at] ^= 1 << bit
                changed = WHOLE._replace(**{column: bytes(turned)})
                with pytest.raises(BlockError):
                    hold_keys(changed)
    hold_keys(WHOLE)
    for tails in (b"", bytes([FORMAT]), WHOLE.tails[:5], b"\x03" + WHOLE.tails[1:]):
        with pytest.raises(BlockError):
            hold_keys(WHOLE._replace(tails=tails))


SAID: dict[str, Any] = {
    "authority": "vault",
    "version": 5,
    "received_at": 7_200 * 10**9,
    "ingress_key": "hook",
}
NODE = Node(node=Identifier("vault.accessor", "n"), **SAID)
KEY = short_key("acme", fact_key("acme", NODE))
VALUE = encode_fact(NODE)


def test_a_fact_is_known_by_what_it_says() -> None:
    """A key of another kind, id, hour or ingress key is no key of it."""
    assert isinstance(KEY, bytes)
    assert proven_fact(KEY, VALUE) == NODE
    wrong = [
        KEY[:at] + bytes([KEY[at] ^ 1]) + KEY[at + 1 :] for at in (0, 1, 32, 36, 37)
    ]
    for key in (*wrong, KEY[:-1], KEY + b"x"):
        with pytest.raises(BlockError, match="key of another"):
            proven_fact(key, VALUE)
    with pytest.raises(BlockError, match="cannot be read"):
        proven_fact(KEY, b"junk")
    good = {2: PlacedFact(KEY, VALUE)}
    bad = {2: PlacedFact(wrong[1], VALUE)}
    assert proven_facts(pack(good, 3)) == proven_facts(of_first_form(pack(good, 3)))
    with pytest.raises(BlockError, match="key of another"):
        proven_facts(of_first_form(pack(bad, 3)))


def test_what_takes_facts_back_is_never_packed() -> None:
    """Nor what is too large, or has no key in bytes."""
    key = placed(1).key
    assert is_packable(key, bytes(LARGE))
    assert is_packable(key[:37], b"")
    for other in ("r/node/x", key[:36], b"\x63" + key[1:], b"\x09" + key[1:],
                  b"\x0a" + key[1:], key[:1] + bytes(32) + key[33:],
                  key + bytes(LONG)):  # fmt: skip
        assert not is_packable(other, b"")
    assert not is_packable(key, bytes(LARGE + 1))
    assert not is_packable(key, "text")


def test_prints_of_an_hour_lie_side_by_side_and_follow_from_a_secret() -> None:
    """A print is a positive number of 63 bits; nobody can choose it."""
    now, then = (b"\x00" + b"\xff" * 32 + bytes([0, 0, 0, n]) for n in (7, 8))
    assert [7, 8] == [print_of(key, b"a") >> 43 for key in (now, then)]
    last = b"\x00" + b"\xff" * 32 + (2**20 - 1).to_bytes(4, "big")
    assert 0 <= print_of(last, b"a") < 2**63
    assert print_of(now, b"a") != print_of(now, b"b")
    assert print_of(now, b"a") != print_of(now + b"x", b"a")

"""Keys of facts in bytes say what they say as text, and lie in the same ranges."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import pytest

from streams.engines.embedded.short_rows import (
    KINDS,
    key_text,
    keys_below,
    short_key,
)

pytestmark = pytest.mark.unit

REALM = "acme/eu"
IDS = [hashlib.sha256(bytes([n])).hexdigest() for n in range(3)] + [
    "00" * 32,
    "ff" * 32,
]


def key(kind: str, told: str, rest: str = "480000/hook-1") -> str:
    """Give a key as text."""
    return f"{REALM}/{kind}/{told}/{rest}"


def test_the_codes_of_kinds_are_those_of_every_file() -> None:
    """A kind that moves would make other facts of what is written."""
    assert (
        "node", "edge", "alias", "owner_set", "renewal", "scope_set", "holds", "cause",
        "lift", "withdraw", "distrust", "horizon", "label_set",
    ) == KINDS  # fmt: skip


@pytest.mark.parametrize("rest", ["480000/hook-1", "0/", "4294967295/a/b", "1/ü"])
def test_a_key_comes_back_as_it_was(rest: str) -> None:
    """In less than half of its bytes."""
    for kind, told in itertools.product(KINDS, IDS):
        short = short_key(REALM, key(kind, told, rest))
        assert isinstance(short, bytes)
        assert key(kind, told, rest) == key_text(REALM, short)
        assert len(short) == 37 + len(rest.partition("/")[2].encode())


@pytest.mark.parametrize(
    "odd",
    [
        "acme/eu/x",
        key("colour", IDS[0]),
        key("node", IDS[0].upper()),
        key("node", IDS[0][:-2]),
        key("node", IDS[0], "-1/a"),
        key("node", IDS[0], "4294967296/a"),
        key("node", IDS[0], "007/a"),
        key("node", IDS[0], "1/\udcff"),
        f"other/node/{IDS[0]}/1/a",
    ],
)
def test_a_key_that_would_not_come_back_stays_text(odd: str) -> None:
    """What is written tells no other key."""
    assert odd == short_key(REALM, odd) == key_text(REALM, odd)


@pytest.mark.parametrize("odd", [b"", b"\x00" * 36, b"\xff" * 40])
def test_bytes_that_are_no_key_are_told_as_they_are(odd: bytes) -> None:
    """The audit chain finds that somebody changed them."""
    assert odd.hex() == key_text(REALM, odd)


def within(found: bytes | str, spans: tuple[tuple[Any, Any], ...]) -> bool:
    """Tell whether a key lies in a range of its own form."""
    ours = [span for span in spans if type(span[0]) is type(found)]
    return any(start <= found < end for start, end in ours)


def test_a_range_has_the_keys_of_a_kind_or_of_a_fact_and_no_others() -> None:
    """In both forms."""
    rests = ("0/", "4294967295/zz", "480000/hook-1")
    for kind, told in itertools.product(KINDS, IDS):
        of_kind, of_fact = keys_below(REALM, kind), keys_below(REALM, kind, told)
        assert 2 == len(of_kind) == len(of_fact)
        for other, another, rest in itertools.product(KINDS, IDS, rests):
            text = key(other, another, rest)
            for form in (text, short_key(REALM, text)):
                assert within(form, of_kind) == (other == kind)
                assert within(form, of_fact) == ((other, another) == (kind, told))


def test_what_no_fact_can_be_lies_in_the_range_of_text_alone() -> None:
    """A withdraw names what its sender likes."""
    for kind, told in (("colour", IDS[0]), ("node", "no hex")):
        assert 1 == len(keys_below(REALM, kind, told))

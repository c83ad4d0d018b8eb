"""Dead letters are folded by reason, and an authority's reasons have a bound."""

from __future__ import annotations

import pytest

from streams.model.records import Access, DeadLetter, Record
from streams.model.times import DAY
from streams.services.reading import read
from streams.sources.openbao.openbao import OpenBao
from streams.stages.ingest.dead_letters import (
    OVER_QUOTA,
    REPEAT,
    Collected,
    Reasons,
    Repeats,
    folded,
    number,
    refused,
)
from streams.stages.ingest.ingress import Origin

pytestmark = pytest.mark.unit


def letter(reason: str, offset: int = 0, event_id: str | None = None) -> DeadLetter:
    """Give a letter of one piece of three bytes."""
    return DeadLetter("s", offset, 3, reason, event_id, digest=f"d{offset}")


def test_repeats_are_one_letter_with_a_sample() -> None:
    """First and last offset, how many, and length and hash of the first."""
    (found,) = folded([letter("a", 5), letter("a", 9), letter("a", 7)])

    assert (found.offset, found.span, found.pieces) == (5, 4, 3)
    assert (found.length, found.digest) == (3, "d5")


def test_folding_twice_counts_once() -> None:
    """What a reader folded is folded again where it is written."""
    once = folded([letter("a", 0), letter("a", 4)])
    (found,) = folded([*once, letter("a", 8)])

    assert (found.pieces, found.offset + found.span) == (3, 8)


def test_sources_and_reasons_stay_apart() -> None:
    """Nothing of two causes is mixed."""
    other = letter("a")._replace(source="t")

    assert len(folded([letter("a"), letter("b"), other])) == 3


def test_a_reason_has_a_bounded_length() -> None:
    """It may quote what a sender chose."""
    (found,) = folded([letter("x" * 100_000)])

    assert len(found.reason) == 1024


def test_reasons_beyond_the_quota_are_counted_under_their_own() -> None:
    """Other authorities and the next day are not concerned."""
    reasons = Reasons(2)
    many = [letter(f"r{each}", each) for each in range(5)]
    first = reasons.within(many, "a", 1)

    assert [each.reason for each in first] == ["r0", "r1", OVER_QUOTA]
    assert number(first) == 5
    assert [OVER_QUOTA] == [
        each.reason for each in reasons.within([letter("new")], "a", 2)
    ]
    assert ["r1"] == [each.reason for each in reasons.within([letter("r1")], "a", 2)]
    assert ["new"] == [each.reason for each in reasons.within([letter("new")], "b", 2)]
    assert ["new"] == [
        each.reason for each in reasons.within([letter("new")], "a", DAY)
    ]


def test_an_answer_names_the_first_reasons() -> None:
    """A sender sees at once what is wrong, in few bytes."""
    told = refused([letter(f"r{each}", each) for each in range(9)])

    assert [each.reason for each in told] == ["r0", "r1", "r2", "r3", "r4"]


def test_letters_with_an_event_stay_single_until_findings_named_them() -> None:
    """Only nameless ones are folded while a log is read."""
    collected = Collected()
    use = Access("s", "e", "t", 1, (), 6, "allowed")
    given: list[Record] = [letter("a", 1), use, letter("a", 2), letter("a", 3, "id")]
    for each in given:
        collected.add(each, each if isinstance(each, DeadLetter) else None)
    first, second, third = collected.records()

    assert isinstance(first, DeadLetter)
    assert first.pieces == 2
    assert (second, third) == (use, given[3])


@pytest.mark.parametrize(
    "piece", [b"x\n", b"{\n", b'{"a":\n', b"\0y\n", b'{"Records":[\n', b"[1\n"]
)
async def test_a_log_of_broken_lines_is_few_letters(piece: bytes) -> None:
    """Of 20,000 lines every one is counted, in a handful of records."""
    data = piece * 20_000
    records = await read(OpenBao(), data, "openbao")

    assert len(records) < 10
    assert all(isinstance(each, DeadLetter) for each in records)
    counted = number(each for each in records if isinstance(each, DeadLetter))
    assert counted > 100 or len(records) == 1


def origin(authority: str = "a", at: int = 0) -> Origin:
    """Give who spoke, and when."""
    return Origin(authority, "default", at, "key", 1)


def test_in_a_log_a_flood_of_one_reason_is_two_letters() -> None:
    """The first at once, and the others counted in one when their time is over."""
    repeats = Repeats()
    written = []
    for at in range(1000):
        found = folded([letter("a", at)])
        written += repeats.new(found, origin(at=at), at)
    assert [each.pieces for each in written] == [1]
    assert [] == repeats.due(REPEAT - 1)
    ((held, of),) = repeats.due(REPEAT)
    assert (held.pieces, held.offset, held.span) == (999, 1, 998)
    assert of.received_at == 999
    assert [] == repeats.due(REPEAT + 1)


def test_other_authorities_sources_and_reasons_are_written_at_once() -> None:
    """Nothing waits behind another's flood."""
    repeats = Repeats()
    repeats.new([letter("a")], origin(), 0)
    others = [letter("b"), letter("a")._replace(source="t")]
    assert others == repeats.new(others, origin(), 0)
    assert [letter("a")] == repeats.new([letter("a")], origin("b"), 0)


def test_what_was_held_is_written_once_and_what_is_quiet_forgotten() -> None:
    """At the end of a process too; what could not be written is held on."""
    repeats = Repeats()
    for _ in range(3):
        repeats.new([letter("a")], origin(), 0)
    ((held, of),) = repeats.due(1, all_of_it=True)
    repeats.keep(held, of)
    repeats.new([letter("a")], origin(), 2)
    ((held, _),) = repeats.due(1 + REPEAT)
    assert held.pieces == 3
    assert [] == repeats.due(1 + 2 * REPEAT)
    assert [letter("a")] == repeats.new([letter("a")], origin(), 1 + 2 * REPEAT)

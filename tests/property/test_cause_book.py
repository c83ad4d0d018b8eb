"""Causes are kept in columns as a dict of them would keep them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import pytest

from agents_registry import causes
from agents_registry.cause_rows import RecordedCause
from agents_registry.causes import CauseBook, plain_cause
from agents_registry.facts import Effect, Lift, Reach
from agents_registry.identifiers import Identifier
from tests.property.agreement import EXAMPLES, SEED

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.property

STEPS: Final = EXAMPLES
NODES: Final = (0, 1, 255, 256, 700)


def cause(random: Random) -> RecordedCause:
    """Make a cause, or another copy of one: copies differ in their times alone."""
    node, number = random.choice(NODES), random.randrange(5)
    said = Random(f"{node} {number}")
    return RecordedCause(
        digest=bytes([number]) * 31 + bytes([node % 251]),
        node=node,
        at=random.randrange(9),
        mark=random.randrange(9),
        version=random.randrange(9),
        authority=said.choice("ab"),
        effect=said.choice([*Effect]),
        reach=said.choice([*Reach]),
        uncertainty=random.randrange(3),
        aspect=said.choice(("account", "key")),
        scopes=("a|b",) * said.randrange(2),
        device=said.choice((None, "d")),
        tenant=said.choice((None, "t")),
    )


def merged(first: RecordedCause, second: RecordedCause) -> RecordedCause:
    """Merge two copies: the smallest times; of equal versions the larger doubt."""
    version, doubt = min((c.version, -c.uncertainty) for c in (first, second))
    return first._replace(
        at=min(first.at, second.at),
        mark=min(first.mark, second.mark),
        version=version,
        uncertainty=-doubt,
    )


def test_causes_are_merged_and_taken_back_as_by_a_dict() -> None:
    """Each stands on its node until it is taken back; also after a dump is taken up."""
    random = Random(SEED)
    book, standing = CauseBook(), dict[bytes, RecordedCause]()
    for step in range(STEPS):
        said = cause(random)
        known = standing.get(said.digest)
        if random.random() < 0.6:
            book.add(said)
            standing[said.digest] = merged(known, said) if known else said
        else:
            assert book.remove(said.node, said.fact_id) is (known is not None)
            standing.pop(said.digest, None)
        if random.random() < 0.05:
            book, before = CauseBook(), book
            book.restore(before.dump())
            assert book.dump() == before.dump(), (SEED, step)

        found = list(book.all())
        assert len(found) == len(standing), (SEED, step)
        assert {each.digest: each for each in found} == standing, (SEED, step)
        for node in (-1, *NODES, 2, 1000):
            here = [each for each in found if each.node == node]
            assert list(book.on(node)) == here, (SEED, step)
        told = book.dump_of_fact(said.node, said.fact_id)["causes"]
        by_it = [each for each in found if each.digest == said.digest]
        assert told == list(map(plain_cause, by_it)), (SEED, step)


def lift(random: Random) -> tuple[str, int, Lift]:
    """Make a lift, or another copy of one, with its id."""
    node, number = random.choice(NODES), random.randrange(12)
    said = Random(f"{node} {number}")
    fact = Lift(
        target=Identifier("jwt.jti", f"{node}"),
        authority=said.choice("ab"),
        version=random.randrange(9),
        received_at=9,
        aspect=said.choice(("account", "key")),
    )
    return f"lift {node} {number}", node, fact


def standing_differs(seed: int) -> str:
    """Live through some facts; say where what stands is not told rightly."""
    random, book = Random(seed), CauseBook()
    for step in range(60):
        turn = random.random()
        said, (name, node, fact) = cause(random), lift(random)
        if turn < 0.4:
            book.add(said)
        elif turn < 0.8:
            book.lift(name, node, fact)
        elif turn < 0.9:
            book.remove(said.node, said.fact_id)
        else:
            book.remove(node, name)
        if random.random() < 0.05:
            book, before = CauseBook(), book
            book.restore(before.dump())
        for each in random.choices(NODES, k=2):
            right = [one for one in book.on(each) if book.in_force(one)]
            if list(book.standing(each)) != right:
                return f"RESCIND_SEED={seed}: on {each} in step {step}"
    return ""


@pytest.mark.parametrize("falling", [0, 2, causes.FALLING_AT_ONCE])
def test_what_stands_is_what_no_lift_has_ended(
    falling: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever comes, comes again or is taken back; however often somebody asks."""
    monkeypatch.setattr(causes, "FALLING_AT_ONCE", falling)
    for seed in range(SEED, SEED + EXAMPLES // 5):
        assert not standing_differs(seed)


def test_of_very_many_none_is_sifted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """That would be one long step; who asks looks at each lift."""
    monkeypatch.setattr(causes, "SIFTED_AT_ONCE", 2)
    random, book = Random(1), CauseBook()
    ends = cause(random)._replace(node=0, effect=Effect.SUSPEND, aspect="", version=1)
    for number in range(1, 4):
        book.add(ends._replace(digest=bytes([number]) * 32))
        fact = Lift(
            target=Identifier("jwt.jti", "0"), authority=ends.authority,
            version=9, received_at=9, aspect="",
        )  # fmt: skip
        book.lift("l", 0, fact)

        found = list(book.standing(0))
        assert found == ([] if number < 3 else list(book.on(0)))


def takes_all_in(book: CauseBook, one: RecordedCause, row: int) -> None:
    """Take what a lift had ended before for something that stands."""
    book._standing.get(one.node, []).append(row)


@pytest.mark.parametrize(
    ("method", "planted"),
    [
        ("_note_row", lambda *_: None),
        ("_note_lift", lambda *_: None),
        ("_note_row", takes_all_in),
    ],
    ids=["a cause is left out", "a lift is left out", "a lifted cause stands"],
)
def test_a_row_that_is_noted_wrongly_is_caught(
    method: str, planted: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted bug: a cause or lift that came later changes nothing, or too much."""
    monkeypatch.setattr(CauseBook, method, planted)

    assert any(standing_differs(seed) for seed in range(SEED, SEED + 100))


def test_what_is_no_id_of_a_fact_is_refused() -> None:
    """It would move the ids of all that come later."""
    with pytest.raises(ValueError, match="0000 is not the id of a fact"):
        CauseBook().add(cause(Random(1))._replace(digest=b"\0\0"))

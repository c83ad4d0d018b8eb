"""Names are interned as a dict would, whatever their hashes."""

from __future__ import annotations

import sys
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents_registry.identifiers import MAX_VALUE_BYTES, Identifier
from agents_registry.name_segments import HIGHEST
from agents_registry.names import ABSENT, BLOCK, MOST, SPARSEST, NameTable
from tests.property.agreement import EXAMPLES, SEED

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

pytestmark = pytest.mark.property

STEPS: Final = 3 * EXAMPLES
LETTERS: Final = ("a", "b", "\x00", "\x01", "é", "ÿ", "𝄞", "\udcff", "\ud834")
HASHED: Final[dict[str, Callable[[bytes], int]]] = {
    "keyed": hash,
    "of few values": lambda name: hash(name) % 97 * 11_000_003,
    "of one chain a segment": lambda name: hash(name) % (1 << HIGHEST),
    "of one segment": lambda name: hash(name) >> HIGHEST << HIGHEST,
}


def identifier(random: Random) -> Identifier:
    """Make a name: one that came before, the beginning of another one, or a new one."""
    kind = f"kind.{int(300 * random.random() ** 8)}"  # codes of one byte and of two
    if random.random() < 0.3:
        return Identifier(
            kind, "".join(random.choices(LETTERS, k=random.randint(0, 4)))
        )
    length = 256 if random.random() < 0.01 else 5
    return Identifier(kind, f"{random.randrange(STEPS):0{length}}")


@pytest.mark.parametrize("hashed", HASHED)
def test_names_are_numbered_as_by_a_dict(
    hashed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order in which they came; also after a dump is taken up."""
    random = Random(SEED)
    monkeypatch.setattr("agents_registry.names._PIECE", random.choice((90, 2000)))
    names, numbers = NameTable(HASHED[hashed]), dict[Identifier, int]()
    for step in range(STEPS):
        name = identifier(random)
        assert names.find(name) == numbers.get(name, ABSENT), (SEED, step, name)
        for _ in range(2):
            found = names.find_text(str(name))
            assert found == numbers.get(name, ABSENT) or found == ABSENT
            is_plain = name.value.isascii() and 0 < len(name.value) <= MAX_VALUE_BYTES
            assert is_plain or found == ABSENT
            assert not is_plain or found == numbers.get(name, ABSENT)
        if random.random() < 0.7:
            number = numbers.setdefault(name, len(numbers))
            assert names.intern(name) == number, (SEED, step, name)
        if random.random() < 2 / STEPS:
            names, before = NameTable(HASHED[random.choice([*HASHED])]), names
            names.restore(before.dump())
            if random.random() < 0.5:
                names.chain()
            assert names.dump() == before.dump()

    assert len(names) == len(numbers)
    assert [*numbers] == [*map(names.identifier, range(len(names)))]
    assert [name.kind for name in numbers] == [*map(names.kind, range(len(names)))]
    assert all(names.find(name) == number for name, number in numbers.items())


def test_a_table_grows_by_one_segment_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many names there are: nobody waits for more than one to be split.

    Of their hashes more bits are used in the end than one byte of them has.
    """
    monkeypatch.setattr("agents_registry.names.MOST", MOST // 10)
    monkeypatch.setattr("agents_registry.names.SPARSEST", SPARSEST // 10)
    names = NameTable()
    identifiers = [Identifier("jwt.jti", str(n)) for n in range(60 * MOST)]
    for number, identifier in enumerate(identifiers):
        assert names.intern(identifier) == number
    segments = {id(of): of for of in names._segments}.values()
    assert all(len(of.numbers) <= 1 + MOST // 10 for of in segments)
    assert max(of.bits for of in segments) > 8
    assert not names._crowded
    assert [*map(names.find, identifiers)] == [*range(len(identifiers))]


def test_a_name_without_a_place_keeps_its_number() -> None:
    """Where all hashes are one; also when it is no recent one any more."""
    names = NameTable(lambda _: 7)
    identifiers = [Identifier("jwt.jti", str(n)) for n in range(2 * MOST)]
    first = [*map(names.intern, identifiers)]
    names.recent.clear()

    assert [*map(names.intern, identifiers)] == first == [*range(2 * MOST)]
    assert len(names._crowded) == MOST


def test_a_dump_without_names_is_taken_up() -> None:
    """Its kinds may be known."""
    names = NameTable()
    names.restore({"kinds": ["jwt.jti"], "names": b""})

    assert names.find(Identifier("jwt.jti", "a")) == ABSENT
    assert names.intern(Identifier("jwt.jti", "a")) == 0


@pytest.mark.parametrize("count", [1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK])
@pytest.mark.parametrize("piece", [1, 700, 1 << 16])
def test_a_table_that_was_taken_up_grows(
    count: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the last block ends, and however many blocks lie in one piece."""
    monkeypatch.setattr("agents_registry.names._PIECE", piece)
    names, known = _taken_up(count)
    known += [Identifier("api.key", str(number)) for number in range(2 * BLOCK)]

    assert [*map(names.intern, known)] == [*range(len(known))]
    assert [*map(names.identifier, range(len(known)))] == known
    again = NameTable()
    again.restore(names.dump())
    assert [*map(again.find, known)] == [*range(len(known))]


def test_names_are_found_in_the_middle_of_a_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever asks from another thread finds each name that was there before."""
    monkeypatch.setattr("agents_registry.names.MOST", 8)
    monkeypatch.setattr("agents_registry.names.SPARSEST", 1)
    names, known, asked = NameTable(), list[Identifier](), 0

    def ask(frame: FrameType, event: str, _: object) -> Any:
        nonlocal asked
        frame.f_trace_opcodes = True
        if event == "opcode" and known:
            asked += 1
            number = asked % len(known)
            assert number == names.find(known[number])
        return ask

    before = sys.gettrace()
    for number in range(64):
        name = Identifier("jwt.jti", str(number))
        sys.settrace(ask)
        try:
            names.intern(name)
        finally:
            sys.settrace(before)
        known.append(name)

    assert len({id(of) for of in names._segments}) > 8
    assert asked > 50 * len(known)


def _taken_up(count: int) -> tuple[NameTable, list[Identifier]]:
    known = [Identifier("jwt.jti", str(number)) for number in range(count)]
    before, names = NameTable(), NameTable()
    for name in known:
        before.intern(name)
    names.restore(before.dump())
    return names, known


LATE: Final = Identifier("jwt.jti", "late")


def _look(names: NameTable) -> None:
    assert names.find(Identifier("jwt.jti", "3")) == 3


# What one thread does, and what another one does at some step of it. One alone adds.
AT_ONCE: Final[dict[str, tuple[Callable[[NameTable], Any], ...]]] = {
    "chains and a look": (NameTable.chain, lambda names: names.find(LATE)),
    "chains and a new name": (NameTable.chain, lambda names: names.intern(LATE)),
    "a new name and chains": (lambda names: names.intern(LATE), NameTable.chain),
    "a look and chains": (_look, NameTable.chain),
    "chains and chains": (NameTable.chain, NameTable.chain),
}


@pytest.mark.parametrize("pair", AT_ONCE)
def test_names_keep_their_numbers_while_chains_are_made(pair: str) -> None:
    """At whatever step of the one thread the other one works, each name is found."""
    one, another = AT_ONCE[pair]
    step, more = 0, True
    while more:
        names, known = _taken_up(6)
        seen = 0

        def at(frame: FrameType, event: str, _: object) -> Any:
            nonlocal seen
            frame.f_trace_opcodes = True
            if event == "opcode":
                seen += 1
                if seen == step + 1:  # noqa: B023 - it is called in this round
                    another(names)  # noqa: B023
                    found = [*map(names.find, known)]  # noqa: B023
                    assert found == [*range(len(known))], step  # noqa: B023
                    names.recent.clear()  # noqa: B023
            return at

        before = sys.gettrace()
        sys.settrace(at)
        try:
            one(names)
        finally:
            sys.settrace(before)
        more = seen > step
        step += 1
        assert names.intern(LATE) == len(known), step
        assert [*map(names.find, known)] == [*range(len(known))], step
        assert len(names) == len(known) + 1
        assert not any(of.splits[0] for of in names._segments)

    assert step > 50


def test_a_name_finds_a_place_before_another_thread_has_made_the_chains() -> None:
    """That thread may not come to its end for long."""
    names, known = _taken_up(6)
    names._unchained.clear()  # it has taken the right to

    assert [*map(names.find, known)] == [*range(6)]
    late = Identifier("jwt.jti", "late")
    assert [*map(names.intern, (late, *known))] == [6, *range(6)]
    names.recent.clear()
    assert [*map(names.intern, (late, *known))] == [6, *range(6)]
    assert len(names) == 7


def test_segments_that_are_too_full_are_split_when_a_table_is_taken_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many of them there are, and whichever comes first."""
    monkeypatch.setattr("agents_registry.names.MOST", 8)
    monkeypatch.setattr("agents_registry.names.FULL", 20)
    monkeypatch.setattr("agents_registry.names.SPARSEST", 1)
    names, known = _taken_up(600)

    assert [*map(names.find, known)] == [*range(600)]
    assert [*map(names.intern, known)] == [*range(600)]
    assert max(of.bits for of in names._segments) > 5 + 1

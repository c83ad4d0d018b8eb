"""A dict in parts is a dict, also for whoever reads while it is divided."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from agents_registry.parts import PARTS, WHOLE, PartedDict

pytestmark = pytest.mark.unit

MANY = 3 * WHOLE


def twins(many: int) -> tuple[PartedDict[int, str], dict[int, str]]:
    """Make a dict in parts and a plain one, with the same entries."""
    entries = {number: str(number) for number in range(many)}
    return PartedDict(entries), entries


@pytest.mark.parametrize("many", [0, 3, MANY])
def test_it_holds_what_a_dict_holds(many: int) -> None:
    """Whole and in parts."""
    parted, plain = twins(many)

    assert (len(parted), bool(parted)) == (len(plain), bool(plain))
    assert sorted(parted) == sorted(plain)
    assert dict(parted.items()) == plain == dict(parted)
    assert {*parted.values()} == {*plain.values()}
    parted.clear()
    assert (0, [], False) == (len(parted), [*parted.items()], bool(parted))


def test_changes_are_those_of_a_dict() -> None:
    """Thousands of random ones, over the size at which it is divided."""
    parted, plain, random = PartedDict[int, int](), dict[int, int](), Random(1)
    for step in range(6 * WHOLE):
        key = random.randrange(MANY)
        told: list[tuple[object, object]] = [
            (parted.setdefault(key, step), plain.setdefault(key, step)),
            (parted.get(key), plain.get(key)),
        ]
        if random.random() < 0.1:
            told.append((parted.pop(key, None), plain.pop(key, None)))
        elif random.random() < 0.1:
            told.append((parted.pop(key), plain.pop(key)))
        elif random.random() < 0.1:
            del parted[key], plain[key]
        else:
            parted[key] = plain[key] = step
            told.append((parted[key], plain[key]))
        told.append((key in parted, key in plain))
        assert all(ours == theirs for ours, theirs in told), (step, told)
    assert dict(parted) == plain


@pytest.mark.parametrize("many", [3, MANY])
def test_a_key_that_is_not_there(many: int) -> None:
    """As a dict has it."""
    parted, _ = twins(many)
    asked: list[Callable[[int], object]] = [
        parted.__getitem__, parted.__delitem__, parted.pop,
    ]  # fmt: skip

    for ask in asked:
        with pytest.raises(KeyError):
            ask(-1)
    assert (None, "no", "no") == (
        parted.get(-1),
        parted.get(-1, "no"),
        parted.pop(-1, "no"),
    )


def test_the_oldest_come_from_every_part() -> None:
    """Who came first to a part stands first in it."""
    parted, _ = twins(MANY)
    few, _ = twins(WHOLE)

    assert [*range(5)] == few.oldest(5)
    oldest = parted.oldest(PARTS)
    assert sorted({number // 1024 * 1024 for number in range(MANY)}) == sorted(oldest)


def test_a_reader_meets_the_whole_or_all_parts() -> None:
    """Another thread may look at each moment of a division."""
    found, parted = list[object](), PartedDict["Watched", int]()

    class Watched(int):
        """A key that is looked for while another one is hashed."""

        def __hash__(self) -> int:
            if self == WHOLE // 2 and not found:
                found.append(None)  # what looks for it hashes it again
                found[:] = [parted.get(self), parted.get(Watched(1))]
            return int(self)

    keys = [*map(Watched, range(WHOLE + 1))]
    found.append("not yet")
    for key in keys[:-1]:
        parted[key] = int(key)
    found.clear()
    parted[keys[-1]] = WHOLE

    assert [WHOLE // 2, 1] == found
    assert WHOLE + 1 == len(parted)

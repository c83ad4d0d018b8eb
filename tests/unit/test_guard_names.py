"""Which credential may use which guard's name."""

from __future__ import annotations

import pytest

from streams.stages.closure.guard_names import (
    Bearer,
    GuardKeys,
    GuardNames,
    NameRefusedError,
)

pytestmark = pytest.mark.unit

PAY, ALL = Bearer("pay", ("pay-*", "till")), Bearer("all", ("*",))
ONE, TWO = Bearer("one"), Bearer("two")
NAMES = (PAY, ALL, ONE, TWO)


def reason(names: GuardNames, name: str, bearer: Bearer) -> str:
    """Give why a name is refused, nothing where it is not."""
    try:
        names.check(name, bearer)
    except NameRefusedError as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("bearer", "name", "why"),
    [
        (PAY, "pay-1", ""), (PAY, "till", ""), (PAY, "pay", ""),
        (PAY, "other", "name_outside"), (PAY, "one", "name_reserved"),
        (ALL, "anything", ""), (ALL, "pay-1", ""), (ALL, "till", "name_reserved"),
        (ALL, "pay", "name_reserved"), (ONE, "one", ""),
        (ONE, "pay-1", "name_reserved"), (ONE, "two", "name_reserved"),
        (TWO, "anything", "name_reserved"),
    ],
)  # fmt: skip
def test_the_settings_come_first(bearer: Bearer, name: str, why: str) -> None:
    """What stands there exactly before a pattern, and that before first use."""
    assert reason(GuardNames(NAMES), name, bearer) == why


def test_a_name_is_bound_at_its_first_use_until_it_is_freed() -> None:
    """Whether its guard is there or not."""
    names = GuardNames((ONE, TWO))
    names.bind("g", ONE, ())
    assert reason(names, "g", ONE) == ""
    assert reason(names, "g", TWO) == "name_bound"
    with pytest.raises(NameRefusedError):
        names.bind("g", TWO, ())
    assert names.holder("g") == "one"
    assert names.is_bound("g")
    names.free("g")
    names.free("g")
    assert not names.is_bound("g")
    assert reason(names, "g", TWO) == ""


def test_the_holder_of_a_name_is_whose_the_settings_say_it_is() -> None:
    """An alert on who was refused names the holder."""
    names = GuardNames((PAY, ONE))

    assert ["pay", "pay", "one"] == [names.holder(n) for n in ("till", "pay-9", "one")]
    assert names.holder("free") is None


def test_what_the_settings_give_away_later_is_taken_from_who_had_it() -> None:
    """Not where that one has the name by the settings too."""
    names = GuardNames((PAY, ONE))
    names.restore({"pay-1": "one", "pay-2": "all"})
    names.bind("pay-1", PAY, ())
    assert names.holder("pay-1") == "pay"
    both = GuardNames((PAY, ALL))
    both.restore({"pay-2": "all"})
    assert reason(both, "pay-2", PAY) == "name_bound"


def test_of_names_that_are_not_used_any_more_the_oldest_make_room() -> None:
    """Those of others, and of guards that are there, never do."""
    names = GuardNames((), most=3)
    names.restore({"x": "two", "a": "one", "b": "one", "c": "one"})
    members = {"a", "c"}
    assert names.bind("d", ONE, members) == ["b"]
    members.add("d")
    assert names.bind("d", ONE, members) == []
    with pytest.raises(NameRefusedError, match="max_guards"):
        names.bind("e", ONE, members)
    assert names.bind("a", ONE, members) == []
    assert [names.holder(name) for name in "xabcd"] == [
        "two", "one", None, "one", "one",
    ]  # fmt: skip


def test_a_guards_own_key_goes_before_one_of_a_pattern() -> None:
    """Of patterns the first one that fits."""
    keys = GuardKeys({"*": 1, "pay-*": 2, "pay-1": 3})
    assert [keys.key(name) for name in ("pay-1", "pay-2", "x")] == [3, 1, 1]
    assert GuardKeys({"pay-*": 2}).key("x") is None
    assert keys.entry("pay-1") == "pay-1"

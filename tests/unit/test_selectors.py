"""Selectors: what is written is what is read, in whatever order."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.identifiers import Identifier
from streams.model.selectors import MOST, Selector, SelectorError, is_label, label

pytestmark = pytest.mark.unit

ANN = Identifier("person.id", "ann")
TEAM = Identifier("label.team", "payments")
ANY = "owner=person.id:ann,label.team=payments,kind=github.token,authority=okta"
VALUES = st.text("ab,\\= :é✓", min_size=1, max_size=12).filter(
    lambda text: text == text.strip()
)


def test_each_condition_has_its_place() -> None:
    """In the one cause that means all of them."""
    found = Selector.parse(ANY)
    assert found == Selector((TEAM,), (ANN,), ("github.token",), ("okta",))
    target, where, kinds = found.cause_parts()
    assert target == TEAM
    assert where == (
        Identifier("owner.of", "person.id:ann"),
        Identifier("authority.of", "okta"),
    )
    assert kinds == ("github.token",)


def test_without_a_label_the_next_condition_is_the_target() -> None:
    """An owner before an authority."""
    owned = Selector.parse("authority=okta,owner=person.id:ann")
    assert owned.cause_parts() == (
        Identifier("owner.of", "person.id:ann"), (Identifier("authority.of", "okta"),),
        (),
    )  # fmt: skip
    declared = Selector.parse(" authority = okta , kind = jwt.jti , kind=github.token ")
    target, where, kinds = declared.cause_parts()
    assert (target, where) == (Identifier("authority.of", "okta"), ())
    assert kinds == ("github.token", "jwt.jti")


@given(
    st.lists(st.tuples(st.sampled_from(["team", "env", "a-b_c"]), VALUES), max_size=4),
    st.lists(VALUES, max_size=3),
    st.lists(st.sampled_from(["github.token", "jwt.jti", "secret"]), max_size=2),
    st.lists(VALUES, min_size=1, max_size=3),
    st.randoms(use_true_random=False),
)
def test_a_selector_reads_what_it_writes(
    labels: list[tuple[str, str]],
    owners: list[str],
    kinds: list[str],
    authorities: list[str],
    random: Random,
) -> None:
    """Commas, equals signs and backslashes in values too; the order tells nothing."""
    made = Selector(
        tuple(label(key, value) for key, value in labels),
        tuple(Identifier("person.id", value) for value in owners),
        tuple(kinds),
        tuple(authorities),
    )
    assert Selector.parse(made.text()) == made
    mixed = [*made.labels, *made.labels]
    random.shuffle(mixed)
    again = Selector(mixed, made.owners[::-1], made.kinds, made.authorities)
    assert again == made
    assert again.text() == made.text()
    assert again.cause_parts() == made.cause_parts()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "condition 1 is none: write it as owner="),
        ("kind=github.token", "name a label or an owner"),
        ("team=payments", "condition 1 is none: there are label.KEY, owner"),
        ("owner=ann", "owner is not an identifier: write it as kind:value"),
        ("owner=", "condition 1 is none"),
        ("owner=person.id:ann,", "condition 2 is none"),
        ("label.Team=x", "no key of a label: write a-z"),
        ("label.=x", "no key of a label"),
        ("label.team=x\\", "a backslash ends the selector"),
        ("label.team=" + "x" * 257, "a value has 1 to 256 bytes"),
        ("owner=person.id:" + "x" * 250, "a value has 1 to 256 bytes"),
        ("authority=a,kind=Bad Kind", "no kind: write"),
        (",".join(f"authority=a{n}" for n in range(MOST + 1)), "at most 16 conditions"),
    ],
)
def test_what_is_no_selector_says_what_to_write(text: str, says: str) -> None:
    """Each mistake by itself."""
    with pytest.raises(SelectorError) as refused:
        Selector.parse(text)
    assert says in str(refused.value)


def test_a_value_that_reads_as_another_is_refused() -> None:
    """Spaces at its ends would be lost."""
    with pytest.raises(SelectorError, match="begins or ends with a space"):
        label("team", " payments")
    assert is_label(TEAM)
    assert not is_label(ANN)
    assert not is_label(Identifier("label.", "x"))

"""What is presented together has a bound, wherever it comes from."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Cause, Effect, Node
from agents_registry.identifiers import Identifier
from agents_registry.presentation import MOST_ACTORS, MOST_IDENTIFIERS
from agents_registry.registry import Registry
from agents_registry.verdict import judge
from enforcement import Lapse, Presented
from enforcement.decisions import decision
from enforcement.names import read_presented
from tests.pdp import ISSUER, NOW, SAID, node, point, sub, token

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

NAMES = tuple(Identifier("vault.accessor", str(n)) for n in range(MOST_IDENTIFIERS + 1))
ACTORS = tuple(Identifier("agent.id", str(n)) for n in range(MOST_ACTORS + 1))
LARGEST = Presented(NAMES[:-1], chain=ACTORS[:-1])
TOO_LARGE = [Presented(NAMES), Presented(NAMES[:1], chain=ACTORS)]
KNOWN = [Node(**SAID, node=name, issued_at=NOW) for name in (*NAMES, *ACTORS)]


@pytest.mark.parametrize("presented", TOO_LARGE, ids=["names", "actors"])
def test_a_guard_denies_more_than_the_bound(presented: Presented) -> None:
    """Every name lives; one name less is allowed."""
    guard = point(*KNOWN).guard
    verdict = guard.check(presented)

    assert guard.check(LARGEST).allowed
    assert (False, Lapse.UNREADABLE) == (verdict.allowed, verdict.reason)


def test_texts_have_the_bound_of_values() -> None:
    """Whether they are a list, or come one at a time."""
    guard = point(*KNOWN).guard
    texts = [str(name) for name in NAMES]

    assert guard.check(texts[:-1]).allowed
    assert guard.check(texts).reason is Lapse.UNREADABLE
    assert guard.check(name for name in texts).reason is Lapse.UNREADABLE


def test_no_more_is_read_than_the_bound_needs() -> None:
    """A source of names that has no end is refused like any other."""
    asked = count()
    endless: Iterator[str] = (f"vault.accessor:{number}" for number in asked)

    assert read_presented(endless) is None
    assert next(asked) == MOST_IDENTIFIERS + 1


def test_a_cause_among_too_many_is_no_reason() -> None:
    """They are not looked at at all, which is what bounds the cost."""
    guard = point(*KNOWN, Cause(**SAID, target=NAMES[0], effect=Effect.REVOKE, at=NOW))

    assert guard.guard.check(NAMES).reason is Lapse.UNREADABLE
    assert guard.guard.check(NAMES[:1]).reason.value == "revoked"


def test_a_line_of_a_refused_presentation_names_nothing() -> None:
    """The lines of decisions are bounded too."""
    verdict = point(*KNOWN).guard.check(NAMES)
    line = decision(
        Presented(NAMES), verdict, point="p", at=NOW, event_id="e", applied=None
    )

    assert {} == line["presented"]


TWO_RULES = [
    {"claim": "jti", "kind": "jwt.jti"},
    {"claim": "sub", "kind": "jwt.sub", "by_issuer": True},
]


def acting(levels: int) -> dict[str, Any]:
    """Give a chain of so many actors, each of two names."""
    act: dict[str, Any] = {}
    for level in range(levels):
        nested = {"act": act} if act else {}
        act = {"sub": f"a{level}", "jti": f"j{level}", **nested}
    return act


async def test_the_claims_of_a_token_have_the_bound_together() -> None:
    """Each claim and each actor by itself is of a legal length."""
    issuer = {
        "issuer": ISSUER, "audience": ["api"], "jwks": "jwks.json",
        "claims": TWO_RULES, "actor": TWO_RULES,
    }  # fmt: skip
    names = [f"agent{number}" for number in range(MOST_IDENTIFIERS)]
    known = [node(sub(name)) for name in names]
    deciding = point(*known, issuers=[issuer], unknown={"jwt.jti": "allow_and_report"})
    most = MOST_ACTORS // 2

    assert await deciding.allows(token("x", sub=names[:-1], jti="j", act=acting(most)))
    for more in ({"sub": names, "jti": "j"}, {"act": acting(most + 1)}):
        assert await deciding.reason(token("agent1", **more)) == "unreadable_claim"


async def test_the_keyed_hash_of_a_full_token_counts_too() -> None:
    """It is presented beside what the claims name."""
    issuer = {
        "issuer": ISSUER, "audience": ["api"], "jwks": "jwks.json",
        "token_kind": "secret",
    }  # fmt: skip
    names = [f"agent{number}" for number in range(MOST_IDENTIFIERS - 1)]
    known = [node(sub(name)) for name in names]
    lenient = {"jwt.jti": "allow_and_report", "secret": "allow_and_report"}
    deciding = point(*known, issuers=[issuer], unknown=lenient)

    assert await deciding.allows(token("x", sub=names[:-1], jti="j"))
    assert await deciding.reason(token("x", sub=names, jti="j")) == "unreadable"


@pytest.mark.parametrize("count", [1, 2])
def test_names_in_a_list_are_refused_with_what_to_write(count: int) -> None:
    """Whatever becomes of them, and not only once one of them is denied."""
    for given in ({"identifiers": list(NAMES[:count])}, {"chain": list(NAMES[:count])}):
        asked: Any = {"identifiers": NAMES[:1]} | given

        with pytest.raises(TypeError, match=r"Presented\(\(name,\)\)"):
            judge(Registry(), Presented(**asked), now=1)

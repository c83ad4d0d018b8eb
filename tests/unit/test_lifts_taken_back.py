"""A lift that is taken back leaves the other lifts of its node."""

from __future__ import annotations

from typing import Any, Final

import pytest

from agents_registry.facts import Cause, Effect, Lift, Withdraw, fact_id
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.registry import Registry

pytestmark = pytest.mark.unit

NAME: Final = Identifier("aws.access_key", "AKIAEXAMPLE000000001")
S: Final = 10**9
SAID: Final[dict[str, Any]] = {"authority": "a", "target": NAME, "received_at": 90 * S}


def lift(aspect: str, second: int) -> Lift:
    """Lift what was suspended before a second."""
    return Lift(aspect=aspect, version=second * S, **SAID)


@pytest.mark.parametrize("restored", [False, True])
def test_each_lift_ends_with_its_own_withdrawal(*, restored: bool) -> None:
    """Of whatever aspect, once; also in a table that was taken up from a dump."""
    registry = Registry()
    lifts = [lift("account", 20), lift("account", 30), lift("key", 20)]
    for aspect in ("account", "key"):
        registry.apply(
            Cause(effect=Effect.SUSPEND, at=S, version=S, aspect=aspect, **SAID)
        )
    for each in lifts:
        registry.apply(each)
    if restored:
        registry = Registry.load(registry.dump(), VOCABULARY)

    def suspended() -> set[str]:
        book = registry.causes
        node = registry.lineage.find(NAME)
        return {each.aspect for each in book.on(node) if book.in_force(each)}

    seen = [suspended()]
    for each in (lifts[2], lifts[2], *lifts[:2]):
        taken = fact_id(each).hex()
        registry.apply(Withdraw(kind=Lift.NAME, fact_id=taken, version=S, **SAID))
        seen.append(suspended())

    assert [set(), {"key"}, {"key"}, {"key"}, {"account", "key"}] == seen
    assert [] == registry.causes.dump()["lifts"]
    assert not registry.causes.remove(registry.lineage.find(NAME), "none")

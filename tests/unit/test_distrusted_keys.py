"""What a distrust leaves: the alerts after a theft tell people to rely on it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from agents_registry.facts import Cause, Distrust, Effect, Withdraw, fact_id
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry

pytestmark = pytest.mark.unit

NAME: Final = Identifier("aws.access_key", "AKIAEXAMPLE000000001")
S: Final = 10**9
OPERATORS: Final[dict[str, Any]] = {
    "authority": "operators", "ingress_key": "ops-sam", "received_at": 90 * S,
    "version": 90 * S,
}  # fmt: skip


def revocation(**said: Any) -> Cause:
    """Revocation of the name."""
    return Cause(effect=Effect.REVOKE, at=S, target=NAME, **OPERATORS | said)


STOLEN: Final = {"authority": "acme-idp", "ingress_key": "idp-hook"}
DISTRUST: Final = Distrust(
    suspect="acme-idp", suspect_key="idp-hook", received_from=0, received_to=99 * S,
    **OPERATORS,
)  # fmt: skip


def revoked_by(*facts: Cause | Distrust | Withdraw) -> set[str]:
    """Give the authorities of the revocations in a table that is built anew."""
    registry = Registry()
    for fact in facts:
        registry.apply(fact)
    node = registry.lineage.find(NAME)
    return {each.authority for each in registry.causes.on(node)}


def test_what_operators_enter_anew_outlives_the_distrust_of_a_source() -> None:
    """So it is entered first, and nobody is let in meanwhile."""
    said, anew = revocation(**STOLEN), revocation()

    assert revoked_by(said, anew) == {"acme-idp", "operators"}
    assert revoked_by(DISTRUST, said, anew) == {"operators"}


def test_a_distrust_is_final() -> None:
    """No withdraw brings back what it took."""
    undo = Withdraw(
        fact_id=fact_id(DISTRUST).hex(), kind=Distrust.NAME, target=NAME, **OPERATORS
    )

    assert revoked_by(undo, DISTRUST, revocation(**STOLEN), revocation()) == {
        "operators"
    }

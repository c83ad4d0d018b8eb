"""What a prune may drop, and what it waits for."""

from __future__ import annotations

import pytest

from agents_registry.facts import SECOND
from agents_registry.pruning import Prune, prune
from agents_registry.registry import Registry
from tests.property.cases import (
    ENDS,
    alice,
    edge,
    expires,
    node,
    owned,
    t1,
    t2,
    t3,
)  # fmt: skip

pytestmark = pytest.mark.unit

NOW = 1000
EXPIRED = [node(t1, 1), node(t2, 1), edge(t2, t1, ENDS), expires(t1, 100)]


def plan(*facts: object, retain: int = 500) -> Prune:
    """Plan a prune at second 1000."""
    table = Registry.build(facts)  # type: ignore[arg-type]
    return prune(table, now=NOW * SECOND, retain=retain * SECOND)


def test_what_expired_long_ago_goes_with_all_below_it() -> None:
    """The parent's expiry ended the child too."""
    assert Prune(frozenset({t1, t2}), ()) == plan(*EXPIRED)


def test_what_expired_lately_stays() -> None:
    """It must have been dead for the whole time of retention."""
    assert frozenset() == plan(*EXPIRED, retain=901).gone


def test_a_parent_stays_while_a_child_does() -> None:
    """The child hangs on it by a plain requirement, so it has not expired."""
    assert frozenset() == plan(node(t1, 1), expires(t1, 100), edge(t3, t1)).gone


def test_an_owner_stays_while_what_it_owns_does() -> None:
    """Else the obligation would name a node that nobody knows, and that lives."""
    facts = [node(t1, 1), expires(t1, 100), node(alice), owned(alice, t1)]

    assert frozenset() == plan(*facts).gone


def test_a_prune_waits_for_a_parent_that_was_only_named() -> None:
    """The horizon would deny the child; adopt has to declare the parent first."""
    waiting = plan(*EXPIRED, node(t3), edge(t3, alice))

    assert ((t3, alice),) == waiting.waits_for
    assert () == plan(*EXPIRED, node(t3), edge(t3, alice), node(alice)).waits_for

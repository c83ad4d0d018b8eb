"""A record merged without its facts leaves the table that its facts leave."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.facts import Relation
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from streams.model.records import LIFECYCLE_EFFECTS, Access, Lifecycle, Parent, Tie
from streams.services.hunt_lineage import state_lineage
from streams.stages.ingest.ingress import Origin, facts_of

pytestmark = pytest.mark.property

NAMES: Final = tuple(
    Identifier(kind, value)
    for kind in ("aws.access_key", "aws.user", "aws.role", "aws.login_profile",
                 "agent.id", "a.kind", "label.team", "attribute.email")
    for value in ("one", "two")
)  # fmt: skip
LABELS: Final = NAMES[-4:-3]
NAME = st.sampled_from(NAMES)
SOME = st.lists(NAME, max_size=2).map(tuple)
TIME = st.none() | st.integers(0, 9)
OUTCOME = st.sampled_from((None, "allowed", "denied"))
RELATION = st.sampled_from(list(Relation))
PARENTS = st.lists(
    st.builds(lambda n, r: Parent(n.kind, n.value, r), NAME, RELATION), max_size=3
)
TIES = st.lists(st.builds(Tie, NAME, NAME, RELATION), max_size=1)
SAID: Final[dict[str, Any]] = {
    "source": st.just("s"), "event_id": st.none() | st.just("e"),
    "event_type": st.just("t"), "occurred_at": TIME, "offset": st.just(0),
    "identifiers": st.lists(NAME, max_size=2).map(tuple) | st.tuples(NAME),
    "parents": PARENTS.map(tuple), "actor": SOME, "ties": TIES.map(tuple),
    "outcome": OUTCOME, "issued_at": TIME,
}  # fmt: skip


# What a record may state beside its lineage: one at a time.
FURTHER: Final[tuple[dict[str, Any], ...]] = (
    {}, {}, {}, {"owners": NAMES[:1]}, {"attributes": NAMES[-1:]}, {"expires_at": 7},
    {"scope": ("a|b",)}, {"labels": LABELS}, {"device": "d"}, {"tenant": "t"},
)  # fmt: skip
EFFECTS: Final = ("issue",) * 9 + (None, *sorted(LIFECYCLE_EFFECTS))


@st.composite
def lifecycles(draw: st.DrawFn) -> Lifecycle:
    """Make what mostly issues."""
    said = {name: draw(value) for name, value in SAID.items()}
    said |= draw(st.sampled_from(FURTHER))
    effect = draw(st.sampled_from(EFFECTS))
    return Lifecycle(**said, effect=effect, known=draw(st.booleans()))


RECORD = st.builds(Access, **SAID) | lifecycles()


@given(st.lists(RECORD, max_size=5), st.booleans(), st.sampled_from((4, 1 << 60)))
def test_what_is_merged_without_facts_is_the_same(
    records: list[Access | Lifecycle], issuer_log: bool, received_at: int
) -> None:
    """In every part of the table; what states more is left alone."""
    origin = Origin("s", "hunt", received_at, issuer_log=issuer_log)
    direct, by_facts = Registry(), Registry()
    for record in records:
        for fact in facts_of(record, origin):
            by_facts.apply(fact)
        if not state_lineage(direct, record, origin):
            for fact in facts_of(record, origin):
                direct.apply(fact)

    assert without_changes(by_facts) == without_changes(direct)


def without_changes(registry: Registry) -> dict[str, Any]:
    """State of a table, but for how often it was changed."""
    registry.changes = 0
    return registry.dump()


def test_a_table_that_was_asked_gets_the_facts() -> None:
    """What it answered must be undone, which facts do."""
    use = partial(Access, "s", None, "t", None, (NAMES[0],), 0, "allowed")
    origin = Origin("s", "hunt", 1 << 60)
    registry = Registry()
    assert state_lineage(registry, use(), origin)
    registry.clearance.values.append(0)

    assert not state_lineage(registry, use(), origin)

"""What an authority may say: of which kinds, of which values, by which fact."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.facts import (
    Alias,
    Cause,
    Distrust,
    Edge,
    Effect,
    Fact,
    Holds,
    Horizon,
    Lift,
    Node,
    OwnerSet,
    Renewal,
    ScopeSet,
    Withdraw,
)
from agents_registry.identifiers import Identifier
from streams.stages.ingest.entitlement import Grant, entitled, only_denies

pytestmark = pytest.mark.unit

OURS = "arn:aws:iam::111122223333:"
MINE = Identifier("aws.user", f"{OURS}user/builder")
ALSO = Identifier("aws.role", f"{OURS}role/r")
THEIRS = Identifier("aws.user", "arn:aws:iam::444455556666:user/builder")
GRANTS = (Grant("aws.*", OURS),)
SAID: dict[str, Any] = {"authority": "aws", "version": 5, "received_at": 5}
MAIL = Identifier("attribute.mail", "00ff")


def about(name: Identifier) -> dict[str, Fact]:
    """Give a fact of each kind that speaks of one identifier."""
    return {
        "node": Node(node=name, issued_at=1, **SAID),
        "owners": OwnerSet(node=name, owners=(THEIRS,), **SAID),
        "no owners": OwnerSet(node=name, owners=(), **SAID),
        "renewal": Renewal(node=name, expires_at=9, **SAID),
        "scopes": ScopeSet(node=name, scopes=("s3|get",), **SAID),
        "attribute": Holds(node=name, attribute=MAIL, **SAID),
        "edge": Edge(child=name, parent=THEIRS, **SAID),
        "first name": Alias(first=name, second=ALSO, **SAID),
        "second name": Alias(first=ALSO, second=name, **SAID),
        "cause": Cause(target=name, effect=Effect.REVOKE, at=5, **SAID),
        "lift": Lift(target=name, **SAID),
    }


@pytest.mark.parametrize(
    "value",
    [
        THEIRS.value,
        f"{THEIRS.value}/{OURS}user/builder",
        f" {MINE.value}",
        MINE.value.upper(),
        OURS[:-1],
        "",
    ],
)
def test_a_qualifier_is_what_a_value_begins_with(value: str) -> None:
    """Who chooses the rest of a name does not choose whose it is."""
    assert Grant("aws.*", OURS).covers(MINE)
    assert not Grant("aws.*", OURS).covers(Identifier("aws.user", value))


@pytest.mark.parametrize("kind", ["awsx.user", "x.aws.user", "aws", "okta.user"])
def test_a_family_of_kinds_is_what_a_kind_begins_with(kind: str) -> None:
    """The dot belongs to it."""
    assert not Grant("aws.*").covers(Identifier(kind, MINE.value))
    assert not Grant("aws.user").covers(Identifier("aws.user2", MINE.value))


@pytest.mark.parametrize("fact", about(MINE).values(), ids=about(MINE))
def test_what_is_ours_may_be_said(fact: Fact) -> None:
    """A parent and an owner may be anybody's: whoever names one is its child."""
    assert entitled(fact, GRANTS)


@pytest.mark.parametrize("fact", about(THEIRS).values(), ids=about(THEIRS))
def test_what_is_not_ours_may_not_be_said(fact: Fact) -> None:
    """Each kind of fact is held to all that it speaks of; roles change nothing."""
    assert not entitled(fact, GRANTS, restorer=True)
    assert not entitled(fact, ())
    assert entitled(fact, (Grant("*"),))


def test_a_child_is_not_entitled_by_its_parent() -> None:
    """Else anybody could hang what is another's below a dead thing of his own."""
    assert not entitled(Edge(child=THEIRS, parent=MINE, **SAID), GRANTS)
    assert not entitled(OwnerSet(node=THEIRS, owners=(MINE,), **SAID), GRANTS)


@pytest.mark.parametrize(
    "fact",
    [
        Withdraw(fact_id="00", kind="cause", target=MINE, **SAID),
        Distrust(
            suspect="aws", suspect_key="k", received_from=0, received_to=9, **SAID
        ),
        Horizon(**SAID),
    ],
    ids=["withdraw", "distrust", "horizon"],
)
def test_what_takes_facts_back_needs_the_role(fact: Fact) -> None:
    """No grant is a role, not even the one for everything."""
    assert not entitled(fact, (Grant("*"),))
    assert entitled(fact, (), restorer=True)


@pytest.mark.parametrize("fact", about(MINE).values(), ids=about(MINE))
def test_no_grant_only_denies(fact: Fact) -> None:
    """What may stay of a refused record is nothing that could allow."""
    grants = Node | OwnerSet | Renewal | ScopeSet | Lift

    assert isinstance(fact, grants) is not only_denies(fact)

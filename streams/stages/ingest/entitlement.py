"""Decide who may say what, from the statement and the configuration alone.

The decision is taken once, at ingress, and never judged again on replay: the facts
that got in carry the version of the settings that let them in. State plays no part,
so no order of events can widen what an authority may say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from agents_registry.facts import (
    Alias,
    Cause,
    Distrust,
    Edge,
    Holds,
    Horizon,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Renewal,
    ScopeSet,
    Withdraw,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier

OPERATORS: Final = "operators"  # the authority of what people decide
CONTAINMENT: Final = "rescind.containment"  # that of what rules of the settings decide


@frozen
class Grant:
    """An authority may speak of the identifiers of a kind that share a qualifier.

    Attributes:
        kind: a kind, or a family of kinds such as ``aws.*``, or ``*``.
        qualifier: what the value must start with, such as
            ``arn:aws:iam::111122223333:``; empty where ids are global.
    """

    kind: str
    qualifier: str = ""

    def covers(self, identifier: Identifier) -> bool:
        """Whether the grant reaches this identifier."""
        if not identifier.value.startswith(self.qualifier):
            return False
        if self.kind.endswith("*"):
            return identifier.kind.startswith(self.kind[:-1])
        return identifier.kind == self.kind


def targets(fact: Fact) -> tuple[Identifier, ...] | None:
    """Return the identifiers that a fact speaks of; None where a role is needed."""
    match fact:
        case Node() | OwnerSet() | Renewal() | ScopeSet() | LabelSet() | Holds():
            return (fact.node,)
        case Edge():
            return (fact.child,)
        case Alias():
            return (fact.first, fact.second)
        case Cause() | Lift():
            return (fact.target,)
        case Withdraw() | Distrust() | Horizon():
            return None
    return None


def entitled(fact: Fact, grants: Iterable[Grant], *, restorer: bool = False) -> bool:
    """Whether the grants let the fact in.

    Args:
        fact: the statement.
        grants: of the authority that makes it.
        restorer: the speaker holds the role that withdraw and distrust need.
    """
    spoken_of = targets(fact)
    if spoken_of is None:
        return restorer
    rights = tuple(grants)
    return all(any(g.covers(identifier) for g in rights) for identifier in spoken_of)


def only_denies(fact: Fact) -> bool:
    """Whether the fact can never turn a deny into an allow (no grant)."""
    return isinstance(fact, Cause | Edge | Alias | Holds)

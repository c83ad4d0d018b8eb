"""Which facts stand, and from when they speak: the first half of the second model.

DESIGN.md, section 2: "Fact key", "Versions", "withdraw" and "distrust", "Times ahead".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from attrs import frozen

from agents_registry.facts import (
    Alias,
    Cause,
    Distrust,
    Edge,
    Fact,
    Holds,
    Lift,
    Node,
    OwnerSet,
    Renewal,
    ScopeSet,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import Identifier

SECOND: Final = 1_000_000_000
TOLERATED_AHEAD: Final = 300 * SECOND
STAMP_DOUBT: Final = 5 * SECOND

NeverAhead = Lift | Renewal | OwnerSet | ScopeSet | Holds


@frozen
class Copy:
    """What one copy of a fact may claim: its times, clamped to its arrival."""

    fact: Fact
    version: int
    doubt: int


@frozen
class Said:
    """A fact that stands, with the smallest clamped times of its standing copies."""

    copies: tuple[Copy, ...]

    @property
    def fact(self) -> Fact:
        """Return any copy: they differ in times alone."""
        return self.copies[0].fact

    @property
    def version(self) -> int:
        """Return the smallest clamped version."""
        return min(copy.version for copy in self.copies)

    @property
    def doubt(self) -> int:
        """Return u of that version."""
        return max(c.doubt for c in self.copies if c.version == self.version)

    def earliest(self, time: Callable[[Fact], int | None]) -> int | None:
        """Return the smallest over the copies, each clamped to its arrival."""
        times = [(time(copy.fact), copy.fact.received_at) for copy in self.copies]
        return min(
            (min(t, arrival) for t, arrival in times if t is not None), default=None
        )

    @property
    def at(self) -> int | None:
        """Return T of a cause of reach self."""
        return self.earliest(lambda f: f.at if isinstance(f, Cause) else None)

    @property
    def not_before(self) -> int | None:
        """Return T of a not_before."""
        return self.earliest(lambda f: f.not_before if isinstance(f, Cause) else None)

    @property
    def issued(self) -> int | None:
        """Return the time of issue that a node fact tells."""
        return self.earliest(lambda f: f.issued_at if isinstance(f, Node) else None)


def read_copy(fact: Fact) -> Copy | None:
    """Clamp the version of a copy; None for a lift that lies too far ahead.

    "Versions" and "Times ahead". Reading: a version that was clamped is a time
    stamped by ingress, so u = 5 s, for grants as for causes. What holds an attribute
    escapes earlier causes on it, so its version is clamped like that of a grant.
    """
    ahead = fact.version - fact.received_at
    if isinstance(fact, Lift) and ahead > TOLERATED_AHEAD:
        return None
    if ahead > (0 if isinstance(fact, NeverAhead) else TOLERATED_AHEAD):
        return Copy(fact, fact.received_at, STAMP_DOUBT)
    return Copy(fact, fact.version, STAMP_DOUBT if fact.stamped else 0)


def standing(facts: Iterable[Fact]) -> list[Said]:
    """Return the facts with an undistrusted copy that nobody withdrew.

    Reading ("distrust"): it ends no withdraw and no distrust, since it withdraws by
    predicate and a withdraw may not name those. The times of a distrusted copy do
    not count.
    """
    facts = list(facts)
    distrusts = [fact for fact in facts if isinstance(fact, Distrust)]
    withdraws = [fact for fact in facts if isinstance(fact, Withdraw)]
    by_id: dict[bytes, list[Copy]] = defaultdict(list)
    for fact in facts:
        if isinstance(fact, Withdraw | Distrust):
            continue
        if any(distrusted(fact, by) for by in distrusts):
            continue
        if (copy := read_copy(fact)) is not None:
            by_id[fact_id(fact)].append(copy)
    return [
        Said(tuple(copies))
        for key, copies in by_id.items()
        if not any(withdrawn(key, copies[0].fact, by) for by in withdraws)
    ]


def distrusted(fact: Fact, by: Distrust) -> bool:
    """Tell whether this copy was said with the stolen key in the interval."""
    return (fact.authority, fact.ingress_key) == (by.suspect, by.suspect_key) and (
        by.received_from <= fact.received_at <= by.received_to
    )


def withdrawn(key: bytes, fact: Fact, by: Withdraw) -> bool:
    """Tell whether the withdraw names this fact, by id, kind and target alike."""
    return (by.fact_id, by.kind) == (key.hex(), fact.NAME) and by.target in spoken_of(
        fact
    )


def spoken_of(fact: Fact) -> set[Identifier]:
    """Return the targets of a fact, as a withdraw names it.

    Reading ("withdraw"): the target of an edge or alias is either of its two, and that
    of an attribute's holder is the holder.
    """
    match fact:
        case Node() | OwnerSet() | Renewal() | ScopeSet() | Holds():
            return {fact.node}
        case Edge():
            return {fact.child, fact.parent}
        case Alias():
            return {fact.first, fact.second}
        case Cause() | Lift():
            return {fact.target}
        case _:
            return set()

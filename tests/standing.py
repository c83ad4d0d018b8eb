"""Which facts stand, with which times: the first half of the model.

Fact key: repeats of a fact are one fact, and the smallest clamped times over its
copies count. Withdraw and distrust take facts back. A register holds, per node and
authority, what was said with the highest version.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from agents_registry.facts import (
    FUTURE_TOLERANCE,
    SECOND,
    Cause,
    Distrust,
    Effect,
    Fact,
    Holds,
    Horizon,
    LabelSet,
    Lift,
    OwnerSet,
    Renewal,
    ScopeSet,
    Withdraw,
    fact_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agents_registry.identifiers import Identifier

F = TypeVar("F", OwnerSet, Renewal, ScopeSet, LabelSet)

same = lru_cache(maxsize=1 << 14)(fact_id)


@frozen
class Standing:
    """A fact that stands, with the times that its standing copies give it."""

    fact: Fact
    version: int
    uncertainty: int
    at: int = 0
    not_before: int = 0


@frozen
class Hit:
    """A node, and a cause in force on it or on an attribute that it holds."""

    node: Identifier
    stand: Standing
    cause: Cause


def standing(facts: Iterable[Fact]) -> list[Standing]:
    """Give what stands: not withdrawn, and one copy of it is trusted."""
    facts = list(facts)
    withdrawn = {f.fact_id for f in facts if isinstance(f, Withdraw)}
    distrusts = [f for f in facts if isinstance(f, Distrust)]
    copies: dict[bytes, list[Fact]] = defaultdict(list)
    for fact in facts:
        if isinstance(fact, Withdraw | Distrust) or refused(fact):
            continue
        if same(fact).hex() in withdrawn or any(forged(fact, d) for d in distrusts):
            continue
        copies[same(fact)].append(fact)
    return [smallest(of_one) for of_one in copies.values()]


def forged(fact: Fact, distrust: Distrust) -> bool:
    """Tell whether the suspect's key brought this copy then, both ends included."""
    return (
        (fact.authority, fact.ingress_key) == (distrust.suspect, distrust.suspect_key)
        and fact.received_at >= distrust.received_from
        and fact.received_at <= distrust.received_to
    )


def refused(fact: Fact) -> bool:
    """Tell whether this is a lift whose version lies too far ahead."""
    return isinstance(fact, Lift) and fact.version > fact.received_at + FUTURE_TOLERANCE


def clamped(fact: Fact) -> tuple[int, int]:
    """Give the version of a copy and how far it may be off.

    Times ahead: of causes and horizons, which limit, 5 min are believed; of all that
    may grant, nothing.
    """
    believed = FUTURE_TOLERANCE if isinstance(fact, Cause | Horizon) else 0
    if fact.version > fact.received_at + believed:
        return fact.received_at, 5 * SECOND
    return fact.version, 5 * SECOND if fact.stamped else 0


def smallest(copies: list[Fact]) -> Standing:
    """Give the fact with the smallest clamped times over its copies."""
    versions = [clamped(c) for c in copies]
    version = min(versions)[0]
    doubt = max(u for v, u in versions if v == version)
    causes = [c for c in copies if isinstance(c, Cause)]
    if not causes:
        return Standing(copies[0], version, doubt)
    at = min(min(c.at, c.received_at) for c in causes)
    claimed = [c.at if c.not_before is None else c.not_before for c in causes]
    marks = [min(t, c.received_at) for t, c in zip(claimed, causes, strict=True)]
    return Standing(copies[0], version, doubt, at, min(marks))


def lifted(cause: Standing, stand: list[Standing]) -> bool:
    """Tell whether some lift ends this suspend or narrow."""
    said = cause.fact
    assert isinstance(said, Cause)
    return said.effect in (Effect.SUSPEND, Effect.NARROW) and any(
        isinstance(lift.fact, Lift)
        and (lift.fact.authority, lift.fact.target, lift.fact.aspect)
        == (said.authority, said.target, said.aspect)
        and lift.version > cause.version + max(cause.uncertainty, lift.uncertainty)
        for lift in stand
    )


def in_force(
    stand: list[Standing], kind: type[F], keep: Callable[[F], bool] = lambda _: True
) -> dict[Identifier, list[list[F]]]:
    """Give per node, for each authority, its facts of the highest version."""
    registers: dict[tuple[Identifier, str], list[tuple[int, F]]] = defaultdict(list)
    for s in stand:
        if isinstance(s.fact, kind) and keep(s.fact):
            key = s.fact.node, s.fact.authority
            registers[key].append((s.version, s.fact))
    result: dict[Identifier, list[list[F]]] = defaultdict(list)
    for (node, _), written in registers.items():
        highest = max(version for version, _ in written)
        result[node].append([fact for v, fact in written if v == highest])
    return result


def hits(stand: list[Standing], now: int) -> Iterator[Hit]:
    """Give the causes in force with what they hit; attributes hit who holds them.

    Ends: a cause is over once the clock, which may be 2 s ahead, is past its end.
    """
    for s in stand:
        cause = s.fact
        if not isinstance(cause, Cause) or lifted(s, stand):
            continue
        if cause.until is not None and now - 2 * SECOND >= cause.until:
            continue
        yield Hit(cause.target, s, cause)
        for holder in stand:
            fact = holder.fact
            if (
                isinstance(fact, Holds)
                and fact.attribute == cause.target
                and holder.version <= s.version
            ):
                yield Hit(fact.node, s, cause)

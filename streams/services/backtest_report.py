"""What rules of containment would have done on history."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import frozen

from streams.model.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents_registry.identifiers import Identifier
    from streams.model.findings import FindingKind
    from streams.stages.containment.decision import ContainmentDecision
    from streams.stages.containment.rules import ContainmentRule


class LivingHit(NamedTuple):
    """What lived, and a rule would have denied.

    Attributes:
        uses: that were allowed while the rule's act would have stood; 0: it lives now,
            and uses are not known.
        first, last: of them (ns); 0 without uses.
        other: its owner is not that of what would have been contained.
        named: it is what the finding was about.
    """

    identifier: Identifier
    owner: str | None
    uses: int
    first: int
    last: int
    other: bool
    named: bool

    def plain(self) -> dict[str, Any]:
        """JSON-ready values."""
        times = {
            "first_use": rfc3339(self.first or None),
            "last_use": rfc3339(self.last or None),
        }
        return {
            "identifier": str(self.identifier), "owner": self.owner,
            "other_owner": self.other, "uses": self.uses, **times,
        }  # fmt: skip


@frozen
class WouldContain:
    """A decision to contain, what it was about, and what it would have hit.

    Attributes:
        unasked: number of names below it that nobody looked at.
    """

    decision: ContainmentDecision
    about: Identifier
    hits: tuple[LivingHit, ...]
    unasked: int = 0

    @property
    def bystanders(self) -> tuple[LivingHit, ...]:
        """What would have been hit beside the name that the finding was about."""
        return tuple(hit for hit in self.hits if not hit.named)

    def plain(self) -> dict[str, Any]:
        """JSON-ready values."""
        decision = self.decision
        return {
            "target": str(decision.target),
            "finding": decision.kind,
            "about": str(self.about),
            "at": rfc3339(decision.at),
            "until": rfc3339(decision.until),
            "reach": decision.reach,
            "uses_of_it": sum(hit.uses for hit in self.hits if hit.named),
            "living": [hit.plain() for hit in self.bystanders],
            "not_asked": self.unasked,
        }


@frozen
class RuleReport:
    """What one rule would have done.

    Attributes:
        results: number of decisions by their result.
        untold: what the rule goes by and this history does not tell: kinds of
            findings, points, labels.
    """

    rule: ContainmentRule
    results: Counter[str]
    contained: tuple[WouldContain, ...]
    untold: tuple[str, ...]

    @property
    def living(self) -> int:
        """Number of bystanders that it would have hit, each act for itself."""
        return sum(len(one.bystanders) for one in self.contained)

    @property
    def unasked(self) -> int:
        """Number of names that nobody looked at, each act for itself."""
        return sum(one.unasked for one in self.contained)

    def plain(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "rule": self.rule.name,
            "mode": self.rule.mode.value,
            "contain": self.rule.contain.value,
            "results": dict(self.results),
            "contained": [one.plain() for one in self.contained],
            "living": self.living,
            "not_asked": self.unasked,
            "not_told": list(self.untold),
        }


def reported(
    rule: ContainmentRule,
    decided: Iterable[tuple[Identifier, ContainmentDecision]],
    hits: Mapping[str, tuple[LivingHit, ...]],
    told: frozenset[FindingKind],
    without: tuple[str, ...],
    unasked: Mapping[str, int] = MappingProxyType({}),
) -> RuleReport:
    """Report of one rule.

    Args:
        rule: the rule.
        decided: decisions of all rules, each with what its finding was about.
        hits: by the key of a decision.
        told: kinds of findings that the history tells of.
        without: filters of rules that the history tells nothing of.
        unasked: number of names that nobody looked at, by the key of a decision.
    """
    untold = [each.value for each in rule.kinds - told]
    untold += [name for name in without if getattr(rule, name)]
    ours = [pair for pair in decided if pair[1].rule == rule.name]
    return RuleReport(
        rule=rule,
        results=Counter(each.result.value for _, each in ours),
        contained=tuple(
            WouldContain(each, about, hits.get(each.key, ()), unasked.get(each.key, 0))
            for about, each in ours
            if each.contains
        ),
        untold=tuple(sorted(untold)),
    )

"""What rules ask of a table that stands still: each answer is found once.

On history a rule asks about the same few names for each of very many findings.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import methodcaller
from typing import TYPE_CHECKING, Final

from attrs import define, field

from agents_registry.death import Fate
from agents_registry.deaths import Deaths
from agents_registry.facts import Effect
from agents_registry.presentation import Presented, is_credential
from agents_registry.steps import finish
from streams.stages.containment.containment import reach_of
from streams.stages.containment.subjects import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.model.findings import Finding
    from streams.stages.containment.rules import ContainedName, ContainmentRule

_FINAL: Final = (Effect.REVOKE, Effect.NOT_BEFORE)

# What decides on the name of a finding that a rule contains.
_Subject = tuple["Identifier", "ContainedName", bool, "str | None"]
# With that name, a time (ns), and whether it had ended for good by then.
SharedAnswer = tuple[_Subject, "Identifier | None", int, "bool | None"]


@define(eq=False)
class _NameEnds:
    """When a name has ended for good: the same between two turning points.

    Attributes:
        turns: sorted times (ns).
        between: answers, by how many turns lie before.
    """

    turns: list[int]
    between: dict[int, bool] = field(factory=dict)


@define(eq=False)
class BacktestAnswers:
    """Answers of a table that does not change meanwhile."""

    _deaths: Deaths | None = None
    _reach: dict[tuple[Identifier, int], int] = field(factory=dict)
    _ends: dict[Identifier, _NameEnds] = field(factory=dict)
    _subjects: dict[_Subject, Identifier | None] = field(factory=dict)
    _ended: dict[tuple[Identifier, int], bool] = field(factory=dict)

    def shared(
        self,
        rules: Sequence[ContainmentRule],
        findings: Iterable[Finding],
        registry: Registry,
        share: int,
        shares: int,
    ) -> list[SharedAnswer]:
        """Answers that rules will ask for, of a share of what findings speak of."""
        found: dict[SharedAnswer, None] = {}
        for finding in findings:
            if hash(finding.presented) % shares != share:
                continue
            at = finding.first_seen
            for rule in filter(methodcaller("wants", finding), rules):
                target, ended = self.subject(finding, rule, registry), None
                if target is not None:
                    ended = finish(self.ended(registry, target, at))
                found[_subject_key(finding, rule), target, at, ended] = None
        return list(found)

    def take(self, answers: Iterable[SharedAnswer]) -> None:
        """Take up the answers of all shares."""
        for key, target, at, ended in answers:
            self._subjects[key] = target
            if target is not None and ended is not None:
                self._ended[target, at] = ended

    def reach(self, registry: Registry, name: Identifier, limit: int) -> Steps[int]:
        """Count what ending a name may reach, as the stage does."""
        key = (name, limit)
        if key not in self._reach:
            self._reach[key] = yield from reach_of(registry, name, limit)
        return self._reach[key]

    def subject(
        self, finding: Finding, rule: ContainmentRule, registry: Registry
    ) -> Identifier | None:
        """Find the name of a finding that a rule contains."""
        key = _subject_key(finding, rule)
        if key not in self._subjects:
            self._subjects[key] = subject_of(finding, rule, registry)
        return self._subjects[key]

    def ended(self, registry: Registry, name: Identifier, at: int) -> Steps[bool]:
        """Whether a name had ended for good at a time, whatever came later."""
        told = self._ended.get((name, at))
        if told is not None:
            return told
        known, fate = self._ends.get(name), None
        if known is None:
            fate = Fate(registry, name)
            causes = yield from fate.causes_above()
            turns = sorted(registry.causes.turning_points(causes))
            known = self._ends[name] = _NameEnds(turns)
        place = bisect_right(known.turns, at)
        if place not in known.between:
            final = self._first_is_final(registry, name, at)
            if final is None:
                causing = (fate or Fate(registry, name)).causing(at=at, inclusive=True)
                final = any(each.effect in _FINAL for each in (yield from causing))
            known.between[place] = final
        return known.between[place]

    def _first_is_final(
        self, registry: Registry, name: Identifier, at: int
    ) -> bool | None:
        """Whether what ended a name first did for good; None: others might have.

        What is above a credential is joined once for all that hang on it.
        """
        if not is_credential(registry, name):
            return None
        if self._deaths is None:
            self._deaths = Deaths(registry, inclusive=True)
        dying = self._deaths.of(Presented((name,)))
        death = None if dying is None else dying(at)
        if death is not None and death.cause.effect not in _FINAL:
            return None
        return death is not None


def _subject_key(finding: Finding, rule: ContainmentRule) -> _Subject:
    return finding.presented, rule.contain, bool(rule.points), finding.agent

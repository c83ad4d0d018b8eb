"""The stage: a finding and the table in, decisions of the rules out.

`decide` changes nothing, so a walk that is disturbed may be done again. Whoever has
made a decision durable gives it back to `take`, and only then it counts for the rate,
for what is contained already, and for what was decided before.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from attrs import define, field

from agents_registry.facts import HOUR
from agents_registry.inventory import affected
from agents_registry.lineage import NONE
from streams.model.times import DAY
from streams.stages.containment.decision import (
    ContainmentDecision,
    ContainmentResult,
    key_of,
)
from streams.stages.containment.rules import ON_WORD, ContainmentMode
from streams.stages.containment.subjects import labelled, subject_of
from streams.stages.ingest.entitlement import CONTAINMENT
from streams.stages.sentinel.finding_lifetime import denied_for_good

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.model.findings import Finding
    from streams.stages.containment.rules import ContainmentRule

KEPT: Final = 90 * DAY  # an act; longer than a finding that nobody hears of
NOTED: Final = 7 * DAY  # where nothing was done; then a finding is decided anew
MOST_NOTED: Final = 10_000  # of these together; the oldest go first
CROWDED: Final = MOST_NOTED + 1000


def reach_of(registry: Registry, target: Identifier, limit: int) -> Steps[int]:
    """Count what ending a name may reach beside it, to one above a limit."""
    count = 0
    for _ in affected(registry, target):
        yield
        count += 1
        if count > limit:
            break
    return count


@define(eq=False)
class Containment:
    """Rules, and what they have decided.

    Attributes:
        rules: in the order of the settings; each decides for itself.
        ended: tells whether a name has ended for good by a time (ns).
        reach: counts what ending a name may reach beside it, to one above a limit.
        speaks: tells whether an authority is entitled to a name.
        subject: finds the name of a finding that a rule contains.
    """

    rules: tuple[ContainmentRule, ...]
    _ended: Callable[[Registry, Identifier, int], Steps[bool]] = denied_for_good
    _reach: Callable[[Registry, Identifier, int], Steps[int]] = reach_of
    _speaks: Callable[[str, Identifier], bool] = lambda *_: True
    _subject: Callable[[Finding, ContainmentRule, Registry], Identifier | None] = (
        subject_of
    )
    _decided: dict[str, ContainmentDecision] = field(factory=dict, init=False)
    _of_target: dict[tuple[str, Identifier], list[ContainmentDecision]] = field(
        factory=lambda: defaultdict(list), init=False
    )
    _noted: int = field(default=0, init=False)
    _acted: dict[str, list[int]] = field(factory=lambda: defaultdict(list), init=False)

    def take(self, decision: ContainmentDecision) -> None:
        """Note a decision that is durable."""
        known = self._decided.get(decision.key)
        self._decided[decision.key] = decision
        self._noted += known is None and not decision.contains
        if known is not None or not decision.contains or decision.target is None:
            return
        self._of_target[decision.rule, decision.target].append(decision)
        insort(self._acted[decision.rule], decision.at)

    def wanted(self, finding: Finding) -> bool:
        """Whether a rule has to decide on a finding."""
        return any(True for _ in self._open(finding))

    def decide(
        self, finding: Finding, registry: Registry, now: int
    ) -> Steps[list[ContainmentDecision]]:
        """Decisions of the rules that want a finding and had not decided on it."""
        found = []
        for rule in self._open(finding):
            decision = yield from self._decision(rule, finding, registry, now)
            if decision is not None:
                found.append(decision)
        return found

    @property
    def is_crowded(self) -> bool:
        """Whether so many are kept that did nothing that the oldest are to go."""
        return self._noted > CROWDED

    def old(self, now: int) -> Iterator[str | None]:
        """Yield names of decisions that nobody needs any more, None for others."""
        beyond = self._noted - MOST_NOTED
        for each in list(self._decided.values()):  # the oldest first
            over = not each.contains and beyond > 0
            beyond -= over
            is_old = over or now - each.at > _kept(each)
            yield each.key if each.done and is_old else None

    def forget(self, names: Iterable[str], now: int) -> None:
        """Let go of decisions, and of acts that count for no rate any more."""
        for name in names:
            gone = self._decided.pop(name)
            self._noted -= not gone.contains
            if gone.contains and gone.target is not None:
                of = self._of_target[gone.rule, gone.target]
                of[:] = [one for one in of if one.key != gone.key]
        for rule, times in self._acted.items():
            self._acted[rule] = [at for at in times if now - at < HOUR]

    def _open(self, finding: Finding) -> Iterator[ContainmentRule]:
        return (
            rule
            for rule in self.rules
            if rule.wants(finding)
            and key_of(rule.name, finding.id) not in self._decided
        )

    def _decision(
        self, rule: ContainmentRule, finding: Finding, registry: Registry, now: int
    ) -> Steps[ContainmentDecision | None]:
        target = self._subject(finding, rule, registry)
        result, reach, limit = ContainmentResult.UNNAMED, 0, 0
        if target is not None:
            if rule.labels and not (yield from labelled(target, rule.labels, registry)):
                return None
            result = ContainmentResult.UNTRUSTED
            if self._believed(rule, finding):
                result, reach, limit = yield from self._judged(
                    rule, target, registry, now
                )
        return ContainmentDecision(
            rule=rule.name,
            mode=rule.mode,
            finding=finding.id,
            kind=finding.kind.value,
            target=target,
            result=result,
            effect=rule.effect,
            scopes=rule.scopes,
            reach=reach,
            limit=limit,
            at=now,
            until=None if rule.lasts is None else now + rule.lasts,
        )

    def _believed(self, rule: ContainmentRule, finding: Finding) -> bool:
        """Whether who tells of a finding may have something contained by it."""
        authority = finding.authority
        if finding.kind not in ON_WORD or authority in rule.authorities:
            return True
        return authority is not None and self._speaks(authority, finding.presented)

    def _judged(
        self, rule: ContainmentRule, target: Identifier, registry: Registry, now: int
    ) -> Steps[tuple[ContainmentResult, int, int]]:
        """Return what a rule decides on a name, the reach, and the limit it is over."""
        if (yield from self._ended(registry, target, now)):
            return ContainmentResult.ENDED, 0, 0
        if was_lifted(registry, target, rule.name) or self._was_withdrawn(
            rule, target, registry, now
        ):
            if not rule.after_lift:
                return ContainmentResult.LIFTED, 0, 0
        elif self._contained(rule, target, now):
            return ContainmentResult.ALREADY, 0, 0
        reach = yield from self._reach(registry, target, rule.blast_limit)
        if reach > rule.blast_limit:
            return ContainmentResult.OVER_BLAST_LIMIT, reach, rule.blast_limit
        acted = self._acted[rule.name]
        if len(acted) - bisect_right(acted, now - HOUR) >= rule.per_hour:
            return ContainmentResult.OVER_RATE, reach, rule.per_hour
        return ContainmentResult.CONTAINED, reach, 0

    def _was_withdrawn(
        self, rule: ContainmentRule, target: Identifier, registry: Registry, now: int
    ) -> bool:
        """Whether what a rule put on a name is there no more, before its end."""
        ours = self._of_target.get((rule.name, target), ())
        written = [
            each
            for each in ours
            if each.mode is ContainmentMode.ENFORCE
            and self._decided[each.key].done
            and (each.until is None or each.until > now)
        ]
        return bool(written) and not causes_of(registry, target, rule.name)

    def _contained(self, rule: ContainmentRule, target: Identifier, now: int) -> bool:
        """Whether a rule contains a name now, in the mode that it has."""
        return any(
            each.mode is rule.mode and (each.until is None or each.until > now)
            for each in self._of_target.get((rule.name, target), ())
        )


def _kept(decision: ContainmentDecision) -> int:
    """Time for which a decision is needed (ns)."""
    if not decision.contains:
        return NOTED
    return KEPT if decision.until is not None else 1 << 62


def causes_of(registry: Registry, target: Identifier, rule: str) -> list[RecordedCause]:
    """Causes that a rule put on a name, and that nobody withdrew."""
    node = registry.lineage.find(target)
    return [
        each
        for each in (() if node == NONE else registry.causes.on(node))
        if each.authority == CONTAINMENT and each.aspect == rule
    ]


def was_lifted(registry: Registry, target: Identifier, rule: str) -> bool:
    """Whether an operator lifted what a rule put on a name, and nothing came after."""
    ours = causes_of(registry, target, rule)
    return bool(ours) and not any(map(registry.causes.in_force, ours))

"""Containment rules on history: what each would have done, and what it would have hit.

Built on `hunt`: whole logs in, judged when all is read. Findings are made of the logs
as the sentinel would have made them, each at the first moment that bears it out; the
rules decide on them in that order, with the table of the logs. Then each decision to
contain is put into the table, and uses are judged again: what was allowed, lived then
and would have been denied is what the rule would have hit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import define, evolve

from agents_registry.deaths import Deaths
from agents_registry.facts import Cause, Effect, Lift
from agents_registry.identifiers import Identifier
from agents_registry.inventory import affected, excess_scopes
from agents_registry.lineage import KNOWN, UNKNOWN_TIME
from agents_registry.steps import finish
from streams.model.findings import SEVERITY, Finding, FindingKind, episode_id
from streams.model.times import ABSURD
from streams.services.backtest_answers import BacktestAnswers
from streams.services.backtest_report import LivingHit, RuleReport, reported
from streams.services.hunt import REALM, Hunt
from streams.services.hunt_excerpts import DENIED
from streams.stages.access.agent_kinds import ActingKinds
from streams.stages.access.uses import seen
from streams.stages.containment.containment import Containment
from streams.stages.ingest.entitlement import CONTAINMENT
from streams.stages.ingest.ingress import Origin
from streams.stages.sentinel.acting import acting_agent, is_declared
from streams.stages.sentinel.observations import owner_among

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from agents_registry.identifiers import NodeClass
    from streams.model.records import Access, Lifecycle
    from streams.services.hunt import Report
    from streams.services.hunt_findings import Reuse
    from streams.stages.containment.decision import ContainmentDecision
    from streams.stages.containment.rules import ContainmentRule

# The kinds that logs alone bear out; of others the points and the settings decide.
TOLD_BY_LOGS: Final = frozenset({
    FindingKind.USE_AFTER_REVOCATION, FindingKind.BLOCKED_ATTEMPT, FindingKind.LEAK,
    FindingKind.UNKNOWN_AGENT, FindingKind.UNKNOWN_CREDENTIAL,
    FindingKind.SCOPE_ESCALATION,
})  # fmt: skip
_NEVER: Final = int(np.iinfo(np.int64).max)


@define(eq=False)
class _Hit:
    uses: int = 0
    first: int = _NEVER
    last: int = 0

    def add(self, time: int, times: int) -> None:
        self.uses += times
        self.first, self.last = min(self.first, time), max(self.last, time)

    @property
    def plain(self) -> tuple[int, int, int]:
        return self.uses, self.first, self.last


class Backtest(Hunt):
    """Collect excerpts of logs as a hunt does, then test rules on them."""

    def __init__(
        self,
        vocabulary: Mapping[str, NodeClass] | None = None,
        *,
        issuer_logs: bool = True,
        acting: ActingKinds | None = None,
    ) -> None:
        """Start empty.

        Args:
            vocabulary: kind to class.
            issuer_logs: who owns the logs issues what is used in them, as for vendors'
                logs; not so for those of a gateway.
            acting: which kinds act.
        """
        super().__init__(vocabulary)
        self._issuer_logs = issuer_logs
        self._acting = acting or ActingKinds()
        self._leaks: list[Lifecycle] = []
        self._lines: list[Access] = []  # one of each caller, without times

    def test(self, rules: Sequence[ContainmentRule]) -> tuple[Report, list[RuleReport]]:
        """Have rules decide on what the logs tell; the table is changed by it."""
        self._complete()  # before a fork has a part of it
        wanted = frozenset().union(*(rule.kinds for rule in rules))
        with self.beside(partial(self._of_unknown, wanted)) as unknown:
            report = self.report()
            found = [*self._findings(report, wanted), *unknown()]
        findings = sorted(found, key=lambda f: (f.first_seen, f.id))
        decided = self._decide(rules, findings)
        hits = self._hits([pair for pair in decided if pair[1].contains])
        return report, [
            reported(rule, decided, hits, TOLD_BY_LOGS, ("labels", "points"))
            for rule in rules
        ]

    def _lifecycle(self, record: Lifecycle) -> None:
        if record.effect == "leak" and record.identifiers:
            self._leaks.append(record)
        super()._lifecycle(record)

    def _lineage(self, record: Access) -> None:
        self._lines.append(record)
        super()._lineage(record)

    def _origin(self, source: str) -> Origin:
        return evolve(super()._origin(source), issuer_log=self._issuer_logs)

    def _findings(
        self, report: Report, wanted: frozenset[FindingKind]
    ) -> Iterator[Finding]:
        sources = {each.id: each.source for each in report.causes}
        yield from (
            self._of_use(each, sources)
            for each in report.findings
            if each.kind in wanted
        )
        if FindingKind.LEAK in wanted:
            yield from map(self._of_leak, self._leaks)
        if FindingKind.SCOPE_ESCALATION in wanted:
            yield from self._of_scopes()

    def _of_use(self, reuse: Reuse, sources: Mapping[str, str]) -> Finding:
        cause = reuse.death.cause
        return self._finding(
            reuse.kind,
            reuse.identifiers[0],
            reuse.first.time,
            authority=sources.get(cause.fact_id),
            path=reuse.death.path,
            last_seen=reuse.last.time,
            count=reuse.count,
        )

    def _of_leak(self, record: Lifecycle) -> Finding:
        at = 0 if record.occurred_at is None else record.occurred_at
        name = record.identifiers[0]
        return self._finding(FindingKind.LEAK, name, at, authority=record.source)

    def _of_unknown(self, wanted: frozenset[FindingKind]) -> list[Finding]:
        """Return findings on agents and credentials that acted and nobody declared."""
        if not wanted & {FindingKind.UNKNOWN_AGENT, FindingKind.UNKNOWN_CREDENTIAL}:
            return []
        firsts = self._first_uses()
        told: dict[tuple[FindingKind, Identifier], Finding] = {}
        classes = self.registry.lineage.vocabulary

        @cache
        def acts(kind: str) -> bool:
            return self._acting.acts(kind, "", classes)

        @cache
        def known(name: Identifier) -> bool:
            return is_declared(self.registry, name)

        anybody = self._acts_undeclared(acts)
        for line in self._lines:
            at = firsts.get(line.identifiers)
            mine = [line.identifiers[0], *(a for a in line.actor if acts(a.kind))]
            # Most logs declare whoever acts in them: then nobody has to be looked for.
            if at is None or (not anybody and all(map(known, mine))):
                continue
            use = seen(line, point="", received_at=at)
            agent = acting_agent(use, self.registry, acts)
            kind, name = FindingKind.UNKNOWN_AGENT, agent
            if agent is None:
                kind, name = FindingKind.UNKNOWN_CREDENTIAL, line.identifiers[0]
            if name is None or known(name):
                continue
            earlier = told.get((kind, name))
            if earlier is None or at < earlier.first_seen:
                told[kind, name] = self._finding(kind, name, at)
        return [each for each in told.values() if each.kind in wanted]

    def _acts_undeclared(self, acts: Callable[[str], bool]) -> bool:
        """Whether the table has a name that acts and that nobody declared."""
        lineage = self.registry.lineage
        return any(
            acts(lineage.kind(node)) and not lineage.flags[node] & KNOWN
            for node in range(len(lineage))
        )

    def _of_scopes(self) -> Iterator[Finding]:
        lineage = self.registry.lineage
        for child, _, _ in excess_scopes(self.registry):
            issued = lineage.issued[lineage.find(child)]
            at = 0 if issued == UNKNOWN_TIME else issued
            yield self._finding(FindingKind.SCOPE_ESCALATION, child, at)

    def _finding(
        self, kind: FindingKind, presented: Identifier, at: int, **more: object
    ) -> Finding:
        values: dict[str, object] = {
            "owner": owner_among((presented,), self.registry),
            "last_seen": at,
        }
        return Finding(
            id=episode_id(REALM, presented, kind, str(at)),
            kind=kind,
            severity=SEVERITY[kind],
            realm=REALM,
            presented=presented,
            first_seen=at,
            message="",
            **values | more,  # type: ignore[arg-type]
        )

    def _decide(
        self, rules: Sequence[ContainmentRule], findings: Sequence[Finding]
    ) -> list[tuple[Identifier, ContainmentDecision]]:
        known = BacktestAnswers()
        known.take(self.spread(partial(known.shared, rules, findings, self.registry)))
        stage = Containment(
            tuple(rules), ended=known.ended, reach=known.reach, subject=known.subject
        )
        decided: list[tuple[Identifier, ContainmentDecision]] = []
        for finding in findings:
            for each in finish(
                stage.decide(finding, self.registry, finding.first_seen)
            ):
                stage.take(each)
                decided.append((finding.presented, each))
        return decided

    def _first_uses(self) -> dict[tuple[Identifier, ...], int]:
        """Time of the first use that was not refused, by what was presented (ns)."""
        first = np.full(len(self._presented), _NEVER)
        for _, who, times in self._allowed():
            np.minimum.at(first, who, times)
        found: dict[tuple[Identifier, ...], int] = {}
        for each, at in zip(self._presented, first.tolist(), strict=True):
            if at < found.get(each.identifiers, _NEVER):
                found[each.identifiers] = at
        return found

    def _allowed(self) -> Iterator[tuple[int, NDArray[np.int32], NDArray[np.int64]]]:
        """Yield what was presented when, block by block; no refusals, no repeats."""
        for number, (block, who) in enumerate(self._uses.kept(self._repeated)):
            outcomes = self._uses.column(block, "outcomes")
            rows = np.flatnonzero((who >= 0) & (outcomes != DENIED))
            yield number, who[rows], self._uses.column(block, "times")[rows]

    def _hits(
        self, decided: list[tuple[Identifier, ContainmentDecision]]
    ) -> dict[str, tuple[LivingHit, ...]]:
        """Find uses that each decision would have denied, of what lived without it."""
        contained = [each for _, each in decided]
        below = self._reached(contained)
        within = self._living_within(contained, below)
        for each in contained:
            for fact in _facts_of(each):
                self.registry.apply(fact)
        after, presented = Deaths(self.registry), list(self._presented)
        found: dict[str, tuple[LivingHit, ...]] = {}
        for number, uses in within.items():
            decision, hits = contained[number], dict[Identifier, _Hit]()
            for (place, time), times in uses.items():
                dying = after.of(presented[place])
                if dying is not None and dying(time) is not None:
                    hit = hits.setdefault(presented[place].identifiers[0], _Hit())
                    hit.add(time, times)
            found[decision.key] = tuple(
                self._living(name, hit, decision, decided[number][0])
                for name, hit in hits.items()
            )
        return found

    def _reached(self, contained: list[ContainmentDecision]) -> dict[int, list[int]]:
        """Places of what is presented, and the decisions that may reach it."""
        of_name: dict[Identifier, list[int]] = defaultdict(list)
        for number, each in enumerate(contained):
            if each.target is not None:
                of_name[each.target].append(number)
                for name, _ in affected(self.registry, each.target):
                    of_name[name].append(number)
        found: dict[int, list[int]] = {}
        for place, presented in enumerate(self._presented):
            names = presented.identifiers
            numbers = {n for name in names for n in of_name.get(name, ())}
            if numbers:
                found[place] = sorted(numbers)
        return found

    def _living_within(
        self, contained: list[ContainmentDecision], below: Mapping[int, list[int]]
    ) -> dict[int, Counter[tuple[int, int]]]:
        """Count uses of what lived while a decision stood, by place and time."""
        lived, presented = Deaths(self.registry), list(self._presented)
        dying = {place: lived.of(presented[place]) for place in below}
        mask = np.zeros(len(presented), bool)
        mask[list(below)] = True
        found: dict[int, Counter[tuple[int, int]]] = defaultdict(Counter)
        for _, who, times in self._allowed():
            rows = np.flatnonzero(mask[who])
            pairs = zip(who[rows].tolist(), times[rows].tolist(), strict=True)
            for place, time in pairs:
                ends = dying[place]
                if ends is not None and time >= ends.first and ends(time) is not None:
                    continue
                for number in below[place]:
                    if _stands(contained[number], time):
                        found[number][place, time] += 1
        return found

    def _living(
        self,
        name: Identifier,
        hit: _Hit,
        decision: ContainmentDecision,
        about: Identifier,
    ) -> LivingHit:
        target = decision.target or about
        owner, own = (owner_among((one,), self.registry) for one in (name, target))
        other = owner is not None and owner != own and owner != str(target)
        return LivingHit(name, owner, *hit.plain, other, name == about)


def _stands(decision: ContainmentDecision, time: int) -> bool:
    return decision.at < time and (decision.until is None or time < decision.until)


def _facts_of(decision: ContainmentDecision) -> Iterator[Cause | Lift]:
    """Facts that enforce a decision, and end it at its time; a narrow as a suspend."""
    if decision.target is None:
        return
    said: dict[str, Any] = {
        "authority": CONTAINMENT,
        "event_id": decision.key,
        "received_at": ABSURD,
    }
    yield Cause(
        **said,
        version=decision.at,
        target=decision.target,
        effect=Effect.SUSPEND,
        at=decision.at,
        aspect=decision.key,
    )
    if decision.until is not None:
        yield Lift(
            **said, version=decision.until, target=decision.target, aspect=decision.key
        )

"""Containment rules on the findings that a server keeps.

The table stays at the server, so it is asked what hangs on a name that would be
contained, and what of that lives now. What used it then only logs tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import define, field, fields

from agents_registry.facts import Edge
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.model.findings import Finding
from streams.model.times import parse_time
from streams.services.backtest_report import LivingHit, RuleReport, reported
from streams.stages.containment.containment import Containment
from streams.stages.containment.rules import CONTAINABLE
from streams.stages.containment.subjects import subject_of
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.acting import named_agent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agents_registry.identifiers import NodeClass
    from streams.stages.containment.decision import ContainmentDecision
    from streams.stages.containment.rules import ContainmentRule

PAGE: Final = 1000
MOST_ASKED: Final = 100  # names below one that would be contained
_SAID: Final[dict[str, Any]] = {"authority": "server", "version": 1, "received_at": 1}
_TIMES: Final = ("first_seen", "last_seen", "cause_at")
# What a list says beside the finding itself is left out, also that of a newer server.
_OF_FINDING: Final = frozenset(each.name for each in fields(Finding))


class Asking(Protocol):
    """Asks a server's API."""

    def get(self, path: str, name: str = "", **query: object) -> dict[str, Any]:
        """Answer to ``/v1/path/name?query``."""
        ...


@define(eq=False)
class ToldFindings:
    """The findings of a server since a time (ns), and what it tells of names."""

    _server: Asking
    _since: int
    _vocabulary: Mapping[str, NodeClass]
    _registry: Registry = field(init=False)
    _below: dict[Identifier, list[Identifier]] = field(factory=dict, init=False)

    @_registry.default
    def _empty(self) -> Registry:
        return Registry(self._vocabulary)

    def test(self, rules: Sequence[ContainmentRule]) -> tuple[int, list[RuleReport]]:
        """Have rules decide on the findings; give how many there are, and reports."""
        findings = sorted(self._findings(), key=lambda f: (f.first_seen, f.id))
        stage = Containment(tuple(rules))
        decided: list[tuple[Identifier, ContainmentDecision]] = []
        for finding in findings:
            if not stage.wanted(finding):
                continue
            self._learn(finding, rules)
            for each in finish(
                stage.decide(finding, self._registry, finding.first_seen)
            ):
                stage.take(each)
                decided.append((finding.presented, each))
        acts = [(about, each) for about, each in decided if each.contains]
        hits = {each.key: tuple(self._living(each, about)) for about, each in acts}
        unasked = {each.key: self._unasked(each) for _, each in acts}
        return len(findings), [
            reported(rule, decided, hits, CONTAINABLE, ("labels",), unasked)
            for rule in rules
        ]

    def _findings(self) -> Iterator[Finding]:
        after = 0
        while True:
            answer = self._server.get("findings", after=after, limit=PAGE)
            for plain in answer["findings"]:
                finding = _read(plain)
                if finding.last_seen >= self._since:
                    yield finding
            if len(answer["findings"]) < PAGE:
                return
            after = answer["after"]

    def _learn(self, finding: Finding, rules: Sequence[ContainmentRule]) -> None:
        """Put into the table what a finding tells of lineage, and what hangs below."""
        for below, above in zip(finding.path, finding.path[1:], strict=False):
            self._hang(below, above)
        agent = named_agent(finding.agent)
        if agent is not None and agent not in finding.path:
            self._hang(finding.presented, agent)
        for rule in rules:
            target = subject_of(finding, rule, self._registry)
            if rule.wants(finding) and target is not None:
                for name in self._hanging_on(target):
                    self._hang(name, target)

    def _hang(self, below: Identifier, above: Identifier) -> None:
        if below != above:
            self._registry.apply(Edge(**_SAID, child=below, parent=above))

    def _hanging_on(self, target: Identifier) -> list[Identifier]:
        if target not in self._below:
            answer = self._server.get("blast-radius", str(target), limit=100_000)
            self._below[target] = [
                Identifier.parse(name) for name, _ in answer["identifiers"]
            ]
        return self._below[target]

    def _unasked(self, decision: ContainmentDecision) -> int:
        """Count the names below a decision that are not asked for."""
        below = () if decision.target is None else self._hanging_on(decision.target)
        return max(0, len(below) - MOST_ASKED)

    def _living(
        self, decision: ContainmentDecision, about: Identifier
    ) -> Iterator[LivingHit]:
        target = decision.target
        if target is None:
            return
        for name in self._hanging_on(target)[:MOST_ASKED]:
            if name != about and self._server.get("why", str(name))["allowed"]:
                yield LivingHit(name, None, 0, 0, 0, other=False, named=False)


def _read(plain: dict[str, Any]) -> Finding:
    values = {name: value for name, value in plain.items() if name in _OF_FINDING}
    for name in _TIMES:
        values[name] = parse_time(values[name])
    return saved_episodes.from_plain(values)

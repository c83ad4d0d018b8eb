"""What an operator sets for containment: rules on findings, each with its limits.

``containment: {leaked: {findings: [leak], contain: credential, for: 2h}}``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from agents_registry.facts import Effect
from streams.model.findings import FindingKind, Severity
from streams.model.selectors import label
from streams.model.strict import Strict
from streams.model.times import duration
from streams.stages.containment.rules import (
    CONTAINABLE,
    ContainedName,
    ContainmentMode,
    ContainmentRule,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents_registry.identifiers import Identifier

Pattern = Annotated[str, Field(min_length=1, max_length=128)]
RuleName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]


class ContainmentSettings(Strict):
    """One rule: on which findings it acts, what it contains, for how long.

    Attributes:
        findings: kinds of findings that the rule is about.
        contain: what of a finding: the credential that it is about, the nearest agent
            above it, or the nearest principal.
        mode: shadow records what would be done, warn also makes a finding, enforce
            also suspends or narrows.
        effect: suspend, or narrow to `scopes`.
        scopes: scopes that a narrow leaves; an empty list leaves none.
        for_: time after which the suspend ends by itself, such as 30m, 2h or 1d.
        until_lifted: in place of `for`: the suspend stays until an operator lifts it.
        blast_limit: number of identifiers, as in ``rescind blast-radius``; what reaches
            more is not contained, and there is a finding.
        per_hour: most acts of the rule in an hour; beyond them nothing is contained,
            and there is a finding.
        authorities: only findings on the word of these, which are believed on any name.
        identifiers: only findings about these kinds, ``*`` for any part.
        points: only findings at these enforcement points, ``*`` for any part; their
            logs are believed on which agent acted.
        labels: only what has all of these labels, KEY=VALUE, or hangs on it.
        minimum_severity: only findings of this severity and above, 1 to 5.
        after_lift: a later finding contains again what an operator lifted.
    """

    findings: frozenset[FindingKind] = Field(min_length=1)
    contain: Literal["credential", "agent", "principal"]
    mode: Literal["shadow", "warn", "enforce"] = "shadow"
    effect: Literal["suspend", "narrow"] = "suspend"
    scopes: tuple[str, ...] = ()
    for_: str | None = Field(default=None, alias="for")
    until_lifted: bool = False
    blast_limit: int = Field(default=20, ge=0, le=100_000)
    per_hour: int = Field(default=5, ge=1, le=1000)
    authorities: frozenset[str] = frozenset()
    identifiers: tuple[Pattern, ...] = ()
    points: tuple[Pattern, ...] = ()
    labels: tuple[str, ...] = ()
    minimum_severity: int = Field(default=1, ge=1, le=5)
    after_lift: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if strange := self.findings - CONTAINABLE:
            known = ", ".join(sorted(each.value for each in CONTAINABLE))
            named = ", ".join(sorted(each.value for each in strange))
            raise ValueError(f"{named} names nothing to contain: use {known}")
        if (self.for_ is None) is not self.until_lifted:
            raise ValueError("set either for, such as 2h, or until_lifted: true")
        if self.for_ is not None:
            duration(self.for_)
        for text in self.labels:
            _label(text)
        if self.scopes and self.effect != "narrow":
            raise ValueError("scopes is for effect: narrow alone")
        return self

    def rule(self, name: str) -> ContainmentRule:
        """Rule, as the stage takes it."""
        return ContainmentRule(
            name=name,
            kinds=self.findings,
            contain=ContainedName(self.contain),
            mode=ContainmentMode(self.mode),
            effect=Effect(self.effect),
            scopes=self.scopes,
            lasts=None if self.for_ is None else duration(self.for_),
            blast_limit=self.blast_limit,
            per_hour=self.per_hour,
            authorities=self.authorities,
            identifiers=self.identifiers,
            points=self.points,
            labels=tuple(map(_label, self.labels)),
            minimum_severity=Severity(self.minimum_severity),
            after_lift=self.after_lift,
        )


def rules_of(
    settings: Mapping[str, ContainmentSettings],
) -> tuple[ContainmentRule, ...]:
    """Rules by their names, in the order of the settings."""
    return tuple(each.rule(name) for name, each in settings.items())


def _label(text: str) -> Identifier:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r:.80} is no label: write KEY=VALUE")
    return label(key, value)

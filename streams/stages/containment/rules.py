"""Rules of containment: which findings they want, and what they contain.

Pure: a rule looks at the finding alone. What it names is looked up in the table by
`streams.stages.containment.subjects`.
"""

from __future__ import annotations

from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agents_registry.facts import Effect
from streams.model.findings import FindingKind, Severity
from streams.stages.ingest.entitlement import CONTAINMENT

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from streams.model.findings import Finding

# Findings that name a credential, an agent or an account, and no source or guard.
CONTAINABLE: Final = frozenset({
    FindingKind.USE_AFTER_REVOCATION, FindingKind.BLOCKED_ATTEMPT,
    FindingKind.ENFORCEMENT_FAILURE, FindingKind.ENFORCEMENT_LAG,
    FindingKind.UNKNOWN_CREDENTIAL, FindingKind.UNKNOWN_AGENT,
    FindingKind.SCOPE_VIOLATION, FindingKind.SCOPE_ESCALATION,
    FindingKind.EXCESS_SCOPE, FindingKind.LEAK, FindingKind.OWNERLESS,
    FindingKind.SHARED_SERVICE_ACCOUNT, FindingKind.UNMAPPED,
    FindingKind.REVOCATION_NOT_APPLIED,
})  # fmt: skip
# They rest on the word of a source alone, also on names that are not its own.
ON_WORD: Final = frozenset({FindingKind.LEAK, FindingKind.REVOCATION_NOT_APPLIED})


class ContainmentMode(Enum):
    """What is done where a rule decides to contain."""

    SHADOW = "shadow"  # an audit entry
    WARN = "warn"  # a finding too
    ENFORCE = "enforce"  # a suspend or narrow too


class ContainedName(Enum):
    """Which of the names of a finding a rule contains."""

    CREDENTIAL = "credential"
    AGENT = "agent"
    PRINCIPAL = "principal"


@frozen(kw_only=True)
class ContainmentRule:
    """One rule. Filters that are empty let everything through.

    Attributes:
        name: also the aspect of what it suspends: a lift names it.
        kinds: of the findings that it is about.
        contain: what of a finding.
        effect: suspend or narrow.
        scopes: what a narrow leaves.
        lasts: for how long (ns); None: until an operator lifts it.
        blast_limit: how many identifiers its act may reach beside what it names.
        per_hour: how often it acts within an hour.
        authorities: whose word the finding is; they are believed on any name.
        identifiers: patterns of kinds of what the finding is about.
        points: patterns of enforcement points; their logs are believed on who acted.
        labels: that what is contained has or hangs on, all of them.
        minimum_severity: of the finding.
        after_lift: a later finding contains again what an operator lifted.
    """

    name: str
    kinds: frozenset[FindingKind]
    contain: ContainedName
    mode: ContainmentMode = ContainmentMode.SHADOW
    effect: Effect = Effect.SUSPEND
    scopes: tuple[str, ...] = ()
    lasts: int | None
    blast_limit: int
    per_hour: int
    authorities: frozenset[str] = frozenset()
    identifiers: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    labels: tuple[Identifier, ...] = ()
    minimum_severity: Severity = Severity.INFORMATIONAL
    after_lift: bool = False

    def wants(self, finding: Finding) -> bool:
        """Whether a finding passes the filters that need no table.

        What follows from containment itself is wanted by rules alone that name it: a
        suspend must not lead to the next one unmeant.
        """
        ours = finding.authority == CONTAINMENT
        return (
            finding.kind in self.kinds
            and (not ours or CONTAINMENT in self.authorities)
            and finding.severity >= self.minimum_severity
            and (not self.authorities or finding.authority in self.authorities)
            and _fits(finding.presented.kind, self.identifiers)
            and _fits(finding.point, self.points)
        )


def _fits(text: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(text, each) for each in patterns)

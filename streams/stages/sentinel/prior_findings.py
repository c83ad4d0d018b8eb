"""What earlier findings tell of: a use that is judged again is not told again.

A finding tells of what its owner had judged when it wrote it. That may be more than was
committed: then some findings tell of a line, and those of others were lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.model.findings import FindingKind

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from streams.model.findings import Finding
    from streams.stages.sentinel.episode import Sighting

# What an accepted use is called hangs on what receipts told by then, and who judges it
# again may know less of them. A failure is claimed where it was not claimed before.
_WEAKER: Final = (
    FindingKind.ENFORCEMENT_LAG,
    FindingKind.USE_AFTER_REVOCATION,
    FindingKind.SOURCE_DELAY,
)
_OTHERS: Final = {
    kind: (FindingKind.ENFORCEMENT_FAILURE, kind, *_WEAKER) for kind in _WEAKER
}


class PriorFindings:
    """Findings, by what they are about.

    Attributes:
        at: offset of what is judged again.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.at = 0
        self._findings: dict[tuple[Identifier, FindingKind, str], list[Finding]] = {}
        self._below: dict[str, int] = {}  # by the finding's id

    def add(self, finding: Finding, below: int) -> None:
        """Take in a finding, told last when all below an offset was judged."""
        key = (finding.presented, finding.kind, finding.point)
        self._findings.setdefault(key, []).append(finding)
        self._below[finding.id] = below

    def below(self, finding: Finding) -> int:
        """Offset below which all was judged when a finding was last written."""
        return self._below.get(finding.id, 0)

    def knew(self, finding: Finding) -> bool:
        """Whether a use that is judged again was known at the last report."""
        return self.at < self.below(finding)

    def outlived(self, finding: Finding, at: int) -> bool:
        """Whether a finding is known to have gone on after an end.

        An end that is later than all it tells of is none that it knew: where the topic
        of lines was made anew, the offsets of another log stand for nothing.
        """
        return self.knew(finding) and at <= finding.last_seen

    def kind_of(self, seen: Sighting) -> FindingKind | None:
        """Kind of the finding that a use is in; None where it is in none."""
        for kind in _OTHERS.get(seen.kind, (seen.kind,)):
            found = self._findings.get((seen.presented, kind, seen.point), ())
            if any(self.knew(each) and _tells(each, seen) for each in found):
                return kind
        return None


def _tells(finding: Finding, seen: Sighting) -> bool:
    """Whether a use is among those of a finding, by its id or else by its time."""
    if seen.event_ids and len(finding.event_ids) == finding.count:
        return set(seen.event_ids) <= set(finding.event_ids)
    within = finding.first_seen <= seen.first_seen
    return within and seen.last_seen <= finding.last_seen

"""What earlier findings tell of: a use that is judged again is not told again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.findings import FindingKind

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from streams.findings import Finding
    from streams.stages.episodes import Sighting

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


class Told:
    """Findings, by what they are about."""

    def __init__(self) -> None:
        """Start with none."""
        self._findings: dict[tuple[Identifier, FindingKind, str], list[Finding]] = {}

    def add(self, finding: Finding) -> None:
        """Take in a finding as it was told last."""
        key = (finding.presented, finding.kind, finding.point)
        self._findings.setdefault(key, []).append(finding)

    def kind_of(self, seen: Sighting) -> FindingKind | None:
        """Give the kind as which a use was told; None where it was not."""
        for kind in _OTHERS.get(seen.kind, (seen.kind,)):
            found = self._findings.get((seen.presented, kind, seen.point), ())
            if any(_tells(each, seen) for each in found):
                return kind
        return None


def _tells(finding: Finding, seen: Sighting) -> bool:
    """Tell whether a use is among those of a finding, by its id or else by its time."""
    if seen.event_ids and len(finding.event_ids) == finding.count:
        return set(seen.event_ids) <= set(finding.event_ids)
    within = finding.first_seen <= seen.first_seen
    return within and seen.last_seen <= finding.last_seen

"""Episodes and findings as JSON-ready values, as they are saved."""

from __future__ import annotations

from typing import Any

from agents_registry.identifiers import Identifier
from streams.model.findings import Finding, FindingKind, Severity
from streams.stages.sentinel.acted import Acted
from streams.stages.sentinel.episode import Doubt, Episode, values_of
from streams.stages.sentinel.evidence import Evidence


def to_plain(finding: Finding) -> dict[str, Any]:
    """Return the finding as JSON-ready values; times stay integer ns."""
    plain = values_of(finding)
    plain["kind"] = finding.kind.value
    plain["severity"] = int(finding.severity)
    plain["presented"] = str(finding.presented)
    plain["path"] = [str(identifier) for identifier in finding.path]
    plain["event_ids"] = list(finding.event_ids)
    plain["related"] = list(finding.related)
    return plain


def from_plain(plain: dict[str, Any]) -> Finding:
    """Read what `to_plain` gave."""
    values = plain | {
        "kind": FindingKind(plain["kind"]),
        "severity": Severity(plain["severity"]),
        "presented": Identifier.parse(plain["presented"]),
        "path": tuple(Identifier.parse(text) for text in plain["path"]),
        "event_ids": tuple(plain["event_ids"]),
        "related": tuple(plain.get("related", ())),  # older ones know of none
    }
    return Finding(**values)


def save(episode: Episode) -> dict[str, Any]:
    """Episode as JSON-ready values."""
    return {
        "finding": to_plain(episode.finding),
        "reopened": episode.reopened,
        "touched": episode.touched,
        "revision": episode.revision,
        "open": episode.open,
        "doubts": [
            [[*evidence], first, times, event_id]
            for evidence, first, times, event_id in episode.doubts
        ],
        "agents": {name: acted.plain() for name, acted in episode.agents.items()},
    }


def load(plain: dict[str, Any]) -> Episode:
    """Read what `save` gave."""
    doubts = [
        Doubt(Evidence(*evidence), *rest) for evidence, *rest in plain.get("doubts", ())
    ]
    finding = from_plain(plain["finding"])
    # Earlier versions kept none.
    agents = {name: Acted.of(each) for name, each in plain.get("agents", {}).items()}
    known = {"finding": finding, "doubts": doubts, "agents": agents}
    return Episode(**plain | known)

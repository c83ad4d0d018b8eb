"""Acknowledgements: a person says that they look into a finding.

That changes nothing of what is found or told, and ends by itself: a finding that opens
again is another one. It is for the others who look at the same list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import frozen

from streams.model.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.model.findings import Finding

MOST_NOTE: Final = 500  # characters


@frozen(kw_only=True)
class Acknowledgement:
    """Who looks into a finding.

    Attributes:
        finding: its id.
        by: the person.
        at: since when (ns).
        note: in their words; may be empty.
        severity: of the finding by then.
    """

    finding: str
    by: str
    at: int
    note: str = ""
    severity: int

    def to_plain(self) -> dict[str, Any]:
        """JSON-ready values; the time stays integer ns."""
        return attrs.asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Acknowledgement:
        """Read what `to_plain` gave.

        Raises:
            TypeError: it is not that.
        """
        return cls(**plain)

    def mark(self, finding: Finding) -> dict[str, Any]:
        """Acknowledgement as people read it beside its finding.

        ``worse`` says that the finding was less severe when it was acknowledged.
        """
        return {
            "by": self.by,
            "at": rfc3339(self.at),
            "note": self.note,
            "worse": int(finding.severity) > self.severity,
        }


def note_of(body: Mapping[str, Any]) -> str:
    """Read what a person says beside an acknowledgement.

    Raises:
        ValueError: it cannot be read; the text says what to write.
    """
    if unknown := set(body) - {"note"}:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    note = body.get("note") or ""
    if not isinstance(note, str) or len(note) > MOST_NOTE:
        raise ValueError(f"note is a text of at most {MOST_NOTE} characters")
    return note.strip()

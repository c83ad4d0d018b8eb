"""What a person on call reads of one alert that stands for many findings of a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.model.findings import FindingKind
from streams.sinks.kind_texts import (
    DENIED,
    NOT_DENIED,
    OURS,
    OWNERS_GONE,
    TITLES,
    WHY_MANY,
)
from streams.sinks.plain_text import NAMES, moment, shown

if TYPE_CHECKING:
    from streams.model.findings import Finding


def lines(finding: Finding, remedy: str) -> list[str]:
    """Say in lines what stands for many findings of a kind.

    Args:
        finding: the summary.
        remedy: what to do about them.
    """
    kind = TITLES[finding.kind]
    first, last = moment(finding.first_seen), moment(finding.last_seen)
    return [
        f"{kind}: {finding.count:,} findings began together in {shown(finding.realm)}.",
        f"Who: {shown(finding.message, NAMES)}",
        f"Owner: {_owners(finding)}",
        f"When: found {f'at {first}' if first == last else f'{first} to {last}'}",
        f"From: {OURS.get(finding.kind) or 'the events of its findings'}",
        f"Why: {_why(finding)}",
        f"Now: {remedy}",
    ]


def _owners(finding: Finding) -> str:
    if finding.kind is FindingKind.OWNERLESS:
        return "none who is still there, for any of them"
    owner = shown(finding.owner or "")
    return owner or "several, or unknown; each finding names its own"


def _why(finding: Finding) -> str:
    text = f"{WHY_MANY.get(finding.kind, TITLES[finding.kind])}."
    text = text[:1].upper() + text[1:]
    if finding.kind is not FindingKind.OWNERLESS or not finding.reason:
        return text
    denied = DENIED if OWNERS_GONE in finding.reason else NOT_DENIED
    return f"{text} Of them {shown(finding.reason, NAMES)}. {denied}"

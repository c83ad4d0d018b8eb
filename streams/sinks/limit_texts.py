"""What is told of an order to end more than its authority should end at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.sinks.kind_texts import UNKNOWN_OWNER
from streams.sinks.plain_text import shown
from streams.stages.sentinel.messages import ORDERER, detail

if TYPE_CHECKING:
    from streams.model.findings import Finding


def why(finding: Finding) -> str:
    """Say whether it is held, and which limit it is over."""
    return detail(finding).rstrip(".").partition("; ")[0]


def authority(finding: Finding) -> str:
    """Return the authority whose limit is exceeded; "" where it is not known."""
    return shown(finding.authority or "")


def limit(finding: Finding) -> str:
    """Name the limit, by the source whose it is."""
    source = authority(finding)
    return f"the limit of its source {source}" if source else "the limit of its source"


def orderers_owner(finding: Finding) -> str:
    """Owner of whoever ordered it; "" where no source names one."""
    told = detail(finding).rstrip(".")
    return shown(told.partition(ORDERER.format(finding.ended_by, ""))[2])


def owners(finding: Finding) -> str:
    """Name the owner of what is to end, and of an agent that ordered it."""
    owner = shown(finding.owner or "") or UNKNOWN_OWNER
    told = f"{owner}, for {shown(str(finding.presented))}"
    if ":" not in (finding.ended_by or ""):
        return told
    ordered = f"{orderers_owner(finding) or UNKNOWN_OWNER}, for"
    return f"{told}; {ordered} {shown(finding.ended_by or '')}"

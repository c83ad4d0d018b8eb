"""Tell from the content which source wrote an input."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from streams.sources.envelope import Event, events

if TYPE_CHECKING:
    from collections.abc import Iterable

DIGEST: Final = "digestStartTime"  # CloudTrail's digest files lie beside its logs
_SAMPLE_BYTES: Final = 1 << 18
_SAMPLE_EVENTS: Final = 50


def guess(bodies: Iterable[dict[str, Any]]) -> str | None:
    """Give the name of the source that the first recognised event speaks for."""
    for body in bodies:
        if ("eventName" in body and "eventSource" in body) or DIGEST in body:
            return "cloudtrail"
        # The audit device's format: internal/audit/format.go of OpenBao
        if body.get("type") in ("request", "response") and isinstance(
            body.get("request"), dict
        ):
            return "openbao"
    return None


def guess_bytes(data: bytes) -> str | None:
    """Give the name of the source that an input comes from, by its first events."""
    found = events(data[:_SAMPLE_BYTES], "")
    sample = islice(found, _SAMPLE_EVENTS)
    return guess(item.body for item in sample if isinstance(item, Event))

"""Tell from the content which source wrote an input."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from streams.sources.envelope import Event, events

if TYPE_CHECKING:
    from collections.abc import Iterable

DIGEST: Final = "digestStartTime"  # CloudTrail's digest files lie beside its logs
_SAMPLE_BYTES: Final = 1 << 18
_SAMPLE_EVENTS: Final = 1_000


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
    """Give the name of the source that an input comes from, by its first events.

    Where its beginning tells nothing (a torn or a giant line), all of it is searched.
    """
    for piece in (data[:_SAMPLE_BYTES], data):
        found = (one for one in events(piece, "") if isinstance(one, Event))
        name = guess(one.body for one in islice(found, _SAMPLE_EVENTS))
        if name is not None or len(piece) == len(data):
            return name
    return None

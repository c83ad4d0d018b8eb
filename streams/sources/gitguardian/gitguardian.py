"""GitGuardian's custom webhook: secrets found in public or private places.

- A triggered, reopened or regressed incident is a leak: a finding, which policy may
  turn into a suspend. What is resolved or ignored there changes nothing here.
- The list of incidents that the API answers with is read too: one that is triggered or
  assigned is a leak.
- No hash of the secret is read: it is not keyed, and guessable secrets would leak.
- The signature is HMAC-SHA256 of the body under the timestamp followed by the
  signature token, and the timestamp is at most minutes old.

Source: GitGuardian docs, "Custom webhook".
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final

from streams.model.times import SECOND, AbsurdTimeError, parse_time
from streams.sources.reading.eventlog import EventHead, EventLog, LogEvent, inside
from streams.sources.reading.fields import identifier, number, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.model.records import Lifecycle

TOLERANCE: Final = 60 * SECOND
TIMESTAMP: Final = "timestamp"
SIGNATURE: Final = "gitguardian-signature"
NOT_OURS: Final = "not_gitguardian: no action and incident; look which system wrote it"
_LEAKS: Final = frozenset(
    {
        "incident_assigned",
        "incident_triggered",
        "incident_reopened",
        "incident_regression",
        "new_occurrence",
    }
)


class GitGuardian(EventLog):
    """Read the webhook's notifications."""

    name = "gitguardian"
    foreign = NOT_OURS

    def head(self, body: dict[str, Any]) -> EventHead | None:
        """Find the incident's id, the action and the time of a notification."""
        action, incident = text(body.get("action")), inside(body, "incident")
        status = text(body.get("status"))
        if action is None and status and "gitguardian_url" in body:
            kind = f"incident_{status.casefold()}"
            return EventHead(number(body.get("id")), kind, body.get("triggered_at"))
        if action is None or not incident:
            return None
        time = body.get("timestamp") or incident.get("date")
        return EventHead(number(incident.get("id")), action, time)

    def changes(self, heard: LogEvent) -> Iterator[Lifecycle]:
        """Leak that a notification tells of."""
        incident = inside(heard.body, "incident") or heard.body
        kind = inside(incident, "detector").get("name") or incident.get("type")
        yield heard.change(
            "leak" if heard.event_type in _LEAKS else None,
            identifier("gitguardian.incident", heard.event_id),
            reason=text(kind),
        )


def authentic(
    body: bytes, timestamp: str, signature: str, token: bytes, now: int
) -> bool:
    """Whether a request is GitGuardian's, and fresh.

    Args:
        body: the raw bytes of the request.
        timestamp: the header of that name.
        signature: the header gitguardian-signature, ``sha256=`` and hex digits.
        token: the signature token of the webhook.
        now: ns since 1970 (UTC).
    """
    try:
        sent = parse_time(timestamp)
    except AbsurdTimeError:
        return False
    if sent is None or abs(now - sent) > TOLERANCE or not token:
        return False
    wanted = hmac.new(timestamp.encode() + token, body, "sha256").hexdigest()
    given = signature.removeprefix("sha256=").encode(errors="replace")
    return hmac.compare_digest(wanted.encode(), given)

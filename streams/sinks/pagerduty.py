"""Incidents at PagerDuty, by the Events API v2 of a service.

The id of the finding is the ``dedup_key``: its updates join the alert that it
triggered, and its end resolves that. Rescind never acknowledges: that a person looks
into it is said in PagerDuty, and nobody says it here.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from attrs import field, frozen

from streams.model.findings import Severity
from streams.model.times import rfc3339
from streams.sinks import alert_fields, plain_text, wording
from streams.sinks.links import NOWHERE, Links
from streams.sinks.sink import JSON, Sink, SinkRequest
from streams.stages.notify.deliveries import Activity, Delivery

URLS: Final = {
    "us": "https://events.pagerduty.com/v2/enqueue",
    "eu": "https://events.eu.pagerduty.com/v2/enqueue",
}
_SUMMARY: Final = 1000  # the API takes 1,024 characters
_SEVERITY: Final = {
    Severity.INFORMATIONAL: "info",
    Severity.LOW: "info",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "critical",
}


@frozen(kw_only=True)
class PagerDuty(Sink):
    """A service of PagerDuty, by its routing key."""

    routing_key: str = field(repr=False)
    url: str = URLS["us"]
    links: Links = NOWHERE

    def request(self, delivery: Delivery, now: int) -> SinkRequest:
        """Trigger, or the resolve of what was triggered."""
        del now
        finding = delivery.finding
        event: dict[str, Any] = {
            "routing_key": self.routing_key,
            "dedup_key": finding.id,
            "event_action": "resolve",
        }
        if delivery.activity is not Activity.CLOSE:
            event |= {"event_action": "trigger", "client": "Rescind"}
            event |= {"payload": _payload(delivery)}
            if links := self.links.of(finding):
                event["client_url"] = self.links.first(finding)
                event["links"] = [
                    {"href": link, "text": name} for name, link in links.items()
                ]
        body = orjson.dumps(event)
        return SinkRequest(url=self.url, headers={"content-type": JSON}, body=body)


def _payload(delivery: Delivery) -> dict[str, Any]:
    finding = delivery.finding
    details = alert_fields.named(finding)
    return {
        "summary": plain_text.shown(wording.title(finding), _SUMMARY),
        "source": (
            details.get("point")
            or details.get("source")
            or details.get("said_by")
            or f"rescind/{finding.realm}"
        ),
        "severity": _SEVERITY[finding.severity],
        "timestamp": rfc3339(finding.first_seen),
        "component": details.get("point") or "rescind",
        "group": finding.realm,
        "class": finding.kind.value,
        "custom_details": {
            "message": "\n".join(wording.lines(finding)),
            **details,
        },
    }

"""Alerts at a Prometheus Alertmanager: ``POST /api/v2/alerts``.

Its clients send a firing alert again and again: a restart forgets it, and after
``endsAt`` it counts as resolved. So each message says how long it holds from the time
of its attempt, the notify stage repeats it (`Route.repeat`), and the end of the
finding sends ``endsAt`` of now. Labels are the alert's identity and stay the same from
first to last; all else is an annotation.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from attrs import field, frozen

from streams.model.times import rfc3339
from streams.sinks import alert_fields, wording
from streams.sinks.links import NOWHERE, Links
from streams.sinks.sink import JSON, Sink, SinkRequest
from streams.stages.notify.deliveries import Activity, Delivery

_ANNOTATED: Final = ("identifier", "owner", "ended", "cause", "path", "count")


@frozen(kw_only=True)
class Alertmanager(Sink):
    """One Alertmanager; of a cluster each member is an endpoint of its own.

    Attributes:
        base: ``http://HOST:9093``, with the prefix of its routes.
        token: bearer token of what stands in front of it; empty: none.
        lifetime: how long an alert fires without being repeated (ns).
    """

    base: str
    lifetime: int
    token: str = field(default="", repr=False)
    links: Links = NOWHERE

    url: str = field(init=False)

    @url.default
    def _address(self) -> str:
        return f"{self.base}/api/v2/alerts"

    def request(self, delivery: Delivery, now: int) -> SinkRequest:
        """Array of one alert."""
        finding = delivery.finding
        closed = delivery.activity is Activity.CLOSE
        details = alert_fields.details(finding)
        alert: dict[str, Any] = {
            "labels": {
                "alertname": wording.kind_title(finding.kind),
                "severity": finding.severity.name.lower(),
                "finding": finding.id,
                "kind": finding.kind.value,
                "realm": finding.realm,
                "point": details.get("point", ""),
            },
            "annotations": {
                "summary": wording.title(finding),
                "description": wording.message(finding),
                **{name: details[name] for name in _ANNOTATED if name in details},
                **{n.lower(): link for n, link in self.links.of(finding).items()},
            },
            "startsAt": rfc3339(min(finding.first_seen, now)),
            "endsAt": rfc3339(now if closed else now + self.lifetime),
        }
        if link := self.links.first(finding):
            alert["generatorURL"] = link
        headers = {"content-type": JSON}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        return SinkRequest(url=self.url, headers=headers, body=orjson.dumps([alert]))

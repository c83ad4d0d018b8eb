"""Alerts in a room of ACME's chat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from attrs import field, frozen

from streams.sinks import wording
from streams.sinks.sink import JSON, Sink, SinkRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.sinks.links import Links
    from streams.stages.notify.deliveries import Delivery


@frozen
class AcmeChat(Sink):
    """One room; the URL is the secret."""

    url: str = field(repr=False)
    options: Mapping[str, str]
    links: Links

    def request(self, delivery: Delivery, now: int) -> SinkRequest:
        """Return a message of one text."""
        del now
        finding = delivery.finding
        lines = [wording.title(finding), *wording.lines(finding)]
        body = {"room": self.options["room"], "text": "\n".join(lines)}
        # A message may come twice; by its id the receiver drops the second.
        headers = {"content-type": JSON, "webhook-id": delivery.id}
        return SinkRequest(url=self.url, headers=headers, body=orjson.dumps(body))

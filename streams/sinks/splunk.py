"""Events at Splunk's HTTP Event Collector, the OCSF event as the event.

A 200 says that the event was well formed. Where the token has indexer
acknowledgment, the answer names an ``ackId``, and the event is safe once
``/services/collector/ack`` says so; until then it counts as not delivered.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, Final

import orjson
from attrs import field, frozen

from streams.sinks import ocsf
from streams.sinks.sink import JSON, Sink, SinkRequest
from streams.stages.notify.deliveries import Delivery

_MILLISECONDS: Final = 1000


@frozen(kw_only=True)
class Splunk(Sink):
    """A token of a collector.

    Attributes:
        base: ``https://HOST:PORT``.
        token: of the input.
        name: of the endpoint; each has a channel of its own.
        ack: the token has indexer acknowledgment.
        index: where it is to lie; empty: the token's own.
        sourcetype: how Splunk reads it.
    """

    ports: ClassVar[frozenset[int]] = frozenset({443, 8088, 8443})
    base: str
    token: str = field(repr=False)
    name: str = ""
    ack: bool = False
    index: str = ""
    sourcetype: str = "rescind:ocsf"
    layout: ocsf.OcsfLayout = ocsf.DEFAULT

    url: str = field(init=False)

    @url.default
    def _address(self) -> str:
        return f"{self.base}/services/collector/event"

    @property
    def channel(self) -> str:
        """Channel, in which the collector numbers what it acknowledges.

        It stands in a URL, which gets logged on the way: nothing secret is in it.
        """
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.base}#{self.name}"))

    def request(self, delivery: Delivery, now: int) -> SinkRequest:
        """One event with its time and the fields that searches go by."""
        del now
        finding = delivery.finding
        event = ocsf.of_delivery(delivery, self.layout)
        wrapped: dict[str, Any] = {
            "time": event["time"] / _MILLISECONDS,
            "source": "rescind",
            "sourcetype": self.sourcetype,
            "event": event,
            "fields": {
                "finding": finding.id,
                "kind": finding.kind.value,
                "realm": finding.realm,
                "severity": finding.severity.name.lower(),
            },
        }
        if self.index:
            wrapped["index"] = self.index
        return self._request(self.url, wrapped)

    def question(self, answer: bytes) -> SinkRequest | None:
        """Ask whether the event is indexed."""
        if not self.ack:
            return None
        asked = f"{self.base}/services/collector/ack?channel={self.channel}"
        return self._request(asked, {"acks": [_json(answer).get("ackId")]})

    def settled(self, answer: bytes) -> bool:
        """Read ``{"acks": {"0": true}}``."""
        acks = _json(answer).get("acks")
        return isinstance(acks, dict) and bool(acks) and all(acks.values())

    def _request(self, url: str, document: dict[str, Any]) -> SinkRequest:
        headers = {"authorization": f"Splunk {self.token}", "content-type": JSON}
        if self.ack:
            headers["x-splunk-request-channel"] = self.channel
        return SinkRequest(url=url, headers=headers, body=orjson.dumps(document))


def _json(answer: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}

"""The OCSF event as it is, signed by Standard Webhooks, for a receiver of one's own."""

from __future__ import annotations

from attrs import field, frozen

from streams.outbound import standard_webhooks
from streams.sinks import ocsf
from streams.sinks.sink import JSON, Sink, SinkRequest
from streams.stages.notify.deliveries import Delivery


@frozen(kw_only=True)
class Webhook(Sink):
    """A receiver of signed OCSF events.

    Attributes:
        secrets: ``whsec_...`` or ``whsk_...``, the newest first; all sign.
        layout: of the events.
    """

    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    layout: ocsf.OcsfLayout = ocsf.DEFAULT

    def __attrs_post_init__(self) -> None:
        """Refuse secrets that could not sign."""
        if not self.secrets:
            message = "at least one secret is needed"
            raise ValueError(message)
        for secret in self.secrets:
            standard_webhooks.checked_secret(secret)

    def request(self, delivery: Delivery, now: int) -> SinkRequest:
        """Event, the same bytes in each attempt, with this one's stamp."""
        body = ocsf.body(delivery, self.layout)
        headers = standard_webhooks.headers(self.secrets, delivery.id, now, body)
        return SinkRequest(
            url=self.url, headers={**headers, "content-type": JSON}, body=body
        )

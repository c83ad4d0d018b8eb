"""The receivers of alerts, made of what is set: their routes, and the way to each."""

from __future__ import annotations

import functools
import ssl
from importlib import metadata
from typing import TYPE_CHECKING, Final

import structlog
from attrs import frozen

from streams.model.findings import Severity
from streams.model.shared_secret import SharedSecret
from streams.model.times import SECOND
from streams.observability import tracing
from streams.settings import alerts as wanted
from streams.sinks import (
    extensions,
    http_delivery,
    ocsf,
    pagerduty,
    syslog,
    syslog_delivery,
)
from streams.sinks.alertmanager import Alertmanager
from streams.sinks.http_delivery import Endpoint, EndpointError
from streams.sinks.links import Links
from streams.sinks.pagerduty import PagerDuty
from streams.sinks.slack import Slack
from streams.sinks.splunk import Splunk
from streams.sinks.syslog_delivery import SyslogEndpoint
from streams.sinks.webhook import Webhook
from streams.stages.notify.deliveries import AttemptOutcome, ReceiverRoute

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from streams.settings.server import Settings, WebhookSettings
    from streams.sinks.sink import Sink
    from streams.stages.notify.deliveries import Delivery

    Way = Callable[[Delivery, int], Awaitable[AttemptOutcome]]

WEBHOOK: Final = "webhook"  # the name of the receiver that has a setting of its own
# Slack takes about one message a second; what is above waits for a 429.
_SLACK_SPACING: Final = SECOND
_ROUTING_KEY: Final = 32

log = structlog.get_logger()


@frozen
class Alerting:
    """The receivers of alerts.

    Attributes:
        routes: what each is told.
        ways: makes one attempt, by the name of the route, at a time (ns).
    """

    routes: tuple[ReceiverRoute, ...]
    ways: Mapping[str, Way]

    def poster(
        self, clock: Callable[[], int]
    ) -> Callable[[Delivery], Awaitable[AttemptOutcome]]:
        """Return a function that posts a delivery to the receiver of its route.

        It logs when a receiver begins to fail, and when it is back.
        """
        failing: set[str] = set()

        async def post(delivery: Delivery) -> AttemptOutcome:
            route = delivery.route
            trace = tracing.trace_of(delivery.finding.id)
            with tracing.span(tracing.DELIVER, trace, receiver=route):
                outcome = await self.ways[route](delivery, clock())
            if outcome.accepted and route in failing:
                failing.discard(route)
                log.info("receiver_back", receiver=route)
            elif not outcome.accepted and route not in failing:
                failing.add(route)
                why = outcome.error or outcome.status
                log.warning("receiver_fails", receiver=route, why=why)
            return outcome

        return post


def alerting(settings: Settings) -> Alerting:
    """Receivers; none where none is set.

    Raises:
        EndpointError: no attempt could use what is set for one of them. The text names
            no secret.
    """
    alerts = settings.alerts
    endpoints: dict[str, wanted.AnyEndpoint] = dict(alerts.endpoints)
    if settings.webhook is not None:
        if WEBHOOK in endpoints:
            raise EndpointError("webhook and alerts.endpoints.webhook are one name")
        endpoints[WEBHOOK] = _plain_webhook(settings.webhook)
    links = Links(alerts.links or "", settings.console.url or "")
    layout = ocsf.OcsfLayout(alerts.ocsf, links, metadata.version("rescind"))
    routes, ways = [], {}
    for name, endpoint in endpoints.items():
        try:
            ways[name] = _way(name, endpoint, layout)
        except EndpointError:
            raise
        except (ValueError, OSError) as error:
            raise EndpointError(f"{name}: {error}") from error
        routes.append(_route(name, endpoint))
    return Alerting(tuple(routes), ways)


def _plain_webhook(webhook: WebhookSettings) -> wanted.WebhookEndpoint:
    return wanted.WebhookEndpoint(
        type="webhook",
        url=webhook.url,
        secrets=tuple(SharedSecret(value=secret) for secret in webhook.secrets),
        allow_private=webhook.allow_private,
        minimum_severity=webhook.minimum_severity,
    )


def _route(name: str, endpoint: wanted.AnyEndpoint) -> ReceiverRoute:
    repeat = getattr(endpoint, "repeat_seconds", 0)
    return ReceiverRoute(
        name=name,
        minimum=Severity(endpoint.minimum_severity),
        kinds=endpoint.kinds,
        realms=endpoint.realms,
        owners=endpoint.owners,
        updates=endpoint.updates,
        in_flight=endpoint.concurrency,
        spacing=_SLACK_SPACING if endpoint.type == "slack" else 0,
        repeat=int(repeat * SECOND),
    )


def _way(name: str, endpoint: wanted.AnyEndpoint, layout: ocsf.OcsfLayout) -> Way:
    tls = None
    if endpoint.ca_file is not None:
        tls = ssl.create_default_context(cafile=endpoint.ca_file)
    if endpoint.type == "syslog":
        return functools.partial(
            syslog_delivery.send,
            SyslogEndpoint(
                name=name,
                host=endpoint.host,
                port=endpoint.port,
                tls=(tls or ssl.create_default_context()) if endpoint.tls else None,
                allow_private=endpoint.allow_private,
                layout=syslog.SyslogLayout(
                    form=endpoint.form, hostname=endpoint.hostname, event=layout
                ),
                timeout=endpoint.timeout_seconds,
            ),
        )
    made = Endpoint(
        name=name,
        sink=_sink(name, endpoint, layout),
        allow_private=endpoint.allow_private,
        timeout=endpoint.timeout_seconds,
        tls=tls,
    )
    return functools.partial(http_delivery.post, made)


def _sink(name: str, endpoint: wanted.HttpEndpoint, layout: ocsf.OcsfLayout) -> Sink:
    if endpoint.type == "webhook":
        secrets = tuple(secret.reveal() for secret in endpoint.secrets)
        return Webhook(url=endpoint.url, secrets=secrets, layout=layout)
    if endpoint.type == "slack":
        return Slack(url=endpoint.url.reveal(), links=layout.links)
    if endpoint.type == "pagerduty":
        return PagerDuty(
            routing_key=_routing_key(endpoint.routing_key),
            url=endpoint.url or pagerduty.URLS[endpoint.region],
            links=layout.links,
        )
    if endpoint.type == "splunk":
        return Splunk(
            base=endpoint.url,
            token=_token(endpoint.token),
            name=name,
            ack=endpoint.acknowledged,
            index=endpoint.index,
            sourcetype=endpoint.sourcetype,
            layout=layout,
        )
    if endpoint.type == "extension":
        return extensions.sink(
            endpoint.sink, endpoint.url.reveal(), endpoint.options, layout.links
        )
    return Alertmanager(
        base=endpoint.url,
        lifetime=int(endpoint.lifetime_seconds * SECOND),
        token=_token(endpoint.token) if endpoint.token else "",
        links=layout.links,
    )


def _token(secret: SharedSecret) -> str:
    """Secret of a header."""
    token = secret.reveal()
    if not token.isascii() or not token.isprintable() or " " in token:
        message = "the token is not one word of plain characters"
        raise ValueError(message)
    return token


def _routing_key(secret: SharedSecret) -> str:
    key = secret.reveal()
    if len(key) != _ROUTING_KEY:
        message = f"a routing key has {_ROUTING_KEY} characters (Events API V2)"
        raise ValueError(message)
    return key

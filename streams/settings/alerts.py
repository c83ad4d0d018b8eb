"""What an operator sets for alerts: the receivers, and what each of them is told.

Each receiver is a name with values: ``alerts: {endpoints: {pager: {type: pagerduty,
...}}}``. Secrets come from a file or from the environment
(``RESCIND_ALERTS__ENDPOINTS__PAGER__ROUTING_KEY__VALUE``); they are never logged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from streams.model.findings import FindingKind
from streams.model.shared_secret import SharedSecret
from streams.model.strict import Strict

Base = Annotated[str, Field(pattern=r"^https?://[^?#\s@]*[^/?#\s@]$")]


class _Endpoint(Strict):
    """What every receiver has.

    Attributes:
        minimum_severity: 1 informational, 2 low, 3 medium, 4 high, 5 critical;
            findings below are not sent.
        kinds: only findings of these kinds; empty: of all. So are realms and owners.
        updates: whether updates are sent between the first message of a finding and the
            last.
        concurrency: how many attempts may be under way.
        timeout_seconds: of one attempt.
        allow_private: loopback and private addresses, any port, and no TLS too.
        ca_file: certificates to trust (PEM) instead of those of the system.
    """

    minimum_severity: int = Field(default=2, ge=1, le=5)
    kinds: frozenset[FindingKind] = frozenset()
    realms: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    updates: bool = True
    concurrency: int = Field(default=16, ge=1, le=64)
    timeout_seconds: float = Field(default=15.0, gt=0, le=45)
    allow_private: bool = False
    ca_file: Path | None = None


class WebhookEndpoint(_Endpoint):
    """Signed OCSF events: Standard Webhooks.

    Attributes:
        secrets: ``whsec_...`` (HMAC) or ``whsk_...`` (Ed25519), the newest first; all
            of them sign.
    """

    type: Literal["webhook"]
    url: str
    secrets: tuple[SharedSecret, ...] = Field(min_length=1)


class SlackEndpoint(_Endpoint):
    """A channel of Slack.

    Attributes:
        url: of the incoming webhook; a secret.
    """

    type: Literal["slack"]
    url: SharedSecret
    updates: bool = False
    concurrency: int = Field(default=1, ge=1, le=1)


class PagerDutyEndpoint(_Endpoint):
    """A service of PagerDuty.

    Attributes:
        routing_key: of its Events API v2 integration.
        region: where the account is.
        url: of the API, instead of the region's.
    """

    type: Literal["pagerduty"]
    routing_key: SharedSecret
    region: Literal["us", "eu"] = "us"
    url: str = ""
    minimum_severity: int = Field(default=4, ge=1, le=5)


class SplunkEndpoint(_Endpoint):
    """An HTTP Event Collector.

    Attributes:
        url: ``https://HOST:PORT``.
        token: of the input.
        acknowledged: the token has indexer acknowledgment: wait for it.
        index: where events are to lie; empty: the token's own.
        sourcetype: of the events.
    """

    type: Literal["splunk"]
    url: Base
    token: SharedSecret
    acknowledged: bool = False
    index: str = ""
    sourcetype: str = "rescind:ocsf"
    timeout_seconds: float = Field(default=30.0, gt=0, le=45)


class AlertmanagerEndpoint(_Endpoint):
    """One Prometheus Alertmanager; of a cluster name each member.

    Attributes:
        url: ``http://HOST:9093``, with its route prefix.
        token: bearer token of the proxy in front of Alertmanager.
        repeat_seconds: how often open findings are sent again.
        lifetime_seconds: how long an alert fires without being sent again.
    """

    type: Literal["alertmanager"]
    url: Base
    token: SharedSecret | None = None
    repeat_seconds: float = Field(default=300.0, ge=1, le=86_400)
    lifetime_seconds: float = Field(default=7200.0, ge=2)


class SyslogSettings(_Endpoint):
    """A syslog server: RFC 5424 over TLS, or over TCP with allow_private.

    Attributes:
        tls: off only with allow_private.
        form: CEF, or the OCSF event as JSON.
        hostname: of the messages.
    """

    type: Literal["syslog"]
    host: str
    port: int = Field(default=6514, ge=1, le=65535)
    tls: bool = True
    form: Literal["cef", "json"] = "cef"
    hostname: str = "-"


class ExtensionEndpoint(_Endpoint):
    """A receiver whose form another distribution knows.

    Attributes:
        sink: its entry point of the group ``rescind.sinks``.
        url: where it posts; a secret.
        options: what it takes besides.
    """

    type: Literal["extension"]
    sink: str
    url: SharedSecret
    options: dict[str, str] = Field(default_factory=dict)


HttpEndpoint = (
    WebhookEndpoint
    | SlackEndpoint
    | PagerDutyEndpoint
    | SplunkEndpoint
    | AlertmanagerEndpoint
    | ExtensionEndpoint
)
AnyEndpoint = Annotated[HttpEndpoint | SyslogSettings, Field(discriminator="type")]
Named = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class AlertSettings(Strict):
    """Where alerts go, besides ``webhook``.

    Attributes:
        endpoints: by their name, which stays the same over restarts.
        links: URL under which people reach this server; alerts link to it.
        ocsf: version of the events; 1.8.0 has no ``ai_agent`` and no ``attestation``.
    """

    endpoints: dict[Named, AnyEndpoint] = Field(default_factory=dict)
    links: Base | None = None
    ocsf: Literal["1.8.0", "1.9.0"] = "1.9.0"

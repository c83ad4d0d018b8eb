"""What an operator sets for vendors: their hooks, their logs, their revocations.

Each is a name with values: ``hooks: {okta: {vendor: okta, ...}}``. Secrets come from a
file or from the environment (``RESCIND_HOOKS__OKTA__SECRET__VALUE``); they are never
logged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

# Vendors that carry another system's events, and those whose header is to be chosen.
CARRIERS: Final = ("eventbridge", "firehose", "pubsub")
WITH_HEADER: Final = ("auth0", "eventbridge", "okta")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SharedSecret(_Strict):
    """A secret that a vendor and this server share: its value, or a file with it."""

    value: SecretStr | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _one(self) -> SharedSecret:
        if (self.value is None) == (self.file is None):
            text = "set one of value (in the environment) and file"
            raise ValueError(text)
        return self

    def reveal(self) -> str:
        """Secret.

        Raises:
            OSError: the file cannot be read.
            ValueError: there is nothing in it.
        """
        if self.value is not None:
            found = self.value.get_secret_value()
        else:
            found = Path(str(self.file)).read_text("utf-8").strip()
        if not found:
            text = "the secret is empty"
            raise ValueError(text)
        return found


class Hook(_Strict):
    """A vendor that pushes to ``/v1/hooks/NAME``.

    Attributes:
        vendor: whose handshake and proof.
        authority: on whose behalf it speaks.
        secret: the value of ``header`` at Okta, Auth0 and EventBridge; the bearer
            token of a Kubernetes API server or OpenBao's HTTP audit device; the access
            key of Firehose; ``token`` of the URL at Pub/Sub; ``clientState`` at Graph;
            the webhook's secret at GitHub, and for its secret scanning pushes the list
            of its public keys; the signature token at GitGuardian.
        header: where Okta, Auth0 and EventBridge send the secret.
        format: the source that reads what EventBridge, Firehose or Pub/Sub carry;
            unset: ``cloudtrail`` for EventBridge, else ``kubernetes``.
        cluster: stands before the names of a Kubernetes cluster, where one realm has
            several.
    """

    vendor: Literal[
        "auth0", "eventbridge", "firehose", "gitguardian", "github", "github_secrets",
        "graph", "kubernetes", "okta", "openbao", "pubsub",
    ]  # fmt: skip
    authority: str
    secret: SharedSecret
    header: str = "Authorization"
    format: str | None = None
    cluster: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Hook:
        if self.format is not None and self.vendor not in CARRIERS:
            text = f"format is for {', '.join(CARRIERS)}; {self.vendor} has its own"
            raise ValueError(text)
        if "header" in self.model_fields_set and self.vendor not in WITH_HEADER:
            text = f"header is for {', '.join(WITH_HEADER)}; {self.vendor} has its own"
            raise ValueError(text)
        return self


class PollSettings(_Strict):
    """A vendor's log that is read from its API.

    Attributes:
        url: of the API, without a path; next pages must stay on it.
        authority: on whose behalf it speaks.
        interval: seconds between two rounds; also the first wait after a failure.
        first: how many seconds back the first round reaches.
        overlap: how many seconds before the newest event the next round starts: how
            late an event may appear.
        allow_http: without TLS, for a vendor on the same machine.
    """

    url: str
    authority: str
    interval: float = Field(default=15.0, gt=0)
    first: float = Field(default=3600.0, ge=0)
    overlap: float = Field(default=60.0, ge=0)
    allow_http: bool = False

    @model_validator(mode="after")
    def _usable(self) -> PollSettings:
        check_url(self.url, allow_http=self.allow_http)
        return self


def check_url(url: str, *, allow_http: bool) -> None:
    """Refuse what must not be asked with credentials.

    Raises:
        ValueError: the URL is no https, is not ASCII, or holds more than a place.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (allow_http and parts.scheme == "http"):
        text = "url must be https (or set allow_http)"
        raise ValueError(text)
    if not url.isascii():
        text = "url must be ASCII: write the host as DNS has it (xn--...)"
        raise ValueError(text)
    if not parts.hostname or parts.username is not None or parts.query:
        text = "url needs a host, and neither a user nor a query"
        raise ValueError(text)


class OktaPoll(PollSettings):
    """The System Log of an Okta organisation (``GET /api/v1/logs``).

    Attributes:
        token: an API token (SSWS) of a read-only administrator.
        retention: days that Okta keeps events.
    """

    vendor: Literal["okta"]
    token: SharedSecret
    retention: float = Field(default=90.0, gt=0)


class ClientPoll(PollSettings):
    """A log whose bearer token comes by client credentials (RFC 6749 section 4.4)."""

    client_id: str
    client_secret: SharedSecret


class EntraPoll(ClientPoll):
    """Directory audits, and sign-ins, of an Entra tenant through Microsoft Graph.

    Attributes:
        tenant: its id or domain.
        logs: which of them; sign-ins need a P1 licence.
        login: where tokens are given.
        retention: days that Entra keeps events: 7 without a licence, else 30.
    """

    vendor: Literal["entra"]
    tenant: str = Field(pattern=r"^[A-Za-z0-9.-]+$")
    logs: tuple[Literal["directoryAudits", "signIns"], ...] = ("directoryAudits",)
    url: str = "https://graph.microsoft.com"
    login: str = "https://login.microsoftonline.com"
    interval: float = Field(default=60.0, gt=0)
    overlap: float = Field(default=900.0, ge=0)
    retention: float = Field(default=7.0, gt=0)

    @model_validator(mode="after")
    def _login(self) -> EntraPoll:
        check_url(self.login, allow_http=self.allow_http)
        return self


class KeycloakPoll(ClientPoll):
    """User events and admin events of a Keycloak realm.

    Attributes:
        realm: whose events; its client reads them with the role ``view-events``.
        issuer: ``iss`` of the realm's tokens: gives users the name that tokens carry
            (``jwt.sub``).
        exchange_lookback: seconds that access tokens of the realm live at most. What
            is exchanged this soon after a revocation may come from a token of before
            it, and is denied.
        retention: days that the realm keeps events, where it is set to expire them.
    """

    vendor: Literal["keycloak"]
    realm: str = Field(pattern=r"^[^/?#%]+$")
    issuer: str | None = None
    exchange_lookback: float = Field(default=300.0, ge=0)
    retention: float | None = Field(default=None, gt=0)


class VaultSettings(_Strict):
    """The API of an OpenBao or Vault cluster whose audit log is read.

    Attributes:
        url: of the API, without a path.
        authority: on whose behalf its audit log speaks.
        token: may update ``sys/audit-hash/DEVICE`` and, for irrevocable leases, read
            ``sys/leases`` with sudo; a file is read anew for each request.
        device: path of the audit device that is read: each has HMACs of its own.
        namespace: of the token.
        ca: file with the certificates that sign the API's own.
        hmac_accessor: false where the device writes accessors in plain text.
        join_leases: ask for the HMAC of each new lease, by which its end is told;
            not needed where ``audit_non_hmac_request_keys`` of ``sys/`` holds lease_id.
        irrevocable_seconds: between two looks at leases that cannot be revoked; 0:
            never.
        timeout: seconds of one request.
        allow_http: without TLS, for a vault on the same machine.
    """

    url: str
    authority: str
    token: SharedSecret
    device: str = Field(pattern=r"^[^/?#%]+$")
    namespace: str = ""
    ca: Path | None = None
    hmac_accessor: bool = True
    join_leases: bool = True
    irrevocable_seconds: float = Field(default=0.0, ge=0)
    timeout: float = Field(default=3.0, gt=0)
    allow_http: bool = False

    @model_validator(mode="after")
    def _usable(self) -> VaultSettings:
        check_url(self.url, allow_http=self.allow_http)
        return self


class GlobalRevocation(_Strict):
    """A caller of ``/v1/global-token-revocation/NAME``, known by the JWT it signs.

    Attributes:
        issuer: ``iss`` of the JWT, compared exactly.
        audience: the values of ``aud`` that mean us: the URL of the endpoint.
        jwks: file with the issuer's keys.
        authority: on whose behalf it speaks.
    """

    issuer: str
    audience: tuple[str, ...] = Field(min_length=1)
    jwks: Path
    authority: str


class Scim(_Strict):
    """The SCIM service provider at ``/scim/v2``.

    Attributes:
        agents: serve ``/Agents`` too, a draft extension.
        external_kind: what kind of identifier a user's ``externalId`` is, such as
            ``okta.user``: the user is known by both. Never a name that is given again.
        external_prefix: stands before it, such as ``ISSUER|`` for ``jwt.sub``.
    """

    agents: bool = False
    external_kind: str | None = None
    external_prefix: str = ""

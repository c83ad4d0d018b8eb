"""What an operator sets for vendors: their hooks, their logs, their revocations.

Each is a name with values: ``hooks: {ours: {vendor: NAME, ...}}``. Secrets come from a
file or from the environment (``RESCIND_HOOKS__OURS__SECRET__VALUE``); they are never
logged.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from streams.model.extensions import loaded
from streams.model.shared_secret import SharedSecret, check_url
from streams.model.strict import Strict
from streams.settings.formats import SourceFormat
from streams.sources.catalogue import offered, own


def _offered(name: Any, ours: ValidatorFunctionWrapHandler) -> Any:
    """Take the name of a hook of ours, or of one that a distribution brings."""
    brought = isinstance(name, str) and name not in offered("hooks", own())
    return name if brought and name in offered("hooks") else ours(name)


if TYPE_CHECKING:
    HookName = str
else:
    _NAMES = tuple(sorted(offered("hooks", own())))
    HookName = Annotated[Literal[_NAMES], WrapValidator(_offered)]


class Hook(Strict):
    """A vendor that pushes to ``/v1/hooks/NAME``.

    Attributes:
        vendor: whose handshake and proof.
        authority: on whose behalf it speaks.
        secret: what the vendor sends in a header or in the URL, or what it signs with;
            the page of the vendor says where it is set there.
        header: that carries the secret, at vendors where you choose it.
        format: the source that reads what a vendor carries for another system.
        cluster: name of the Kubernetes cluster, a prefix of its identifiers; needed if
            one realm has several clusters.
    """

    vendor: HookName
    authority: str
    secret: SharedSecret
    header: str = "Authorization"
    format: SourceFormat | None = None
    cluster: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Hook:
        if self.format is not None:
            self._may("format", "carries")
        if "header" in self.model_fields_set:
            self._may("header", "chooses_header")
        return self

    def _may(self, setting: str, trait: str) -> None:
        every = offered("hooks")
        if not getattr(loaded(every[self.vendor]), trait):
            can = sorted(n for n, each in every.items() if getattr(loaded(each), trait))
            text = f"{setting} is for {', '.join(can)}; {self.vendor} has its own"
            raise ValueError(text)


class VaultSettings(Strict):
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


class GlobalRevocation(Strict):
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


class Scim(Strict):
    """The SCIM service provider at ``/scim/v2``.

    Attributes:
        agents: serve ``/Agents`` too, a draft extension.
        external_kind: what kind of identifier a user's ``externalId`` is, such as
            ``entra.user``: the user is known by both. Never a name that is given again.
        external_prefix: stands before it, such as ``ISSUER|`` for ``jwt.sub``.
    """

    agents: bool = False
    external_kind: str | None = None
    external_prefix: str = ""

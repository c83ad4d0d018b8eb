"""Settings of who may do what: credentials, and what takes two persons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from streams.model.strict import Strict

Role = Literal["ingest", "viewer", "revoker", "restorer", "admin", "guard"]
Act = Literal[
    "lift", "withdraw", "distrust", "owners", "labels", "adopt", "confirm",
]  # fmt: skip
GuardPatterns = tuple[Annotated[str, Field(min_length=1, max_length=128)], ...]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Credential(Strict):
    """A credential of any sort.

    Attributes:
        name: name of the credential: the ingress key in facts, and the actor in audit
            entries.
        roles: what the holder may do.
        authority: on whose behalf an ingest token speaks.
        person: the person who has the credential, for the two-person rule: two
            credentials of one person are one consent. Default: the name.
        realms: realms in which the credential is valid, ``*`` for all; empty: the realm
            of this server.
        guards: further names that guards with this credential may have, ``*`` for any
            part; they are reserved for it. Empty: any name that is not reserved.
    """

    name: str
    roles: frozenset[Role]
    authority: str | None = None
    person: str = ""
    realms: frozenset[str] = frozenset()
    guards: GuardPatterns = ()


class StaticToken(Credential):
    """A static bearer token.

    Attributes:
        sha256: of the token, in hex.
    """

    sha256: Sha256


class Approvals(Strict):
    """What a second person has to approve.

    Attributes:
        acts: of operators; none needs two persons by default.
        expires_seconds: seconds until a proposed act without approval expires. A
            revocation that waits because of its blast limit never expires.
    """

    acts: frozenset[Act] = frozenset()
    expires_seconds: float = Field(default=86_400.0, ge=60, le=30 * 86_400)


Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA",
]  # fmt: skip


class RoleRule(Strict):
    """What the members of a group may do.

    Attributes:
        group: a value of the claim of roles.
        roles: that it gives; realms: where, ``*`` everywhere; empty: in the realm of
            this server.
        authority: on whose behalf its members speak as a source.
        guards: names that their guards may have, as of a token.
    """

    group: str = Field(min_length=1)
    roles: frozenset[Role]
    realms: frozenset[str] = frozenset()
    authority: str | None = None
    guards: GuardPatterns = ()


class Oidc(Strict):
    """An issuer of bearer tokens for this API.

    Attributes:
        issuer: ``iss`` of its tokens, compared exactly.
        audience: one of these must be in ``aud``.
        jwks: file or URL of its keys; empty: what its discovery document names.
        algorithms: that its keys may have; each key has one, never the token's word.
        types: what ``typ`` may say; "" lets it be absent.
        roles_claim: where the groups stand, with dots into objects
            (``realm_access.roles``); a list, or a text with spaces.
        person_claim: names the person for the two-person rule; the same as ``person``
            of a static token of that person.
        roles: what groups may do; a token without any of them may nothing.
        refresh_seconds: how old the keys may get.
        stale_seconds: for how long they are believed while they cannot be read again;
            then every token is refused.
        skew_seconds: how far the issuer's clock may be off.
        allow_private: an issuer on a private address, and http on loopback.
    """

    issuer: str = Field(min_length=1)
    audience: tuple[str, ...] = Field(min_length=1)
    jwks: str = ""
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "PS256", "ES256", "EdDSA"), min_length=1
    )
    types: tuple[str, ...] = ("at+jwt", "application/at+jwt", "jwt", "")
    roles_claim: str = Field(default="groups", min_length=1)
    person_claim: str = Field(default="sub", min_length=1)
    roles: tuple[RoleRule, ...] = Field(min_length=1)
    refresh_seconds: float = Field(default=300.0, ge=1)
    stale_seconds: float = Field(default=3600.0, ge=1)
    skew_seconds: float = Field(default=30.0, ge=0, le=300)
    allow_private: bool = False


class ClientCertificate(Credential):
    """Who holds a client certificate.

    Attributes:
        san: a subject alternative name: ``dns:NAME``, ``uri:URI`` or ``email:ADDRESS``.
    """

    san: str = Field(pattern=r"^(dns|uri|email):\S+$")


class CertificateFiles(Strict):
    """Certificate of a listener; the files are read again when they change.

    Attributes:
        certificate: file with the server's certificate and those that signed it, PEM.
        key: file with its private key, PEM, without a passphrase.
    """

    certificate: Path
    key: Path


class TlsSettings(CertificateFiles):
    """How this server serves TLS.

    Attributes:
        minimum: the oldest version of TLS.
        client_ca: file with those who may sign client certificates, PEM; without one
            no client is asked for a certificate.
        clients: whose certificates mean something; others need a token.
    """

    minimum: Literal["1.2", "1.3"] = "1.2"
    client_ca: Path | None = None
    clients: tuple[ClientCertificate, ...] = ()

    @model_validator(mode="after")
    def _has_a_ca(self) -> Self:
        if self.clients and self.client_ca is None:
            raise ValueError("clients need client_ca: nobody vouches for them")
        return self


class QuotaSettings(Strict):
    """How much one authority may push over HTTP to one process of its realm.

    Attributes:
        facts_per_second: other facts than causes; unset: any number.
        causes_per_second: causes; they have no other quota.
        nodes_per_day: facts that make a name known.
        burst_seconds: of its rate, that it may say at once.
    """

    facts_per_second: float | None = Field(default=None, gt=0)
    causes_per_second: float | None = Field(default=None, gt=0)
    nodes_per_day: float | None = Field(default=None, gt=0)
    burst_seconds: float = Field(default=10.0, gt=0, le=3600)

"""What an operator sets for ``rescind pdp``: a file, or ``RESCIND_PDP_*``.

A nested value is JSON in the environment (``RESCIND_PDP_ISSUERS='[…]'``), or takes
two underscores (``RESCIND_PDP_LISTEN__PORT=8760``). Tokens of callers stand here as
SHA-256 only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from agents_registry.verdict import DEFAULT_POLICY, UnknownPolicy
from enforcement.verdict import Mode
from streams.model.keyed_names import pepper_bytes
from streams.model.settings_files import hold_settings
from streams.model.strict import Strict
from streams.settings.access import Algorithm, CertificateFiles, Sha256
from streams.settings.limits import ConnectionSettings
from streams.settings.server import FileSettings, Listen

PREFIX: Final = "RESCIND_PDP_"
ANY_AUDIENCE: Final = "*"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

Kind = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+$")]


def _pepper(value: SecretStr) -> SecretStr:
    pepper_bytes(value.get_secret_value())
    return value


def _https(url: str) -> str:
    parts = urlsplit(url)
    safe = parts.scheme == "https" or parts.hostname in _LOOPBACK
    if "://" in url and not (safe and parts.hostname):
        message = "keys are fetched over https, or http from this machine alone"
        raise ValueError(message)
    return url


class ClaimRule(Strict):
    """A claim whose value names something.

    Attributes:
        claim: its name; the value is a string or a list of strings.
        kind: of the identifier.
        by_issuer: the name is unique for the issuer only: ``iss|value``. Inside an
            ``act`` claim that has an ``iss`` of its own, it is that one.
        qualifier: a fixed text that stands before it: ``qualifier|value``.
        with_claim: another claim whose value stands behind it: ``value|other``. A token
            that lacks one of them has no such name.
    """

    claim: str
    kind: Kind
    by_issuer: bool = False
    qualifier: str = ""
    with_claim: str = ""


JTI: Final = ClaimRule(claim="jti", kind="jwt.jti")
SUB: Final = ClaimRule(claim="sub", kind="jwt.sub", by_issuer=True)


class Issuer(Strict):
    """Who signs tokens, with which keys, and what their claims name.

    Attributes:
        issuer: ``iss`` of the tokens, compared exactly.
        audience: one of these must be in ``aud``; ``*`` leaves that to the resource.
        jwks: file or URL of the issuer's public keys.
        algorithms: that its keys may have; each key has one, never the token's word.
        types: what ``typ`` may say; "" lets it be absent.
        refresh_seconds: how old the keys may get.
        claims: what the token's own claims name.
        actor: what each ``act`` claim of the chain names (RFC 8693 section 4.1).
        token_kind: also present the keyed hash of the token, as this kind.
        scope_namespace: the values of ``scope`` or ``scp`` limit the token in this
            namespace; without it they are not looked at.
    """

    issuer: str = Field(min_length=1)
    audience: tuple[str, ...] = Field(min_length=1)
    jwks: Annotated[str, AfterValidator(_https)]
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "PS256", "ES256", "EdDSA"), min_length=1
    )
    types: tuple[str, ...] = ("at+jwt", "application/at+jwt", "jwt", "")
    refresh_seconds: float = Field(default=600.0, ge=60)
    claims: tuple[ClaimRule, ...] = Field(default=(JTI, SUB), min_length=1)
    actor: tuple[ClaimRule, ...] = Field(default=(SUB,), min_length=1)
    token_kind: Kind | None = None
    scope_namespace: str | None = None


class Route(Strict):
    """A part of the API with a mode and a required scope of its own."""

    mode: Mode = Mode.FAIL_CLOSED
    scope: str | None = None


class PdpCaller(Strict):
    """Who may ask AuthZEN and introspection: SHA-256 (hex) of a bearer token."""

    name: str
    sha256: Sha256


class PdpSettings(FileSettings):
    """All settings of the policy decision point.

    Attributes:
        url: of the Rescind server that feeds the guard; unused with ``feed: kafka``.
        credential: the guard's bearer token there; or in a file.
        name: of this guard, unique in its realm.
        realm: with ``feed: kafka``, whose credentials are judged.
        kinds: with ``feed: kafka``, those that the workers' settings declare.
        grpc_listen: where Envoy asks in gRPC mode; not at all without it.
        tls: certificate of both listeners; plain text without it.
        metrics_listen: where ``/metrics`` is served in place of `listen`; plain HTTP.
        base_url: how callers reach it, for the AuthZEN discovery document.
        header: where gateways pass the client's token on.
        malformed: what a token is that has dots but no header of a JWT: refused, or
            one opaque to us. A JWT that does not verify is refused in any case.
        unknown: what to do with credentials that no fact makes known, by kind.
        opaque_kind: the kind that names an opaque token.
        peppers: keys (base64) of the hash that names it, by their name.
        subjects: AuthZEN subject type to kind. ``token`` and kinds need no entry.
        scope: what an AuthZEN request asks for, of ``{action}``, ``{resource_type}``
            and ``{resource_id}``; without it only a narrowed credential is limited.
        ready_file: gets the URL once requests are accepted.
        decision_log: file that gets a line for each decision, for the sentinel.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    feed: Literal["server", "kafka"] = "server"
    url: str = "http://127.0.0.1:8750"
    credential: SecretStr | None = None
    credential_file: Path | None = None
    name: str = Field(default="pdp", min_length=1)
    realm: str = "default"
    kinds: dict[str, Literal["credential", "principal", "container"]] = Field(
        default_factory=dict
    )
    mode: Mode = Mode.FAIL_CLOSED
    lease_seconds: float = Field(default=1.0, gt=0, le=60)
    listen: Listen = Listen(port=8760)
    connections: ConnectionSettings = ConnectionSettings()
    grpc_listen: Listen | None = None
    tls: CertificateFiles | None = None
    metrics_listen: Listen | None = None
    base_url: str | None = None
    ready_file: Path | None = None
    decision_log: Path | None = None
    header: str = "Authorization"
    malformed: Literal["deny", "opaque"] = "deny"
    unknown: dict[Kind, UnknownPolicy] = Field(
        default_factory=lambda: dict(DEFAULT_POLICY.unknown)
    )
    opaque_kind: Kind = "secret"
    peppers: dict[str, Annotated[SecretStr, AfterValidator(_pepper)]] = Field(
        default_factory=dict
    )
    issuers: tuple[Issuer, ...] = ()
    routes: dict[str, Route] = Field(default_factory=dict)
    subjects: dict[str, Kind] = Field(default_factory=dict)
    scope: str | None = None
    callers: tuple[PdpCaller, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> PdpSettings:
        names = [each.issuer for each in self.issuers]
        if len(set(names)) != len(names):
            message = "issuers: each one stands once"
            raise ValueError(message)
        if self.scope is not None:
            try:
                self.scope.format(action="", resource_type="", resource_id="")
            except (KeyError, IndexError, ValueError, AttributeError) as error:
                message = "scope: use {action}, {resource_type} and {resource_id}"
                raise ValueError(message) from error
        return self

    def guard_credential(self) -> str:
        """Guard's token.

        Raises:
            ValueError: the settings have none.
            OSError: its file cannot be read.
        """
        if self.credential is not None:
            return self.credential.get_secret_value()
        if self.credential_file is None:
            message = "credential or credential_file: the guard's token is missing"
            raise ValueError(message)
        return self.credential_file.read_text("utf-8").strip()

    def pepper_keys(self) -> tuple[bytes, ...]:
        """Peppers, in the order of the settings."""
        given = self.peppers.values()
        return tuple(pepper_bytes(each.get_secret_value()) for each in given)


def load(path: Path | None = None, **overrides: Any) -> PdpSettings:
    """Read the settings from a YAML or JSON file, the environment and arguments.

    Raises:
        pydantic.ValidationError: a value is missing, unknown or out of range.
        ValueError: the file is not there or holds no settings, or a variable has a
            name that none has.
    """
    for name in os.environ:
        setting = name.removeprefix(PREFIX).partition("__")[0].lower()
        if name.startswith(PREFIX) and setting not in PdpSettings.model_fields:
            message = f"{name}: there is no such setting"
            raise ValueError(message)
    if path is None:
        return PdpSettings(**overrides)
    hold_settings(path)

    class FromFile(PdpSettings):
        model_config = SettingsConfigDict(yaml_file=path)

    return FromFile(**overrides)

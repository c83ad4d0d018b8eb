"""What an operator sets: a file, or the environment with the prefix ``RESCIND_``.

Nested values use two underscores: ``RESCIND_LISTEN__PORT=8443``. Tokens stand here
as SHA-256 only; webhook secrets come from the environment or the file and are never
logged.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)

from streams.model.by_vendor import whole
from streams.model.settings_files import hold_settings
from streams.model.shared_secret import SharedSecret
from streams.model.strict import Strict
from streams.settings.access import (
    Approvals,
    Oidc,
    QuotaSettings,
    StaticToken,
    TlsSettings,
)
from streams.settings.actuators import AnyActuator
from streams.settings.alerts import AlertSettings
from streams.settings.audit import AuditSink
from streams.settings.console import ConsoleSettings
from streams.settings.containment import ContainmentSettings, RuleName
from streams.settings.limits import ConnectionSettings, DeadLetterSettings
from streams.settings.peers import PeerSettings
from streams.settings.polls import AnyPoll
from streams.settings.posture import PostureSettings
from streams.settings.queues import QueueSettings
from streams.settings.sources import (
    RawTopicSettings,
    Socket,
    SourceSettings,
    SsfStream,
    WatchSettings,
)
from streams.settings.vendors import (
    GlobalRevocation,
    Hook,
    Scim,
    VaultSettings,
)
from streams.stages.ingest.entitlement import CONTAINMENT

PREFIX: Final = "RESCIND_"
ALIKE: Final = 0.8  # of 1; a variable that is less like a setting is not meant as one
_OF_OTHERS: Final = ("TOKEN", "URL", "PDP_", "KAFKA_", "WORKER_")


class Listen(Strict):
    """Where the server listens; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = Field(default=8750, ge=0, le=65535)


class GrantSettings(Strict):
    """Identifiers that an authority may speak of."""

    kind: str
    qualifier: str = ""


class Authority(Strict):
    """What one speaking system is entitled to.

    Attributes:
        issuer_log: its access log is the issuer's own, so a use makes the used
            credential known.
        blast_limit: number of identifiers, as in ``rescind blast-radius``, above which
            a revocation is the finding ``blast_limit``; unset: no limit.
        over_limit: such a revocation is enforced all the same (page), or not before
            a second person approves it (hold).
        quota: of what it pushes.
    """

    grants: tuple[GrantSettings, ...]
    issuer_log: bool = False
    blast_limit: int | None = Field(default=None, ge=1, le=100_000)
    over_limit: Literal["page", "hold"] = "page"
    quota: QuotaSettings = QuotaSettings()


class WebhookSettings(Strict):
    """Where alerts go: Standard Webhooks, the newest secret first.

    Attributes:
        allow_private: deliver to loopback and private addresses too.
    """

    url: str
    secrets: tuple[SecretStr, ...]
    allow_private: bool = False
    minimum_severity: int = Field(default=2, ge=1, le=5)


class StatusListSettings(Strict):
    """Token Status Lists, for readers that know only a credential's index.

    Attributes:
        url: public URL of ``/statuslists`` of this server; it is written into each
            credential, so it must stay the same.
        key: file with the private key that signs: P-256 or Ed25519, PEM.
        bits: of a status; with 1 a suspended credential is INVALID.
        size: how many indices a list has; half of them are given.
        ttl_seconds: for how long a reader may use a list, and so how much later than
            a guard it may deny; without one, the lease.
        history_seconds: how far back ``?time=`` reaches; 0 turns it off, since it
            lets anybody watch one credential over time.
    """

    url: str = Field(pattern=r"^https?://[^?#\s]*[^/?#\s]$")
    key: Path
    bits: Literal[1, 2, 4, 8] = 2
    size: int = Field(default=1 << 14, ge=8, le=1 << 20, multiple_of=8)
    ttl_seconds: int | None = Field(default=None, ge=1)
    history_seconds: int = Field(default=0, ge=0)


class SentinelSettings(Strict):
    """How accesses are judged, in seconds of event time.

    Attributes:
        skew: how far the clocks of a source and of an access log may differ.
        grace: an allowed use this soon after a cause was in flight.
        remember: how long a use is remembered, because a later fact may show that its
            credential was dead.
        silence: an episode without news for this long is closed.
        points: name of an enforcement point in an access log to the names of the
            guards that stand there, ``*`` for any part; without, it has the guard of
            its own name.
        most_uses: that are remembered of a realm, on Kafka of each partition of
            ``access``; of more the oldest are forgotten, and left to `rescind hunt`.
    """

    skew: float = Field(default=0.0, ge=0)
    grace: float = Field(default=1.0, ge=0)
    remember: float = Field(default=24 * 3600.0, gt=0)
    silence: float = Field(default=3600.0, gt=0)
    report_unknown: bool = True
    points: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    most_uses: int = Field(default=10_000_000, ge=1)


class ClosureSettings(Strict):
    """How the enforcement of revocations is followed.

    Attributes:
        deadline: seconds after which a revocation that not every guard enforces is a
            finding.
        probe_seconds: how often guards are asked whether they allow what is revoked;
            0 never asks.
        max_lease: seconds; a longer lease of a guard is treated as this one, and the
            closure waits at most this long for a guard that never had a lease.
        max_guards: that one credential may have registered at once.
        signed_receipts: take receipts of guards alone that ``guard_keys`` names. By
            default so on Kafka as soon as a key is there, where anybody who may write
            the topic has any other name; and not on the feed, where a name is bound
            to a credential.
    """

    deadline: float = Field(default=30.0, gt=0)
    probe_seconds: float = Field(default=10.0, ge=0)
    max_lease: float = Field(default=60.0, ge=1, le=3600)
    max_guards: int = Field(default=5000, ge=1, le=100_000)
    signed_receipts: bool | None = None


class _Environment(EnvSettingsSource):
    """Variables, which need the models of all vendors to tell a text from JSON."""

    def next_field(
        self, field: Any, key: str, case_sensitive: Any = None
    ) -> FieldInfo | None:
        """Find the field of a name."""
        if not isinstance(field, FieldInfo):
            field = whole(field)
        return super().next_field(field, key, case_sensitive)


class FileSettings(BaseSettings):
    """Settings of a process: a YAML or JSON file, or the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let arguments win over the environment, and that over the file."""
        del env_settings, dotenv_settings, file_secret_settings
        environment = _Environment(settings_cls)
        return init_settings, environment, YamlConfigSettingsSource(settings_cls)


class Settings(FileSettings):
    """All settings of the embedded server.

    Attributes:
        version: number of this configuration; stored in every fact it lets in.
        revoked_tokens: file of tokens that count no longer, read again when it changes.
        peppers: keys (base64) of the hash that names opaque tokens, by their name;
            while two are in use a token has two names.
        hashed_kinds: further kinds whose values are keyed hashes of secrets, such as
            ``opaque_kind`` of a PDP; a secret that is given instead is hashed.
        lease_seconds: how long a guard may answer from one proof of freshness.
        max_requests: that one credential may have under way at once.
        metrics_listen: where ``/metrics`` is served in place of `listen`; plain HTTP.
        ready_file: gets the URL once the server accepts requests.
        silent_seconds: without any event of a source, after which that is a finding, by
            the name that `rescind sources` shows; without one a source may be silent.
        actuators: what ends at its issuer what is dead here, by names that you choose.
        guard_keys: name of a guard, or of several with ``*`` for any part, to the file
            with its public key (Ed25519, PEM); its receipts must be signed then.
        relay_keys: name of a relay's key to the file with the public one (Ed25519,
            PEM); a receipt that it signed counts as the guard's own.
        audit_key: file of the private key (Ed25519, PEM) that signs the audit chain;
            else one is made in the data folder.
        audit_sinks: where its signed heads are kept outside.
        log_check_hours: between two looks at the whole log of the embedded server,
            which find what cannot be read; 0 has one look, after the start.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    version: int = 1
    realm: str = Field(default="default", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    data_dir: Path = Path("rescind-data")
    listen: Listen = Listen()
    metrics_listen: Listen | None = None
    ready_file: Path | None = None
    lease_seconds: float = Field(default=1.0, gt=0, le=60)
    max_body_bytes: int = Field(default=8 << 20, gt=0)
    max_requests: int = Field(default=256, gt=0)
    connections: ConnectionSettings = ConnectionSettings()
    tokens: tuple[StaticToken, ...] = ()
    revoked_tokens: Path | None = None
    oidc: dict[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")], Oidc] = Field(
        default_factory=dict
    )
    tls: TlsSettings | None = None
    approvals: Approvals = Approvals()
    console: ConsoleSettings = ConsoleSettings()
    containment: dict[RuleName, ContainmentSettings] = Field(default_factory=dict)
    authorities: dict[str, Authority] = Field(default_factory=dict)
    sources: dict[str, SourceSettings] = Field(default_factory=dict)
    kinds: dict[str, Literal["credential", "principal", "container"]] = Field(
        default_factory=dict
    )
    ssf: dict[str, SsfStream] = Field(default_factory=dict)
    hooks: dict[str, Hook] = Field(default_factory=dict)
    polls: dict[str, AnyPoll] = Field(default_factory=dict)
    queues: dict[str, QueueSettings] = Field(default_factory=dict)
    global_revocation: dict[str, GlobalRevocation] = Field(default_factory=dict)
    scim: Scim | None = None
    peppers: dict[str, SharedSecret] = Field(default_factory=dict)
    hashed_kinds: tuple[str, ...] = ()
    watch: tuple[WatchSettings, ...] = ()
    vaults: dict[str, VaultSettings] = Field(default_factory=dict)
    actuators: dict[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")], AnyActuator
    ] = Field(default_factory=dict)
    sockets: dict[str, Socket] = Field(default_factory=dict)
    raw_topics: tuple[RawTopicSettings, ...] = ()
    peers: PeerSettings = PeerSettings()
    webhook: WebhookSettings | None = None
    alerts: AlertSettings = AlertSettings()
    status_lists: StatusListSettings | None = None
    sentinel: SentinelSettings = SentinelSettings()
    posture: PostureSettings = PostureSettings()
    closure: ClosureSettings = ClosureSettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    silent_seconds: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict
    )
    guard_keys: dict[str, Path] = Field(default_factory=dict)
    relay_keys: dict[str, Path] = Field(default_factory=dict)
    audit_key: Path | None = None
    audit_sinks: tuple[AuditSink, ...] = ()
    log_check_hours: float = Field(default=24.0, ge=0, le=10_000)

    @field_validator("authorities")
    @classmethod
    def _not_our_own(cls, given: dict[str, Authority]) -> dict[str, Authority]:
        if CONTAINMENT in given:
            raise ValueError(f"{CONTAINMENT} speaks by the rules of containment alone")
        return given


def address(text: str) -> Listen:
    """Read ``HOST:PORT``, an IPv6 address in brackets.

    Raises:
        ValueError: it is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit():
        message = f"--listen {text!r}: write HOST:PORT, such as 127.0.0.1:8750"
        raise ValueError(message)
    return Listen(host=host.strip("[]"), port=int(port))


def refuse_misspelt() -> None:
    """Refuse a variable of the environment that nearly is a setting.

    Others with our prefix are of commands, or of services of a cluster.

    Raises:
        ValueError: there is one.
    """
    for name in os.environ:
        if not name.startswith(PREFIX):
            continue
        first, *rest = name.removeprefix(PREFIX).split("__")
        if first.lower() in Settings.model_fields or first.startswith(_OF_OTHERS):
            continue
        for near in get_close_matches(first.lower(), Settings.model_fields, 1, ALIKE):
            meant = "__".join([PREFIX + near.upper(), *rest])
            raise ValueError(f"{name}: there is no such setting; is it {meant}?")


def load(path: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings from a YAML or JSON file, the environment and arguments.

    Raises:
        pydantic.ValidationError: a value is missing, unknown or out of range.
        ValueError: the file is not there, or holds no names with values; a variable is
            none of ours or no JSON.
    """
    refuse_misspelt()
    if path is not None:
        hold_settings(path)

    class FromFile(Settings):
        model_config = SettingsConfigDict(yaml_file=path)

    try:
        return (Settings if path is None else FromFile)(**overrides)
    except SettingsError as error:
        named = re.search(r'field "(\w+)"', str(error))
        name = PREFIX + (named[1].upper() if named else "...")
        text = f"{name}: not JSON: write a list as [...], settings as {{...}}"
        raise ValueError(text) from error

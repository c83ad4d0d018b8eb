"""What settings describe, made: sources, keys, tolerances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from agents_registry.identifiers import Vocabulary, extend
from streams.apps.builders.access import ConfigurationError, check_authority
from streams.apps.builders.hooks import peppers_of
from streams.http.events import ConfiguredSource
from streams.model.error_text import error_text
from streams.model.extensions import ExtensionError
from streams.model.settings_files import text_of
from streams.model.times import SECOND
from streams.settings.formats import GENERIC
from streams.settings.peers import PeerSettings
from streams.sources.catalogue import source, vendors
from streams.sources.descriptor import ReaderSettings
from streams.ssf.streams import verifier_of
from streams.stages.closure.guard_names import GuardKeys, GuardNames, bearers
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from streams.services.reading import RecordReader
    from streams.settings.access import ClientCertificate, StaticToken
    from streams.settings.server import Settings
    from streams.settings.sources import Socket, SourceSettings, WatchSettings
    from streams.ssf.receiver import StreamVerifier

SIGNED: Final = "ssf"  # verified by `streams.http.push`, never read as plain events


def configured_sources(
    settings: Settings,
) -> tuple[Vocabulary, dict[str, ConfiguredSource]]:
    """Vocabulary with the settings' kinds, and the sources by name.

    Raises:
        ConfigurationError: a source has an unknown format, or no mapping file; or
            another distribution's source does not load.
    """
    kinds: dict[str, str] = dict(settings.kinds)
    sources, peppers = {}, peppers_of(settings)
    try:
        vendors()  # one that cannot be used is told now, and not when it is needed
        for name, each in settings.sources.items():
            make, declared = _reader(name, each, peppers)
            make()  # its modules are loaded now, and not while somebody waits
            kinds |= declared
            sources[name] = ConfiguredSource(name, make, each.point)
    except ExtensionError as error:
        raise ConfigurationError(str(error)) from error
    return extend(kinds), sources


def _reader(
    name: str, each: SourceSettings, peppers: Sequence[bytes]
) -> tuple[Callable[[], RecordReader], dict[str, str]]:
    """Maker of a source's readers, and the kinds that its mapping declares."""
    if each.format != GENERIC:
        if each.format == SIGNED:
            text = "signed tokens need a verified stream; set it up under ssf"
            raise ConfigurationError(f"source {name}: {text}")
        declared = dict(vendors()[each.format].kinds)
        return lambda: source(each.format, ReaderSettings(peppers)), declared
    if each.mapping is None:
        raise ConfigurationError(f"source {name}: generic needs a mapping file")
    from streams.sources.mapped.generic import Generic  # noqa: PLC0415 - lazily
    from streams.sources.mapped.mapping import load_mapping  # noqa: PLC0415 - lazily

    try:
        text = text_of(each.mapping)
    except ValueError as error:
        raise ConfigurationError(f"source {name}: mapping: {error}") from error
    mapping = load_mapping(text, str(each.mapping))
    return lambda: Generic(mapping), dict(mapping.kinds)


def configured_streams(settings: Settings) -> dict[str, StreamVerifier]:
    """Return the verifiers of the signed tokens of each stream, by its name.

    Raises:
        ConfigurationError: the keys of a stream cannot be read from their file, or
            its settings do not fit together.
    """
    verifiers = {}
    for name, each in settings.ssf.items():
        try:
            verifiers[name] = verifier_of(name, each)
        except (OSError, ValueError) as error:
            where = f"{each.jwks}: " if each.jwks else ""
            told = getattr(error, "strerror", None) or str(error)
            raise ConfigurationError(f"ssf {name}: {where}{told}") from error
    return verifiers


def configured_guard_keys(
    settings: Settings, *, in_topic: bool = False
) -> GuardKeys[Ed25519PublicKey]:
    """Keys with which guards sign.

    Args:
        settings: name their files.
        in_topic: receipts lie in a topic, without the credential of who wrote them.

    Raises:
        ConfigurationError: a key cannot be read.
    """
    keys = _public_keys("guard", settings.guard_keys)
    relays = _public_keys("relay", settings.relay_keys) if in_topic else {}
    signed = settings.closure.signed_receipts
    required = in_topic and bool(keys or relays) if signed is None else signed
    return GuardKeys(keys, required, relays)


def _public_keys(of: str, paths: Mapping[str, Path]) -> dict[str, Ed25519PublicKey]:
    """Public keys of guards or relays, by their names."""
    keys = {}
    for name, path in paths.items():
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            told = error_text(error) if isinstance(error, OSError) else "no key in PEM"
            raise ConfigurationError(f"{of} {name}: {path}: {told}") from error
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigurationError(f"{of} {name}: {path} is no Ed25519 public key")
        keys[name] = key
    return keys


def guard_names(settings: Settings, kind: type[GuardNames] = GuardNames) -> GuardNames:
    """Names of guards that the settings give to credentials."""
    credentials: list[StaticToken | ClientCertificate] = list(settings.tokens)
    credentials += () if settings.tls is None else settings.tls.clients
    settled = [
        (each.name, each.guards) for each in credentials if "guard" in each.roles
    ]
    # Nobody has the name of a rule: its names are those of whom it lets in.
    settled += [
        ("", rule.guards) for each in settings.oidc.values() for rule in each.roles
    ]
    most, longest = settings.closure.max_guards, lease_ceiling(settings)
    return kind(bearers(settled), most, longest)


def lease_ceiling(settings: Settings) -> int:
    """Longest lease that closure waits for (ns)."""
    return round(max(settings.closure.max_lease, settings.lease_seconds) * SECOND)


def check(settings: Settings, sources: dict[str, ConfiguredSource]) -> None:
    """Check that what the settings name is there.

    Raises:
        ConfigurationError: it is not.
    """
    for token in settings.tokens:
        check_authority(settings, f"token {token.name}", token.authority)
    _check_tokens(settings)
    for raw in settings.raw_topics:
        if raw.source not in sources or raw.authority not in settings.authorities:
            message = f"raw topic {raw.topic}: no such source or authority"
            raise ConfigurationError(message)
    for name, stream in settings.ssf.items():
        check_authority(settings, f"ssf {name}", stream.authority or None)
    _check_logs(settings, sources)


def check_embedded(settings: Settings) -> None:
    """Refuse what only roles on Kafka do, rather than leave it undone.

    Raises:
        ConfigurationError: the settings ask for it.
    """
    if settings.raw_topics:
        text = "only `rescind ingress` reads topics of Kafka: leave it out"
        raise ConfigurationError(f"raw_topics: {text}")
    if settings.relay_keys:
        text = "only `rescind worker` hears of guards over relays: leave it out"
        raise ConfigurationError(f"relay_keys: {text}")
    if settings.peers != PeerSettings():
        text = "`rescind serve` answers everything by itself: leave it out"
        raise ConfigurationError(f"peers: {text}")


def check_kafka(settings: Settings) -> None:
    """Refuse what only the embedded server does, rather than leave it undone.

    Raises:
        ConfigurationError: the settings ask for it.
    """
    closure = settings.closure
    if closure.probe_seconds and "probe_seconds" in closure.model_fields_set:
        text = "only `rescind serve` probes guards: leave it out, or set it to 0"
        raise ConfigurationError(f"closure.probe_seconds: {text}")
    if "log_check_hours" in settings.model_fields_set:
        text = "only `rescind serve` has a log of its own to read: leave it out"
        raise ConfigurationError(f"log_check_hours: {text}")


def _check_tokens(settings: Settings) -> None:
    """Refuse tokens that would do another thing than they say."""
    seen: dict[str, str] = {}
    for token in settings.tokens:
        other = seen.setdefault(token.sha256, token.name)
        if other != token.name:
            text = f"its sha256 is that of {other} too: make a token for each"
            raise ConfigurationError(f"token {token.name}: {text}")
        if "ingest" in token.roles and token.authority is None:
            text = "ingest needs an authority: say for which system it speaks"
            raise ConfigurationError(f"token {token.name}: {text}")


def _check_logs(settings: Settings, sources: dict[str, ConfiguredSource]) -> None:
    named: list[tuple[str, WatchSettings | Socket]]
    named = [(f"watch {each.path}", each) for each in settings.watch]
    named += [(f"socket {name}", each) for name, each in settings.sockets.items()]
    for what, each in named:
        if each.source not in sources:
            text = f"{what}: no source {each.source!r}: add it to sources"
            raise ConfigurationError(text)
        check_authority(settings, what, each.authority)


def tolerances(settings: Settings) -> Tolerances:
    """Tolerances of the sentinel, as it is set."""
    sentinel = settings.sentinel
    return Tolerances(
        skew=int(sentinel.skew * SECOND),
        grace=int(sentinel.grace * SECOND),
        remember=int(sentinel.remember * SECOND),
        silence=int(sentinel.silence * SECOND),
        report_unknown=sentinel.report_unknown,
        posture=settings.posture.limits,
        points=sentinel.points,
        most_uses=sentinel.most_uses,
        acting=settings.posture.agents.acting,
    )

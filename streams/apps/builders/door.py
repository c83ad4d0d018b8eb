"""The door of a process on Kafka, put together the same for every role."""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING

from schemas.placement import partition_of
from streams.apps.builders.access import ConfigurationError
from streams.clients.peers import Peers
from streams.http.door import Door
from streams.http.fleet_answers import FleetAnswers
from streams.http.peer_routes import CLOSURE, NOTIFY, REGISTRY, SENTINEL

if TYPE_CHECKING:
    from pathlib import Path

    from streams.http.auth import Tokens
    from streams.http.door import Serving
    from streams.http.peer_routes import PeerRole
    from streams.settings.kafka import KafkaSettings
    from streams.settings.peers import PeerSettings
    from streams.settings.server import Settings


def peers_of(settings: PeerSettings) -> Peers:
    """Return the processes of the settings.

    Raises:
        ConfigurationError: the CA's file cannot be used.
    """
    roles = ("ingress", "workers", "notify", "insights")
    urls = {name: getattr(settings, name) for name in roles}
    if not any(url.startswith("https:") for each in urls.values() for url in each):
        return Peers(urls, None)
    return Peers(urls, checking(settings.ca_file, "peers.ca_file"))


def guard_credential(file: Path | None, setting: str, wanted_by: str) -> str:
    """Return a guard's credential, with which a relay asks another process.

    Raises:
        ConfigurationError: no file is named, or it cannot be read.
    """
    if file is None:
        told = f"name the file of a guard's credential for {wanted_by}"
        raise ConfigurationError(f"{setting}: {told}")
    try:
        return file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{setting}: {file}: {error}") from error


def checking(ca_file: Path | None, setting: str) -> ssl.SSLContext:
    """Return what checks the certificates of other processes.

    Raises:
        ConfigurationError: the CA's file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        told = f"{ca_file}: {error.strerror or 'no certificate in PEM'}"
        raise ConfigurationError(f"{setting}: {told}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def door(
    role: PeerRole,
    name: str,
    settings: Settings,
    kafka: KafkaSettings,
    tokens: Tokens,
    serving: Serving = dict,
) -> Door:
    """Door of a process; ``running()`` opens its connections.

    Args:
        role: of the process.
        name: of the process.
        settings: the other processes, and the realm.
        kafka: the layout.
        tokens: prove callers.
        serving: partitions that the process answers for now.

    Raises:
        ConfigurationError: the CA's file cannot be used.
    """
    counts = dict.fromkeys((REGISTRY, CLOSURE, NOTIFY), kafka.partitions)
    counts[SENTINEL] = kafka.access_partitions
    place = partial(partition_of, partitions=kafka.partitions)
    peers = peers_of(settings.peers)
    answers = FleetAnswers(peers, settings.realm, place, counts)
    return Door(role, name, tokens, answers, serving)

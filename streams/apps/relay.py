"""The composition root of a relay on Kafka: the log in, feeds of guards out."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from enforcement.clocks import boottime
from enforcement.receipts import signer
from streams.apps.builders.access import ConfigurationError, access
from streams.apps.builders.door import checking, guard_credential
from streams.apps.builders.http_listener import accepting
from streams.apps.builders.kafka_realm import RelayContext, relayed
from streams.apps.builders.relayed_realms import (
    RelayedRealms,
    Relaying,
    first_realms,
)
from streams.apps.builders.sources import (
    check_kafka,
    configured_guard_keys,
    configured_sources,
    guard_names,
)
from streams.engines.kafka.client.publisher import Publisher
from streams.engines.kafka.clock.cluster_clock import (
    faults,
    machine_clock,
    offset_seconds,
)
from streams.engines.kafka.clock.rounds import measuring
from streams.engines.kafka.records.layout import RECEIPTS
from streams.engines.kafka.relay.log_pieces import LogPieces
from streams.engines.kafka.relay.peer_table import RelayPeers
from streams.engines.kafka.relay.relayed_roll import Signing
from streams.engines.kafka.topics.topics import assert_layout
from streams.http.metrics import Metrics, OneValue
from streams.http.probes import Probes
from streams.http.problems import problems
from streams.observability import metrics
from streams.process.lifecycle import until_stopped
from streams.process.loop_hold import LoopHold
from streams.stages.closure.guard_names import SettledNames

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.settings.kafka import KafkaSettings
    from streams.settings.relay import RelaySettings
    from streams.settings.server import Settings

log = structlog.get_logger()


async def relay(
    settings: Settings,
    kafka: KafkaSettings,
    own: RelaySettings,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Relaying], None] | None = None,
    clock: Callable[[], int] | None = None,
) -> None:
    """Feed guards until ``stop`` is set, or SIGTERM or SIGINT comes.

    Args:
        settings: credentials of guards, kinds, the lease, and where HTTP listens.
        kafka: the cluster and the layout.
        own: of this relay.
        stop: ends it.
        started: called once it accepts guards.
        clock: gives the time (ns); by default the machine's, held to the brokers'.

    Raises:
        ConfigurationError: the settings contradict themselves.
        LayoutError: the topics are not as they must be.
        KafkaError: the cluster cannot be reached or refuses.
        OSError: the address cannot be bound.
    """
    check_kafka(settings)
    clock = clock or machine_clock(kafka)
    signing, relays, held = _signing(own), _peers(own), LoopHold()
    entry = access(settings, clock)
    await assert_layout(kafka, (RECEIPTS,))
    measured = await measuring(kafka, clock)
    async with AsyncExitStack() as running:
        publisher = await running.enter_async_context(Publisher(kafka, own.ack_seconds))
        pieces = LogPieces(kafka)
        running.push_async_callback(pieces.close)
        about = _context(settings, kafka, publisher, pieces, (signing, relays), clock)
        make, first = partial(relayed, about), first_realms(settings)
        realms = RelayedRealms(make, entry.tokens, first, about.refused)
        app = web.Application(middlewares=[problems])
        realms.add_to(app)
        Probes(realms.stalled, realms.waiting, partial(faults, clock)).add_to(app)
        offset = OneValue(metrics.CLOCK_OFFSET, partial(offset_seconds, clock))
        Metrics(metrics.RELAY, held, realms, offset).add_to(app)
        entry.guard(app)
        url = await running.enter_async_context(accepting(app, settings, entry, realms))
        log.info("relaying", url=url)
        if started is not None:
            started(Relaying(url, realms))
        loops = (realms.run, held.watch, *entry.loops(), *measured)
        await until_stopped(stop or asyncio.Event(), *(each() for each in loops))


def _context(
    settings: Settings,
    kafka: KafkaSettings,
    publisher: Publisher,
    pieces: LogPieces,
    other: tuple[Signing | None, RelayPeers | None],
    clock: Callable[[], int],
) -> RelayContext:
    """Make what each realm is relayed with."""
    signing, peers = other
    vocabulary, _ = configured_sources(settings)
    return RelayContext(
        kafka=kafka,
        publisher=publisher,
        pieces=pieces,
        vocabulary=vocabulary,
        lease=settings.lease_seconds,
        names=partial(guard_names, settings, SettledNames),
        keys=configured_guard_keys(settings),
        signing=signing,
        clocks=(clock, boottime),
        refused=Counter(),
        peers=peers,
    )


def _signing(own: RelaySettings) -> Signing | None:
    """Key that vouches for guards.

    Raises:
        ConfigurationError: it cannot be read.
    """
    if own.signing_key is None:
        return None
    try:
        return Signing(own.key_name, signer(own.signing_key.read_bytes()))
    except (OSError, ValueError) as error:
        text = f"RESCIND_RELAY_SIGNING_KEY: {own.signing_key}: {error}"
        raise ConfigurationError(text) from error


def _peers(own: RelaySettings) -> RelayPeers | None:
    """Other relays.

    Raises:
        ConfigurationError: their token or their CA cannot be read.
    """
    if not own.peers:
        return None
    token = guard_credential(
        own.peers_token, "RESCIND_RELAY_PEERS_TOKEN", "RESCIND_RELAY_PEERS"
    )
    return RelayPeers(
        own.peers, token, checking(own.peers_ca, "RESCIND_RELAY_PEERS_CA")
    )

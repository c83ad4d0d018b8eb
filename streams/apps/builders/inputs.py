"""All by which a server takes in what sources and operators say, on either engine."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from streams.apps.builders.access import AccessControl, access
from streams.apps.builders.endings import IssuerEndings, endings
from streams.apps.builders.followed_logs import following, listening
from streams.apps.builders.hooks import Receivers, RequestCounts, receivers
from streams.apps.builders.orders import Orders, orders
from streams.apps.builders.queues import queue_readers
from streams.apps.builders.vendors import pollers, scim_server
from streams.http.events import Speakers
from streams.http.push import Push
from streams.http.sources import SourceMetrics, Sources
from streams.http.whoami import CallerRoute
from streams.pollers.file_tailer import FileTailer
from streams.pollers.socket_listener import SocketListener
from streams.services.cursors import KeptCursors
from streams.services.scim_resources import KeptResources
from streams.ssf.streams import Streams, Surroundings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from aiohttp import web
    from prometheus_client.registry import Collector

    from streams.apps.builders.description import Described
    from streams.apps.builders.vaults import Vaults
    from streams.http.auth import Tokens
    from streams.http.scim import ScimServer
    from streams.pollers.driver import Poller
    from streams.pollers.sqs import QueueReader
    from streams.ports.keyed_store import KeyedStore
    from streams.services.health_records import HealthRecords
    from streams.services.ingest import Intake
    from streams.services.source_health import HealthBook

    Loop = Callable[[], Coroutine[None, None, None]]


@frozen(kw_only=True)
class InputPorts:
    """What an engine gives to all that takes in.

    Attributes:
        intake: the way into the log.
        kept: the bodies beside it.
        book: how the sources are, which the keeper writes down.
        vaults: complete what is taken in.
        owner: name of the process, where others have files and sockets of their own.
    """

    intake: Intake
    kept: KeyedStore
    book: HealthBook
    keeper: HealthRecords
    vaults: Vaults
    owner: str = ""


@frozen
class Inputs:
    """What listens, asks and follows, and the orders of operators."""

    described: Described
    ports: InputPorts
    access: AccessControl
    tokens: Tokens
    speakers: Speakers
    orders: Orders
    endings: IssuerEndings
    counts: RequestCounts
    receivers: Receivers
    scim: ScimServer | None
    streams: Streams
    polls: tuple[Poller, ...]
    queues: tuple[QueueReader, ...]

    @property
    def collectors(self) -> tuple[Collector, ...]:
        """Collectors for ``/metrics``."""
        book = SourceMetrics(self.ports.book)
        ends = self.endings.collector
        return self.counts.collector, book, self.orders.collector, ends

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        self.access.guard(app)
        realm, kinds = (
            self.described.settings.realm,
            self.orders.log.stated.secrets.kinds,
        )
        CallerRoute(self.tokens, realm, kinds).add_to(app)
        self.orders.add_to(app)
        self.endings.add_to(app)
        self.receivers.add_to(app)
        if self.scim is not None:
            self.scim.add_to(app)
        Push(self.tokens, self.streams.receivers, self.speakers).add_to(app)
        Sources(self.tokens, self.ports.book, self.streams.receivers).add_to(app)

    def loops(self) -> list[Loop]:
        """Coroutines that every process of a realm runs, until cancelled."""
        ports = self.ports
        return [
            *self.access.loops(),
            *self.receivers.loops(),
            *(each.run for each in self.queues),
            self.orders.desk.run,
            self.orders.desk.schedule.run,
            self.orders.quota_watch.run,
            *self.streams.pushed(),
            *ports.vaults.asking(ports.intake, self.speakers),
            partial(ports.book.run, ports.keeper, ports.intake, self.speakers.own),
            *(tail.run for tail in self._tails()),
        ]

    def alone(self) -> dict[str, Loop]:
        """Coroutines that one process of a realm at a time runs, by their names."""
        ports = self.ports
        looking = ports.vaults.looking(ports.intake, ports.kept, self.speakers)
        polls: dict[str, Loop] = {each.name: each.run for each in self.polls}
        return polls | self.streams.polled() | looking

    def _tails(self) -> Iterator[FileTailer]:
        ports, clock = self.ports, self.speakers.clock
        for watch in self.described.settings.watch:
            followed = following(watch, self.described.sources, self.speakers)
            yield FileTailer(
                followed, ports.kept, ports.intake, clock, ports.book.count, ports.owner
            )

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for lines on the sockets of the settings.

        Raises:
            OSError: an address cannot be bound.
        """
        ports, clock = self.ports, self.speakers.clock
        async with AsyncExitStack() as servers:
            for lines in listening(self.described.sources, self.speakers):
                server = SocketListener(
                    lines, ports.kept, ports.intake, clock, ports.owner
                )
                await servers.enter_async_context(server.serving())
            yield


def inputs(
    given: Described,
    ports: InputPorts,
    clock: Callable[[], int],
    fresh_id: Callable[[], str],
) -> Inputs:
    """Make what takes in events and orders.

    Args:
        given: what the settings say of sources.
        ports: of the engine.
        clock: gives the time (ns).
        fresh_id: gives unique ids.

    Raises:
        ConfigurationError: the settings of a vendor or a credential cannot be used.
    """
    settings, intake, kept = given.settings, ports.intake, ports.kept
    entry = access(settings, clock)
    tokens, speakers = entry.tokens, Speakers(settings, clock)
    counts = RequestCounts(ports.book)
    resources = KeptResources(kept, intake)
    around = Surroundings(intake, speakers.speaker, ports.keeper, clock, fresh_id)
    write = partial(intake.records, patient=True)
    given_orders = orders(
        tokens=tokens,
        speakers=speakers,
        log=intake,
        kept=kept,
        vocabulary=given.vocabulary,
        vaults=ports.vaults,
        fresh_id=fresh_id,
        owner=ports.owner,
    )
    desk = given_orders.desk
    return Inputs(
        described=given,
        ports=ports,
        access=entry,
        tokens=tokens,
        speakers=speakers,
        orders=given_orders,
        endings=endings(tokens, speakers, intake, kept, given.vocabulary, desk),
        counts=counts,
        receivers=receivers(settings, tokens, speakers, intake, counts),
        scim=scim_server(settings, tokens, speakers, resources, fresh_id),
        streams=Streams(settings.ssf, given.verifiers, around),
        polls=pollers(settings, speakers, KeptCursors(kept, intake), counts),
        queues=queue_readers(settings, speakers, write, counts.of("queue")),
    )

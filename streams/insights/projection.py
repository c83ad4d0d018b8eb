"""The projection: two Faust agents that fill two windowed tables.

By Faust's public API alone. Each start has the tables of the last one at once, and
reads the topics from their beginning besides: what Faust lost comes again, and nothing
counts twice, since every row has the key of its own event. Answers are counted as
records come in: to read whole tables takes seconds.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import faust

from enforcement.kafka.faust_codec import NAME, register
from schemas.codec import in_force
from streams.engines.kafka.records.accesses import OPEN
from streams.engines.kafka.records.layout import INSIGHTS_TABLES, Topic, changelogs
from streams.engines.kafka.topics.administration import connected, create
from streams.model.times import SECOND
from streams.process.aside import walked
from streams.services.hourly_counts import (
    HOUR,
    CountedFinding,
    CountedRevocation,
    FindingState,
    HourlyIndex,
    HourlyTotals,
    hour_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.settings.insights import InsightsSettings
    from streams.settings.kafka import KafkaSettings

STAGE: Final = "insights"
READ: Final = ("findings", "invalidations")
COMMIT_SECONDS: Final = 0.5


async def make_changelogs(kafka: KafkaSettings, insights: InsightsSettings) -> None:
    """Make the changelog topics of the tables where there are none.

    Faust would make them too, and not wait until the brokers know them: then its tables
    take nothing until the next start.

    Raises:
        KafkaError: they may not be made.
        TimeoutError: they have no leaders after 30 s.
    """
    async with connected(kafka) as admin:
        await create(admin, _changelogs(kafka, insights))


class Projection:
    """Tables of what was revoked and found, by realm, authority, kind and hour.

    Attributes:
        ready: the tables are read back, and records are counted.
    """

    def __init__(
        self, kafka: KafkaSettings, insights: InsightsSettings, folder: Path
    ) -> None:
        """Set up; `run` counts.

        Args:
            kafka: of the cluster and the layout.
            insights: of this process.
            folder: that Faust wants; nothing of it is needed later.
        """
        self.ready = False
        topics = [kafka.topic(name) for name in READ]
        topics += [each.name for each in _changelogs(kafka, insights)]
        self._all = {
            (it, number) for it in topics for number in range(kafka.partitions)
        }
        register(in_force())
        self._app = app = faust.App(**_settings(kafka, folder))
        expires = timedelta(days=insights.days)
        self._index = HourlyIndex(expires // timedelta(seconds=1))

        self._revocations, self._episodes = (
            app.Table(name, partitions=kafka.partitions) for name in INSIGHTS_TABLES
        )
        self._count_revocations(
            kafka, self._revocations.tumbling(HOUR, expires=expires)
        )
        self._count_episodes(kafka, self._episodes.tumbling(HOUR, expires=expires))

        @app.task  # type: ignore[untyped-decorator]
        async def recovered() -> None:
            """Faust starts its tasks once the tables are read back."""
            await self._take_up()
            self.ready = True

    def _count_revocations(self, kafka: KafkaSettings, table: Any) -> None:
        causes = table.relative_to(lambda event: event.value["at"] / SECOND)

        @self._app.agent(self._topic(kafka, "invalidations"))
        async def revocations(stream: Any) -> None:
            async for event in stream.events():
                it = event.value
                if it["schema"] == "invalidation":
                    key = CountedRevocation(
                        it["realm"], it["authority"], it["effect"], it["cause"]
                    )
                    causes[tuple(key)] = 1
                    self._index.take_cause(key, hour_of(it["at"]))

    def _count_episodes(self, kafka: KafkaSettings, table: Any) -> None:
        episodes = table.relative_to(lambda event: event.value["first_seen"] / SECOND)

        @self._app.agent(self._topic(kafka, "findings"))
        async def findings(stream: Any) -> None:
            async for event in stream.events():
                it = event.value
                if it["schema"] == "finding":
                    key = CountedFinding(
                        it["realm"], it["authority"] or "", it["kind"], it["id"]
                    )
                    state = _state(event)
                    episodes[tuple(key)] = state
                    self._index.take_finding(key, hour_of(it["first_seen"]), state)

    def _topic(self, kafka: KafkaSettings, name: str) -> Any:
        return self._app.topic(
            kafka.topic(name),
            key_serializer="raw",
            value_serializer=NAME,
            # Nothing is committed, so each start reads all: Faust stops before the
            # last changes of a table are written, and counts those records as done.
            acks=False,
        )

    async def run(self) -> None:
        """Count until cancelled, or until Faust breaks.

        Raises:
            BaseException: why a part of Faust broke.
        """
        app = self._app
        app.finalize()
        try:
            await app.start()
            await app.wait_until_stopped()
        finally:
            self.ready = False
            await app.stop()
        if app.crash_reason is not None:
            raise app.crash_reason

    def waiting(self, _: float) -> list[str]:
        """Name what keeps this process from answering.

        With a part of the partitions it would answer with a part of the numbers.
        """
        app = self._app
        whole = self.ready and not app.rebalancing and self._all <= _assigned(app)
        return [] if whole else [STAGE]

    async def answer(self, realm: str, since: int, step: int) -> dict[str, Any]:
        """Count by so many hours since a time (s since 1970)."""
        total = HourlyTotals(since, step)
        await walked(self._index.summed(realm, total))
        return await asyncio.to_thread(total.answer)

    async def _take_up(self) -> None:
        """Count what the tables hold; records that come meanwhile count as well."""

        def steps() -> Iterator[None]:
            for (key, (begin, _)), _value in [*self._revocations.items()]:
                self._index.take_cause(CountedRevocation(*key), int(begin))
                yield
            for (key, (begin, _)), value in [*self._episodes.items()]:
                state = FindingState(*value)
                self._index.take_finding(CountedFinding(*key), int(begin), state)
                yield

        await walked(steps())


def _changelogs(kafka: KafkaSettings, insights: InsightsSettings) -> list[Topic]:
    """Changelogs, which windows that ended leave."""
    kept = timedelta(days=insights.days + 1) // timedelta(milliseconds=1)
    configs = {"cleanup.policy": "compact,delete", "retention.ms": str(kept)}
    return [
        Topic(
            name,
            kafka.partitions,
            kafka.replication_factor,
            configs,
        )
        for name in changelogs(kafka)
    ]


def _assigned(app: Any) -> set[tuple[str, int]]:
    return {(tp.topic, tp.partition) for tp in app.consumer.assignment()}


def _state(event: Any) -> FindingState:
    """State of a finding as its record says it."""
    told = dict(event.headers or ())
    _, _, revision = _text(told.get("ce_id")).rpartition("/")
    closed = _text(told.get(OPEN)) == "0"
    seconds = event.message.timestamp - event.value["first_seen"] / SECOND
    return FindingState(
        int(revision) if revision.isdigit() else 0,
        round(max(0.0, seconds), 3) if closed else None,
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _settings(kafka: KafkaSettings, folder: Path) -> dict[str, Any]:
    nodes = [each.strip() for each in kafka.bootstrap_servers.split(",")]
    return {
        "id": kafka.group(STAGE),
        "broker": [f"kafka://{node}" for node in nodes],
        "broker_credentials": _credentials(kafka.client()),
        "broker_commit_interval": COMMIT_SECONDS,
        "datadir": str(folder),
        "autodiscover": False,
        "web_enabled": False,
        "web_tables_enabled": False,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "stream_wait_empty": False,
        "producer_acks": -1,
        "table_standby_replicas": 0,
    }


def _credentials(client: dict[str, Any]) -> Any:
    context = client.get("ssl_context")
    if "sasl_mechanism" in client:
        return faust.SASLCredentials(
            mechanism=client["sasl_mechanism"],
            username=client["sasl_plain_username"],
            password=client["sasl_plain_password"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)

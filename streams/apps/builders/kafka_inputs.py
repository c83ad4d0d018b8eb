"""What an ingress on Kafka takes in by, beyond what both engines have."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from streams.apps.builders.inputs import InputPorts, Inputs, inputs
from streams.apps.builders.kafka_containment import (
    KafkaContainment,
    kafka_containment,
)
from streams.engines.kafka.client.leader_lock import LeaderLock
from streams.engines.kafka.ingress.followed_dead_letters import FollowedDeadLetters
from streams.engines.kafka.ingress.followed_findings import FollowedFindings
from streams.engines.kafka.ingress.raw import RawInput, RawTopic
from streams.http.dead_letters import DeadLetterPages
from streams.http.findings import FindingPages
from streams.http.names import Names
from streams.services.acknowledgements import KeptAcknowledgements
from streams.services.reading import read
from streams.services.silences import KeptSilences

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

    from aiohttp import web

    from streams.apps.builders.description import Described
    from streams.apps.builders.kafka_log import IngressLog
    from streams.http.events import ConfiguredSource, Speakers
    from streams.model.records import Record
    from streams.settings.sources import RawTopicSettings

    Loop = Callable[[], Coroutine[None, None, None]]


@frozen
class KafkaInputs:
    """What listens, asks and follows, and the orders of operators.

    Attributes:
        common: what the embedded server has, too.
        raw: the readers of raw topics, by topic.
        findings, letters: views of topics that are listed.
        containing: contains what findings name, where rules are set.
    """

    log: IngressLog
    common: Inputs
    raw: Mapping[str, RawInput]
    findings: FollowedFindings
    letters: FollowedDeadLetters
    containing: KafkaContainment | None

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        tokens, secrets = self.common.tokens, self.log.writer.stated.secrets
        self.common.add_to(app)
        Names(tokens, secrets, self.log.vaults.names).add_to(app)
        silences = KeptSilences(self.log.kept, self.common.speakers.clock)
        acknowledged = KeptAcknowledgements(self.log.kept, self.log.writer)
        FindingPages(
            tokens,
            self.findings,
            acknowledged,
            realm=self.common.described.settings.realm,
            clock=self.common.speakers.clock,
            silences=silences.all,
        ).add_to(app)
        DeadLetterPages(tokens, self.letters).add_to(app)

    def works(
        self, alone: Mapping[str, Callable[[], Coroutine[None, None, None]]]
    ) -> list[Coroutine[None, None, None]]:
        """Coroutines of sources and operators, which run until cancelled.

        Args:
            alone: what else one process of the realm does at a time, by its name.
        """
        log, common = self.log, self.common
        realm = common.described.settings.realm
        return [
            *(each() for each in common.loops()),
            *(each.run() for each in self.raw.values()),
            LeaderLock(log.kafka, realm, {**self._alone(), **alone}).run(),
            self.findings.run(),
            self.letters.run(),
        ]

    def _alone(self) -> dict[str, Loop]:
        """Works that one ingress of the realm does at a time."""
        works = self.common.alone()
        if self.containing is not None:
            works["containment"] = self.containing.run
        return works


def kafka_inputs(
    given: Described,
    log: IngressLog,
    clock: Callable[[], int],
    fresh_id: Callable[[], str],
) -> KafkaInputs:
    """Make what takes in events and orders.

    Args:
        given: what the settings say of sources.
        log: what is taken in goes into it.
        clock: gives the time (ns).
        fresh_id: gives unique ids.

    Raises:
        ConfigurationError: the settings of a vendor or a credential cannot be used.
    """
    ports = InputPorts(
        intake=log.writer,
        kept=log.kept,
        book=log.book,
        keeper=log.keeper,
        vaults=log.vaults,
        owner=log.name,
    )
    common = inputs(given, ports, clock, fresh_id)
    common.tokens.behind = lambda: log.publisher.stalled
    topics = _raw_topics(given.sources, common.speakers)
    settings, kafka = given.settings, log.kafka
    realm, kept = settings.realm, settings.dead_letters
    findings = FollowedFindings(kafka, realm, clock)
    return KafkaInputs(
        log=log,
        common=common,
        raw={
            topic.topic: RawInput(log.kafka, topic, log.name, log.writer)
            for topic in topics
        },
        findings=findings,
        letters=FollowedDeadLetters(kafka, realm, clock, kept),
        containing=kafka_containment(given, log, common, findings),
    )


def _raw_topics(
    sources: dict[str, ConfiguredSource], speakers: Speakers
) -> Iterator[RawTopic]:
    for each in speakers.settings.raw_topics:
        yield _raw(each, sources, speakers)


def _raw(
    each: RawTopicSettings, sources: dict[str, ConfiguredSource], speakers: Speakers
) -> RawTopic:
    configured = sources[each.source]

    async def records(data: bytes) -> Sequence[Record]:
        return await read(configured.make(), data, each.source)

    speaker = partial(speakers.speaker, each.authority, f"topic:{each.topic}")
    most = speakers.settings.max_body_bytes
    return RawTopic(each.topic, records, speaker, configured.point, most)

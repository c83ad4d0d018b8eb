"""The lists of findings and dead letters of a realm on Kafka, and what reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from streams.engines.kafka.ingress.followed_dead_letters import FollowedDeadLetters
from streams.engines.kafka.ingress.followed_findings import FollowedFindings
from streams.http.lists import Lists
from streams.services.silences import KeptSilences

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aiohttp import web

    from streams.apps.builders.kafka_log import IngressLog
    from streams.http.auth import Tokens
    from streams.settings.server import Settings


@frozen
class KafkaLists:
    """The pages, and the views of topics that they show."""

    pages: Lists
    findings: FollowedFindings
    letters: FollowedDeadLetters

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        self.pages.add_to(app)

    def works(self) -> list[Coroutine[None, None, None]]:
        """Coroutines that read the topics, until cancelled."""
        return [self.findings.run(), self.letters.run()]


def kafka_lists(
    settings: Settings, log: IngressLog, tokens: Tokens, clock: Callable[[], int]
) -> KafkaLists:
    """Make the lists of an ingress; of its realm, and by its tokens."""
    findings = FollowedFindings(log.kafka, settings.realm, clock)
    letters = FollowedDeadLetters(
        log.kafka, settings.realm, clock, settings.dead_letters
    )
    silences = KeptSilences(log.kept, clock)
    pages = Lists(tokens, findings, letters, silences.all)
    return KafkaLists(pages, findings, letters)

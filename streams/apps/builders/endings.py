"""What ends at issuers what is dead here, put together the same on either engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from streams.apps.builders.access import ConfigurationError
from streams.apps.builders.hooks import check_authorities
from streams.http.actuator_callbacks import ActuatorCallbacks
from streams.http.actuator_metrics import ActuatorMetrics
from streams.http.actuators import ActuatorPages
from streams.model.error_text import error_text
from streams.services.actuated_issuer import ActuatedIssuer
from streams.services.ending import EndingRounds
from streams.services.ending_book import EndingBook
from streams.services.ending_records import KeptEndings
from streams.services.late_answers import KeptQuestions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import web

    from agents_registry.identifiers import Vocabulary
    from streams.actuators.settings import ActuatorSettings
    from streams.http.auth import Tokens
    from streams.http.events import Speakers
    from streams.ports.keyed_store import KeyedStore
    from streams.services.approval_queue import ApprovalQueue
    from streams.services.ending_ports import CurrentFacts
    from streams.services.ingest import Intake


@frozen
class IssuerEndings:
    """The actuators of the settings, what is known of their work, and its pages.

    Attributes:
        issuers: those whose mode is not off.
        collector: of metrics.
    """

    issuers: Mapping[str, ActuatedIssuer]
    collector: ActuatorMetrics
    _records: KeptEndings
    _pages: ActuatorPages
    _callbacks: ActuatorCallbacks
    _vocabulary: Vocabulary
    _clock: Callable[[], int]

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        self._pages.add_to(app)
        self._callbacks.add_to(app)

    async def run(self, table: CurrentFacts) -> None:
        """Look, act and probe until cancelled, in an event loop beside the others.

        Args:
            table: of the realm, in the loop that runs this.
        """
        issuers, records = self.issuers, self._records
        await EndingRounds(issuers, self._vocabulary, table, records, self._clock).run()


def endings(
    tokens: Tokens,
    speakers: Speakers,
    log: Intake,
    kept: KeyedStore,
    vocabulary: Vocabulary,
    desk: ApprovalQueue,
) -> IssuerEndings:
    """Put it together, in the event loop that accepts.

    Raises:
        ConfigurationError: an actuator cannot be used.
    """
    settings, clock = speakers.settings, speakers.clock
    check_authorities(settings, "actuator", settings.actuators)
    issuers = {}
    for name, each in settings.actuators.items():
        if each.mode == "off":
            continue
        try:
            actuator = each.actuator(name, clock)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"actuator {name}: {error_text(error)}") from error
        grants = speakers.rights(each.authority).grants
        issuers[name] = ActuatedIssuer(name, each, actuator, grants, clock)
    records = KeptEndings(
        kept,
        log,
        settings.realm,
        {name: each.authority for name, each in settings.actuators.items()},
        speakers.speaker,
        speakers.own,
    )
    book = EndingBook()
    book.listen(kept)
    pages = ActuatorPages(tokens, speakers, book, log, desk)
    collector = ActuatorMetrics(book, tuple(settings.actuators))
    callbacks = _callbacks(settings.actuators, issuers, kept, clock)
    return IssuerEndings(
        issuers, collector, records, pages, callbacks, vocabulary, clock
    )


def _callbacks(
    settings: Mapping[str, ActuatorSettings],
    issuers: Mapping[str, ActuatedIssuer],
    kept: KeyedStore,
    clock: Callable[[], int],
) -> ActuatorCallbacks:
    """Have actuators hear what their issuers answer later, where settings say so."""
    questions, secrets = {}, {}
    for name, issuer in issuers.items():
        callback = getattr(settings[name], "callback", None)
        if callback is not None:
            questions[name] = KeptQuestions(kept, name, clock)
            secrets[name] = callback.secret
            issuer.actuator.hear(questions[name])
    return ActuatorCallbacks(questions, secrets, clock)

"""Token Status Lists of a realm, on either engine."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from streams.http.status_lists import StatusLists
from streams.process.aside import Aside, here
from streams.services.status_entries import StatusEntries

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.apps.builders.inputs import Inputs
    from streams.http.publication import Publication
    from streams.services.status_entries import JudgingTable


def status_lists(
    taking: Inputs,
    published: Publication,
    table: JudgingTable,
    fresh_id: Callable[[], str],
    aside: Aside = here,
) -> StatusLists:
    """Make what publishes the state of tokens; ``aside`` gets to the table."""
    speakers, ports = taking.speakers, taking.ports
    entries = StatusEntries(
        ports.kept, table, speakers.clock, fresh_id, secrets.randbelow, aside
    )
    vocabulary, names = taking.described.vocabulary, ports.intake.stated.secrets
    return StatusLists(taking.tokens, speakers, vocabulary, entries, published, names)

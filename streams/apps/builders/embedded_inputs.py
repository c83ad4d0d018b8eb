"""What the embedded engine gives to all that takes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.apps.builders.inputs import InputPorts, Inputs, inputs
from streams.apps.builders.vaults import configured_vaults
from streams.engines.embedded.fact_log import StoredFactLog
from streams.services.health_records import HealthRecords
from streams.services.ingest import Intake
from streams.services.source_health import HealthBook

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from streams.apps.builders.description import Described
    from streams.apps.builders.embedded_context import EmbeddedContext


async def embedded_inputs(
    given: Described,
    about: EmbeddedContext,
    room: Callable[[int], AbstractAsyncContextManager[None]],
) -> Inputs:
    """Make what takes in events.

    Args:
        given: what the settings say of sources.
        about: what all is made with.
        room: waits while guards are too far behind.

    Raises:
        ConfigurationError: the settings of a vendor or a credential cannot be used.
    """
    kept, clock, fresh_id = about.kept, about.clock, about.fresh_id
    book, keeper = HealthBook(clock, given.expected), HealthRecords(kept)
    await book.load(keeper)
    vaults = configured_vaults(given.settings, kept)
    log = StoredFactLog(about.store, room)
    intake = Intake(log, fresh_id, book.took, vaults.complete)
    ports = InputPorts(
        intake=intake, kept=kept, book=book, keeper=keeper, vaults=vaults
    )
    return inputs(given, ports, clock, fresh_id)

"""Bring table and sentinel of the embedded engine back from the file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agents_registry.identifiers import Identifier
from enforcement.turns import in_turns
from streams.engines.embedded.fact_steps import enlist, rebuild
from streams.engines.embedded.loaded_rows import LOADED
from streams.engines.embedded.stage_state import StageState
from streams.observability.failpoints import failpoint
from streams.stages.sentinel.revocation_offsets import MOST

if TYPE_CHECKING:
    from agents_registry.steps import Steps
    from streams.engines.embedded.reading import Stored


async def load_stages(state: StageState) -> None:
    """Bring the table and the sentinel back from the file."""
    query = "SELECT stage, position FROM positions"
    positions = dict(await state.store.read(query))
    state.saved = positions.get("registry", 0)
    state.judged = positions.get("sentinel", 0)
    state.told = positions.get("signals", 0)
    await state.rows.read(state.store)
    await in_turns(state.access.take_up())
    end = state.ends.facts
    while state.applied < end:
        await in_turns(
            _apply_all(state, await state.store.facts(state.applied, LOADED))
        )
    if state.registry.needs_rebuild:
        await rebuild(state)
    # All that is applied, not `end`: more came in while the file was read, and
    # what comes after is listed as it is applied.
    await _restore_known(state)
    position = state.saved
    while position < state.applied:
        limit = min(LOADED, state.applied - position)
        stored_facts = await state.store.facts(position, limit)
        await in_turns(_relist(state, stored_facts))
        position = stored_facts[-1].offset + 1
    await asyncio.to_thread(state.access.postures.of, state.name)
    state.realm.take_limited()  # they are noted from here on
    failpoint("start.loaded")
    state.loaded.set()


def _apply_all(state: StageState, stored_facts: list[Stored]) -> Steps[None]:
    for offset, fact in stored_facts:
        state.realm.apply(fact, offset)
        state.raise_applied(offset + 1)
        yield


async def _restore_known(state: StageState) -> None:
    """Take back from where on the log tells of the dead, as far as it is kept."""
    query = (
        "SELECT offset, identifier, cause, as_of FROM invalidations"
        " WHERE offset > (SELECT ifnull(max(offset), 0) - ? FROM invalidations)"
        " AND offset > ? ORDER BY offset LIMIT ?"
    )
    last = 0
    while rows := await state.store.read(query, MOST, last, LOADED):
        state.realm.known.restore(
            ((Identifier.parse(name), cause, as_of) for _, name, cause, as_of in rows),
            state.applied,
        )
        last = rows[-1][0]


def _relist(state: StageState, stored_facts: list[Stored]) -> Steps[None]:
    for offset, fact in stored_facts:
        enlist(state, offset, fact)
        yield

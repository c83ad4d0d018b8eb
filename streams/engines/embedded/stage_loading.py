"""Bring table and sentinel of the embedded engine back from the file."""

from __future__ import annotations

import asyncio

from agents_registry.identifiers import Identifier
from enforcement.turns import in_turns
from streams.engines.embedded.fact_steps import apply_next, rebuild
from streams.engines.embedded.loaded_rows import LOADED
from streams.engines.embedded.stage_state import StageState
from streams.observability.failpoints import failpoint
from streams.stages.sentinel.revocation_offsets import MOST


async def load_stages(state: StageState) -> None:
    """Bring the table and the sentinel back from the file."""
    query = "SELECT stage, position FROM positions"
    positions = dict(await state.store.read(query))
    state.facts.relist = state.saved = positions.get("registry", 0)
    state.judged = positions.get("sentinel", 0)
    state.told = positions.get("signals", 0)
    await state.kept.restore(state.facts)
    state.raise_applied(state.facts.position)
    await state.rows.read(state.store)
    await in_turns(state.access.take_up())
    end = state.ends.facts
    while state.applied < end:
        await apply_next(state, LOADED)
        state.raise_applied(state.facts.position)
    await rebuild(state)
    await _restore_known(state)
    await asyncio.to_thread(state.access.postures.of, state.name)
    state.realm.take_late()  # they are noted from here on
    failpoint("start.loaded")
    state.loaded.set()


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

"""Steps over facts: apply them, list what they condemned, build the table anew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from agents_registry.registry import Registry
from enforcement.turns import in_turns, resting_tables
from streams.engines.embedded.loaded_rows import LOADED
from streams.engines.embedded.stage_state import StageState
from streams.observability.failpoints import failpoint
from streams.services.traced_stages import trace_applied

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from agents_registry.steps import Steps
    from streams.engines.embedded.reading import Stored
    from streams.engines.embedded.transaction import Transaction

FACTS: Final = 200  # read from the file at once
# Positions are saved with outputs; without any, only this often.
IDLE_FACTS: Final = 10_000


async def take_facts(state: StageState) -> bool:
    """Apply the next facts; tell whether there were any."""
    if state.applied >= state.ends.facts:
        return False
    stored_facts = await state.store.facts(state.applied, FACTS)
    async with resting_tables():
        await in_turns(_take(state, stored_facts))
    state.access.limit(state.name, state.realm.take_limited())
    if state.registry.needs_rebuild:
        await rebuild(state)
    state.raise_applied(stored_facts[-1].offset + 1)
    return True


def _take(state: StageState, stored_facts: list[Stored]) -> Steps[None]:
    for offset, fact in stored_facts:
        state.realm.apply(fact, offset)
        enlist(state, offset, fact)
        failpoint("stages.fact_applied")
        yield


def enlist(state: StageState, offset: int, fact: Fact) -> None:
    """Have what a fact condemned listed."""
    state.realm.cascade.enlist(offset, fact)
    trace_applied(fact)


async def take_slice(state: StageState) -> bool:
    """List the next identifiers that the oldest waiting fact condemned."""
    cascade = state.realm.cascade
    oldest = cascade.oldest
    if oldest is None:
        return await _save_idle_position(state)
    found, done = await in_turns(cascade.next_slice())
    as_of = state.applied
    pairs = state.realm.note_dead(found, as_of)
    names = [each.identifier for each in found]
    await in_turns(state.access.reconsider(state.name, names, state.clock()))
    rows = [(str(identifier), cause) for identifier, cause in pairs]
    position = oldest
    if done:
        position = as_of if cascade.following is None else cascade.following
    failpoint("stages.before_slice")

    def job(tx: Transaction) -> None:
        tx.add_invalidations(rows, as_of)
        tx.set_position("registry", position)

    if rows or state.access.changed:
        await state.save(job)
        state.saved = position
    failpoint("stages.after_slice")
    state.pieces += 1
    if done:
        cascade.finish()
    return True


async def _save_idle_position(state: StageState) -> bool:
    if state.applied - state.saved < IDLE_FACTS:
        return False
    position = state.applied
    await state.store.write_in_time(lambda tx: tx.set_position("registry", position))
    state.saved = position
    return False


async def rebuild(state: StageState) -> None:
    """Build the table anew; the old one answers meanwhile."""

    def build() -> Registry:
        facts: list[Fact] = []
        while chunk := state.store.facts_now(len(facts), LOADED):
            facts += [stored.fact for stored in chunk]
        return Registry.build(facts, state.vocabulary)

    state.rebuilding = True
    state.realm.cascade.replace(await asyncio.to_thread(build))
    state.rebuilding = False
    state.realm.known.rebuilt(state.ends.facts)
    await in_turns(state.access.follow(state.clock()))
    await state.save()

"""Steps over facts: apply them, list what they condemned, build the table anew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from agents_registry.registry import Registry
from enforcement.turns import in_turns, resting_tables
from streams.engines.embedded.stage_state import LOADED, StageState, save_outputs
from streams.observability.failpoints import failpoint
from streams.stages.registry.registry import dead

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
    if state.registry.needs_rebuild:
        await rebuild(state)
    state.raise_applied(stored_facts[-1].offset + 1)
    return True


def _take(state: StageState, stored_facts: list[Stored]) -> Steps[None]:
    for stored in stored_facts:
        state.apply(stored)
        state.enlist(stored)
        state.posture.note(stored.fact)
        failpoint("stages.fact_applied")
        yield


async def take_slice(state: StageState) -> bool:
    """List the next identifiers that the oldest waiting fact condemned."""
    oldest = state.cascade.oldest
    if oldest is None:
        return await _save_idle_position(state)
    found, done = await in_turns(state.cascade.next_slice())
    now = state.clock()
    names = [each.identifier for each in found]
    as_of = state.applied
    pairs = [(name, why.cause.fact_id) for name, why in dead(found)]
    state.sentinel.known.note(pairs, as_of)
    outputs = await in_turns(state.sentinel.reconsider(names, state.registry, now))
    rows = [(str(identifier), cause) for identifier, cause in pairs]
    position = oldest
    if done:
        following = state.cascade.following
        position = state.applied if following is None else following
    failpoint("stages.before_slice")

    def job(tx: Transaction) -> None:
        tx.add_invalidations(rows, as_of)
        save_outputs(tx, outputs)
        tx.set_position("registry", position)

    if rows or outputs.uses or outputs.episodes:
        await state.store.write_in_time(job)
        state.saved = position
    failpoint("stages.after_slice")
    state.pieces += 1
    state.count(outputs)
    if done:
        state.cascade.finish()
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
    state.cascade.replace(await asyncio.to_thread(build))
    state.rebuilding = False
    if state.loaded.is_set():
        state.posture.follow(state.registry)
    state.sentinel.known.rebuilt(state.ends.facts)
    outputs = await in_turns(state.sentinel.follow(state.registry, state.clock()))
    if outputs.uses or outputs.episodes:
        await state.store.write_in_time(lambda tx: save_outputs(tx, outputs))
    state.count(outputs)

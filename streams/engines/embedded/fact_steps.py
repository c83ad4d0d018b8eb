"""Steps over facts: apply them, list what they condemned, build the table anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
    await apply_next(state, FACTS)
    state.access.note_late(state.name, state.realm.take_late())
    await rebuild(state)
    state.raise_applied(state.facts.position)
    return True


async def apply_next(state: StageState, most: int) -> None:
    """Apply the next facts of the file, so many."""
    stored_facts = await state.store.facts(state.facts.position, most)
    async with resting_tables():
        await in_turns(_apply(state, stored_facts))


def _apply(state: StageState, stored_facts: list[Stored]) -> Steps[None]:
    facts = state.facts
    for offset, fact in stored_facts:
        facts.apply(state.realm, fact, offset)
        facts.position = offset + 1
        if offset >= facts.relist:
            trace_applied(fact)
        failpoint("stages.fact_applied")
        yield


async def take_slice(state: StageState) -> bool:
    """List the next identifiers that facts condemned."""
    facts, as_of = state.facts, state.facts.position
    listed = await in_turns(facts.slices())
    if not listed:
        return await _save_idle_position(state)
    rows: list[tuple[str, str]] = []
    for realm, (found, _) in listed:
        pairs = facts.realm(realm).note_dead(found, as_of)
        rows += ((str(identifier), cause) for identifier, cause in pairs)
        names = [each.identifier for each in found]
        await in_turns(state.access.reconsider(realm, names, state.clock()))
    facts.finish(listed)
    position = facts.listed
    failpoint("stages.before_slice")

    def job(tx: Transaction) -> None:
        tx.stages.add_invalidations(rows, as_of)
        tx.stages.set_position("registry", position)

    if rows or state.access.changed:
        await state.save(job)
        state.saved = position
    failpoint("stages.after_slice")
    state.pieces += 1
    return True


async def _save_idle_position(state: StageState) -> bool:
    if state.applied - state.saved >= IDLE_FACTS:
        await _save_position(state, state.applied)
    return False


async def _save_position(state: StageState, position: int) -> None:
    await state.store.write_in_time(
        lambda tx: tx.stages.set_position("registry", position)
    )
    state.saved = position


async def keep_table(state: StageState) -> None:
    """Have the table kept in its file, and say from where on a start merges facts."""
    await state.kept.keep(state.facts)
    await _save_position(state, state.facts.listed)


async def rebuild(state: StageState) -> None:
    """Build the table anew where something was taken back; the old one answers."""
    if not state.registry.needs_rebuild:
        return
    state.rebuilding = True
    facts: list[Fact] = []
    start, end = 0, state.facts.position
    while start < end and (some := await state.store.facts(start, LOADED)):
        facts += (fact for offset, fact in some if offset < end)
        start = some[-1].offset + 1
    await in_turns(state.facts.build_anew({state.name: facts}))
    state.rebuilding = False
    await in_turns(state.access.follow(state.clock()))
    await state.save()

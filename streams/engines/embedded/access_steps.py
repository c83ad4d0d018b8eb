"""Steps over accesses and signals: judge them, and what waits to be asked again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson

from agents_registry.facts import HOUR
from enforcement.turns import in_turns
from streams.engines.embedded.stage_state import StageState
from streams.observability.failpoints import failpoint
from streams.pipeline.access_records import Accesses, AccessRecord, ScopeUse, Signal
from streams.stages.access.columns import AccessColumns
from streams.stages.access.uses import AccessEvent
from streams.stages.sentinel.scope_use import scoped

if TYPE_CHECKING:
    from streams.engines.embedded.transaction import Transaction

ACCESS_SECONDS: Final = 0.05  # of accesses between two other pieces of work
MOST_BLOCKS: Final = 64  # of accesses in one commit
JUDGE_SECONDS: Final = 0.005  # after which no further block goes into a commit


async def take_accesses(state: StageState, end: int) -> bool:
    """Judge accesses for a moment; tell whether there were any."""
    loop = asyncio.get_running_loop()
    until = loop.time() + ACCESS_SECONDS
    took = False
    while await _take_access(state, end):
        took = True
        if loop.time() >= until:
            break
    return took


async def _take_access(state: StageState, end: int) -> bool:
    """Judge the next blocks of accesses; what they bring is one commit."""
    if state.judged >= end:
        return False
    query = (
        "SELECT offset, block FROM access WHERE offset >= ? AND offset < ?"
        " ORDER BY offset LIMIT ?"
    )
    loop = asyncio.get_running_loop()
    rows = await state.store.read(query, state.judged, end, MOST_BLOCKS)
    now, until = state.clock(), loop.time() + JUDGE_SECONDS
    offset = state.judged
    for offset, block in rows:  # noqa: B007 - the last one that was judged
        await in_turns(state.access.judge(_read(state.name, block), now))
        if loop.time() >= until:
            break
    await in_turns(state.access.see_acted(now))
    failpoint("stages.before_access")
    await state.save(
        lambda tx: tx.stages.set_position("sentinel", offset + 1), urgent=True
    )
    failpoint("stages.after_access")
    state.judged = offset + 1
    return True


def _read(realm: str, block: bytes) -> list[AccessRecord]:
    batch = [AccessEvent.from_plain(plain) for plain in orjson.loads(block)]
    return [
        Accesses(realm, 0, AccessColumns.of(batch)),
        *(
            ScopeUse(realm, use.identifiers[0], use.scopes or (), use.at)
            for use in scoped(batch)
        ),
    ]


async def take_signals(state: StageState) -> bool:
    """Take in the next of what ingress saw by itself; tell whether there was any."""
    query = (
        "SELECT offset, body FROM signals WHERE offset >= ? AND offset < ?"
        " ORDER BY offset LIMIT 100"
    )
    if state.told >= state.ends.signals:
        return False
    rows = await state.store.read(query, state.told, state.ends.signals)
    signals = [Signal(state.name, orjson.loads(body)) for _, body in rows]
    await in_turns(state.access.judge(signals, state.clock()))
    position = rows[-1][0] + 1

    def job(tx: Transaction) -> None:
        tx.stages.set_position("signals", position)
        tx.log.forget_signals(position)

    await state.save(job)
    failpoint("stages.after_signals")
    state.told = position
    return True


async def take_posture(state: StageState, most: int) -> bool:
    """Look at the next nodes that may stand otherwise than before, so many."""
    now = state.clock()
    if not state.access.postures.of(state.name).waiting(now):
        return False
    await in_turns(state.access.inspect(state.name, now, most))
    state.pieces += 1
    if await state.save():
        failpoint("stages.after_posture")
    return True


async def take_receipts(state: StageState) -> None:
    """See whether what guards reported shows that lags were failures."""
    points = state.sentinel.points
    if not (state.unweighed or points.news):
        return
    news = points.take_news()
    # What was saved of receipts may not have been weighed before the start.
    told = None if state.unweighed else news
    state.unweighed = False
    await in_turns(state.access.recheck(state.name, told, state.clock()))
    await state.save()


async def take_unsettled(state: StageState) -> bool:
    """Ask about the next uses again whose time has come."""
    now = state.clock()
    if not state.access.unsettled(now):
        return False
    await in_turns(state.access.settle(now))
    await in_turns(state.access.see_acted(now))
    await state.save()
    return True


async def tidy(state: StageState, now: int) -> None:
    """Forget old uses and judged access blocks; close what is silent or over."""
    await in_turns(state.access.tidy(now))
    judged, old = state.judged, now - state.sentinel.remember
    if state.access.changed or now - state.tidied >= HOUR:
        await state.save(lambda tx: tx.log.forget_access(judged, old))
        state.tidied = now

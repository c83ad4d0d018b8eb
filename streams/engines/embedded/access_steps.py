"""Steps over accesses and signals: judge them, and what waits to be asked again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson
import structlog

from agents_registry.facts import HOUR
from enforcement.turns import in_turns
from streams.engines.embedded.stage_state import StageState, save_outputs
from streams.observability.failpoints import failpoint
from streams.stages.access.uses import AccessEvent
from streams.stages.sentinel.scope_use import scoped

if TYPE_CHECKING:
    from streams.engines.embedded.transaction import Transaction
    from streams.stages.sentinel.step import Outputs

ACCESS_SECONDS: Final = 0.05  # of accesses between two other pieces of work

log = structlog.get_logger()


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
    """Judge the next block of accesses."""
    if state.judged >= end:
        return False
    query = "SELECT offset, block FROM access WHERE offset >= ? ORDER BY offset LIMIT 1"
    ((offset, block),) = await state.store.read(query, state.judged)
    batch = [AccessEvent.from_plain(plain) for plain in orjson.loads(block)]
    now = state.clock()
    outputs = await in_turns(state.sentinel.observe(batch, state.registry, now))
    await _see_agents(state, outputs, now)
    told = ((u.identifiers[0], u.scopes, u.at) for u in scoped(batch))
    used = [
        (str(name), body)
        for name, scopes, at in told
        if (body := state.posture.used(name, scopes or (), at)) is not None
    ]
    failpoint("stages.before_access")

    def job(tx: Transaction) -> None:
        save_outputs(tx, outputs)
        tx.put_named("used_scopes", used)
        tx.set_position("sentinel", offset + 1)

    await state.store.write_in_time(job)
    failpoint("stages.after_access")
    state.count(outputs)
    state.judged = offset + 1
    return True


async def take_signals(state: StageState) -> bool:
    """Take in the next of what ingress saw by itself; tell whether there was any."""
    query = (
        "SELECT offset, body FROM signals WHERE offset >= ? AND offset < ?"
        " ORDER BY offset LIMIT 100"
    )
    if state.told >= state.ends.signals:
        return False
    rows = await state.store.read(query, state.told, state.ends.signals)
    signals = [orjson.loads(body) for _, body in rows]
    report = state.sentinel.report(signals, state.registry, state.clock())
    outputs = await in_turns(report)
    position = rows[-1][0] + 1

    def job(tx: Transaction) -> None:
        save_outputs(tx, outputs)
        tx.set_position("signals", position)
        tx.forget_signals(position)

    await state.store.write_in_time(job)
    failpoint("stages.after_signals")
    state.count(outputs)
    state.told = position
    return True


async def take_posture(state: StageState, most: int) -> bool:
    """Look at the next nodes that may stand otherwise than before, so many."""
    now = state.clock()
    if not state.posture.waiting(now):
        return False
    signals = await in_turns(state.posture.step(now, most))
    state.untold = True
    outputs = await in_turns(state.sentinel.report(signals, state.registry, now))
    state.pieces += 1
    watched = [(str(name), body) for name, body in state.posture.take_news()]

    def job(tx: Transaction) -> None:
        save_outputs(tx, outputs)
        tx.put_named("used_scopes", watched)

    if outputs.episodes or watched:
        await state.store.write_in_time(job)
        failpoint("stages.after_posture")
    state.untold = False
    state.count(outputs)
    return True


async def take_receipts(state: StageState) -> None:
    """See whether what guards reported shows that lags were failures."""
    first, state.unweighed = state.unweighed, False
    if not (first or state.sentinel.points.news):
        return
    state.rechecking = True
    # What was saved of receipts may not have been weighed before the start.
    news = state.sentinel.points.take_news()
    points = None if first else news
    outputs = await in_turns(state.sentinel.recheck(points, state.clock()))
    if outputs.episodes:
        await state.store.write_in_time(lambda tx: save_outputs(tx, outputs))
    state.count(outputs)
    state.rechecking = False


async def take_unsettled(state: StageState) -> bool:
    """Ask about the next uses again whose time has come."""
    now = state.clock()
    if not state.sentinel.unsettled(now):
        return False
    state.telling = True
    outputs = await in_turns(state.sentinel.settle(state.registry, now))
    await _see_agents(state, outputs, now)
    if outputs.uses or outputs.episodes:
        await state.store.write_in_time(lambda tx: save_outputs(tx, outputs))
    state.count(outputs)
    state.telling = False
    return True


async def _see_agents(state: StageState, outputs: Outputs, now: int) -> None:
    """Take in what a step found of agents; add what that changed to its outputs."""
    if outputs.acted:
        steps = state.sentinel.see_agents(outputs.acted, state.registry, now)
        told = await in_turns(steps)
        outputs.episodes.update(told.episodes)
        outputs.opened += told.opened


async def tidy(state: StageState, now: int) -> None:
    """Forget old uses and judged access blocks; close what is silent or over."""
    outputs = await in_turns(state.sentinel.expire(now))
    denied = await in_turns(state.sentinel.end_denied(state.registry, now))
    outputs.episodes.update(denied.episodes)
    ended = state.sentinel.end_declared(state.registry, now)
    declared = await in_turns(ended)
    outputs.episodes.update(declared.episodes)
    if outputs.forgotten:
        log.warning("uses_forgotten_early", count=outputs.forgotten)
    judged, old = state.judged, now - state.sentinel.remember
    hourly = now - state.tidied >= HOUR
    unused = state.posture.forget(now) if hourly else []
    if not (outputs.uses or outputs.episodes or outputs.dropped or hourly):
        return

    def job(tx: Transaction) -> None:
        save_outputs(tx, outputs)
        tx.put_named("used_scopes", ((str(name), None) for name in unused))
        tx.forget_access(judged, old)

    await state.store.write_in_time(job)
    state.tidied = now

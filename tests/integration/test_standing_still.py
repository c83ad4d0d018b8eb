"""A server whose loops hang, on a real file, and one that only has to wait."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import TYPE_CHECKING

import orjson
import pytest

from streams.engines.embedded import access_steps
from streams.engines.embedded import stages as embedded_stages
from streams.engines.embedded.deliveries import DeliveryRows
from streams.engines.embedded.liveness import LATE_SECONDS, LoopLiveness
from tests.integration.serving import running, until
from tests.integration.test_stages_loop import append, looping, revoke

if TYPE_CHECKING:
    from pathlib import Path

    from streams.engines.embedded.stage_state import StageState
    from streams.engines.embedded.stages import Stages
    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction

pytestmark = pytest.mark.integration

OFTEN, SOON = 0.05, 0.5  # in place of seconds, and of half a minute


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let idle loops come round often."""
    monkeypatch.setattr("streams.engines.embedded.stages.TIDY_SECONDS", OFTEN)
    monkeypatch.setattr("streams.engines.embedded.liveness.PERIOD", OFTEN)


def watching(store: Store, stages: Stages) -> LoopLiveness:
    """Watch the loop of the stages; nobody gets alerts."""
    return LoopLiveness(store, stages, DeliveryRows(store), SOON)


def looked(watch: LoopLiveness) -> list[str]:
    """Look once, and say who stands still."""
    now = asyncio.get_running_loop().time()
    watch.judge(now)
    return watch.stalled(now)


async def test_a_block_that_is_judged_over_and_over_is_no_progress(
    tmp_path: Path,
) -> None:
    """The loop turns and works, and never moves on; mended, it is well again."""
    async with looping(tmp_path) as (store, stages):
        watch, progress = watching(store, stages), stages.progress
        right = access_steps._take_access

        async def forgets_its_place(state: StageState, end: int) -> bool:
            place = state.judged
            worked = await right(state, end)
            state.judged = place
            return worked

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(access_steps, "_take_access", forgets_its_place)
            await store.write(lambda tx: tx.log.add_access(orjson.dumps([]), 1))
            assert ["stages"] == await until(lambda: looked(watch))
            await until(lambda: progress.turned_at > progress.moved_at + SOON)
        await until(lambda: stages.idle and not looked(watch))


async def test_a_stage_that_waits_for_ever_is_named(tmp_path: Path) -> None:
    """For anything but the file: while it hangs its backlog stands."""
    async with looping(tmp_path) as (store, stages):
        watch, never = watching(store, stages), asyncio.Event()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(embedded_stages, "take_slice", lambda _: never.wait())
            await append(store, revoke())
            await until(lambda: ["stages"] == looked(watch) and stages.backlog)
        never.set()
        await until(lambda: stages.idle and not looked(watch))


async def test_a_file_that_is_not_written_is_waited_for(tmp_path: Path) -> None:
    """Who has waited for how long is known while it lasts, and forgotten then."""
    async with looping(tmp_path) as (store, _):
        held = threading.Event()

        def job(_: Transaction) -> None:
            held.wait()

        later = asyncio.get_running_loop().time() + 2 * LATE_SECONDS
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(store.write_in_time(job))
            await until(lambda: store.waited(later) > LATE_SECONDS)
            held.set()
        await until(lambda: store.waited(later) < LATE_SECONDS)


async def test_the_server_says_that_a_stage_hangs(tmp_path: Path) -> None:
    """Where orchestrators ask, and without a token."""
    with pytest.MonkeyPatch.context() as patch:
        soon = functools.partial(LoopLiveness, still_seconds=SOON)
        patch.setattr("streams.apps.builders.embedded_analysis.LoopLiveness", soon)
        async with running(tmp_path) as server:

            async def live() -> tuple[int, str]:
                async with server.session.get(f"{server.url}/healthz/live") as got:
                    return got.status, await got.text()

            async def becomes(status: int, text: str) -> bool:
                return await live() == (status, text)

            never = asyncio.Event()
            await until(lambda: becomes(200, "live\n"))
            patch.setattr(embedded_stages, "take_slice", lambda _: never.wait())
            body = {"identifier": "aws.access_key:AKIAEXAMPLE000000001"}
            assert 201 == (await server.post("/v1/revocations", "revoker", body))[0]
            await until(lambda: becomes(503, "not live: stages\n"))
            patch.undo()
            never.set()
            await until(lambda: becomes(200, "live\n"))

"""The SQLite file: one writer, groups, no gaps, one process."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import asynccontextmanager, closing
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import HOUR, Node, fact_key
from agents_registry.identifiers import Identifier
from schemas.codec import encode_fact
from streams.engines.embedded import store as store_module
from streams.engines.embedded.chain import Chain
from streams.engines.embedded.data_folder import FILE, StoreInUseError
from streams.engines.embedded.store import Commit, Store
from streams.engines.embedded.transaction import Transaction
from streams.ports.fact_log import Encoded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.integration


@asynccontextmanager
async def opened(folder: Path, realm: str = "r") -> AsyncIterator[Store]:
    """Open a store until the context ends."""
    store = Store.open(folder, realm=realm, genesis="g1")
    try:
        yield store
    finally:
        await store.close()


def adding(*facts: Encoded) -> Callable[[Transaction], int]:
    """Give a job that appends facts."""
    return lambda tx: tx.log.add_facts(facts)


def encoded(value: str, received_at: int = 1) -> Encoded:
    """Give a node fact as it goes into the log."""
    node = Identifier("vault.accessor", value)
    fact = Node(authority="a", version=1, received_at=received_at, node=node)
    return Encoded(fact_key("r", fact), encode_fact(fact), fact)


async def test_groups_requests_without_gaps(tmp_path: Path) -> None:
    """A hundred requests at once get offsets 0..99 in far fewer commits."""
    async with opened(tmp_path) as store:
        commits: list[Commit] = []
        store.listeners.append(commits.append)
        await asyncio.gather(
            *(store.write(adding(encoded(str(n))), urgent=True) for n in range(100))
        )
        stored = await store.facts(0, 1000)

        assert list(range(100)) == [each.offset for each in stored]
        assert len(commits) < 50
        assert sum(len(commit.facts) for commit in commits) == 100


async def test_a_failing_request_leaves_its_group_alone(tmp_path: Path) -> None:
    """A job that raises is undone by itself; its neighbours are written."""

    def bad(tx: Transaction) -> None:
        tx.log.add_facts([encoded("bad")])
        raise LookupError("no")

    async with opened(tmp_path) as store:
        commits: list[Commit] = []
        store.listeners.append(commits.append)
        results = await asyncio.gather(
            store.write(adding(encoded("a")), urgent=True),
            store.write(bad, urgent=True),
            store.write(adding(encoded("b")), urgent=True),
            return_exceptions=True,
        )
        stored = await store.facts(0, 10)

        told = [(each.offset, each.fact) for one in commits for each in one.facts]
        assert [(each.offset, each.fact) for each in stored] == told
        assert commits[-1].end == 2
        assert [1, 1] == [results[0], results[2]]
        assert isinstance(results[1], LookupError)
        assert [0, 1] == [each.offset for each in stored]
        assert ["a", "b"] == [
            each.fact.node.value for each in stored if isinstance(each.fact, Node)
        ]


async def test_stages_that_wait_share_a_commit_behind_requests(tmp_path: Path) -> None:
    """An alert waits for one commit of others, and no reply for a stage's rows."""
    begun, over = threading.Event(), threading.Event()

    def first(tx: Transaction) -> int:
        begun.set()
        over.wait()
        return adding(encoded("first"))(tx)

    async with opened(tmp_path) as store:
        commits: list[Commit] = []
        store.listeners.append(commits.append)
        writes = [asyncio.create_task(store.write(first))]
        await asyncio.to_thread(begun.wait)
        for number in range(6):
            job, urgent = adding(encoded(str(number))), number in {2, 4}
            writes.append(asyncio.create_task(store.write(job, urgent=urgent)))
        await asyncio.sleep(0)
        over.set()
        await asyncio.gather(*writes)

        assert [(0, 1), (1, 3), (3, 7)] == [(each.start, each.end) for each in commits]


async def test_requests_without_end_do_not_keep_stages_waiting(tmp_path: Path) -> None:
    """Of requests that come in during each commit, a stage waits for so many."""
    loop, ran = asyncio.get_running_loop(), list[str]()
    most = 10 * store_module.URGENT_TURNS
    async with opened(tmp_path) as store:
        writes: list[asyncio.Task[None]] = []

        async def ask() -> None:
            writes.append(asyncio.create_task(store.write(request, urgent=True)))
            if not ran:
                writes.append(asyncio.create_task(store.write(stage)))
            await asyncio.sleep(0)

        def stage(_: Transaction) -> None:
            ran.append("stage")

        def request(_: Transaction) -> None:
            if len(ran) < most:  # another one is there before this one is committed
                asyncio.run_coroutine_threadsafe(ask(), loop).result()
                ran.append("request")

        await ask()
        while len(ran) < most:
            await asyncio.gather(*writes)

        assert "stage" in ran[: 2 * store_module.URGENT_TURNS]
        assert ran[:3] == ["request"] * 3  # and they go first


async def test_a_copy_is_written_once_an_hour(tmp_path: Path) -> None:
    """The key holds the hour, so a replay never replaces the genuine copy."""
    async with opened(tmp_path) as store:
        for received_at in (1, 2, HOUR + 1):
            await store.write(adding(encoded("a", received_at)))
        stored = await store.facts(0, 10)

        assert [1, HOUR + 1] == [each.fact.received_at for each in stored]


async def test_refuses_a_second_process(tmp_path: Path) -> None:
    """Two writers of one log would both promise its order."""
    async with opened(tmp_path):
        with pytest.raises(StoreInUseError):
            Store.open(tmp_path, realm="r", genesis="g2")


async def test_keeps_its_genesis_and_refuses_another_realm(tmp_path: Path) -> None:
    """The log's id is given once; a realm's log is never served as another's."""
    async with opened(tmp_path):
        pass
    store = Store.open(tmp_path, realm="r", genesis="g2")
    assert store.genesis == "g1"
    await store.close()
    with pytest.raises(ValueError, match="realm 'r'"):
        Store.open(tmp_path, realm="other", genesis="g3")


async def test_a_file_that_cannot_be_written_fails_the_request_alone(
    tmp_path: Path,
) -> None:
    """The request gets the error, nothing is half there, later ones work."""
    async with opened(tmp_path) as store:
        blocker = sqlite3.connect(store.path, isolation_level=None)
        blocker.execute("CREATE TRIGGER full BEFORE INSERT ON recent_facts"
                        " BEGIN SELECT RAISE(ABORT, 'disk full'); END")  # fmt: skip
        with pytest.raises(sqlite3.Error):
            await store.write(adding(encoded("a")), urgent=True)
        blocker.execute("DROP TRIGGER full")
        blocker.close()
        await store.write(adding(encoded("b")), urgent=True)

        assert [0] == [each.offset for each in await store.facts(0, 10)]


async def test_a_steady_load_does_not_grow_the_log_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut while requests keep coming, and none of them fails."""
    monkeypatch.setattr(store_module, "CHECKPOINT_SECONDS", 0.01)
    monkeypatch.setattr(store_module, "LONG_LOG", 256 << 10)
    async with opened(tmp_path) as store:
        sizes = []
        for number in range(600):
            facts = [encoded(f"{number}/{n}" + "x" * 200) for n in range(10)]
            await store.write(adding(*facts), urgent=True)
            sizes.append((tmp_path / "rescind.db-wal").stat().st_size)

        assert any(after < before for before, after in pairwise(sizes))
        assert 6000 == store.end


async def test_the_end_is_moved_before_anybody_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is answered may ask for the end of the log at once."""
    async with opened(tmp_path) as store:
        loop = asyncio.get_running_loop()
        tell, ends = loop.call_soon_threadsafe, []

        def telling(*arguments: Any, **options: Any) -> asyncio.Handle:
            ends.append(store.end)
            return tell(*arguments, **options)

        monkeypatch.setattr(loop, "call_soon_threadsafe", telling)
        await store.write(adding(encoded("a"), encoded("b")), urgent=True)

        assert [2] == ends[:1]


async def test_a_start_does_not_read_the_whole_audit_chain(tmp_path: Path) -> None:
    """What it looks up of the chain costs the same however long that is."""
    steps = []
    for count in (100, 2000):
        facts = [encoded(f"{count}-{number}") for number in range(count)]
        async with opened(tmp_path) as store:
            await store.write(adding(*facts))
        with closing(sqlite3.connect(tmp_path / FILE)) as db:
            ticks: list[None] = []
            db.set_progress_handler(partial(ticks.append, None), 10)
            Chain(db, "r", "g").catch_up()
            steps.append(len(ticks))
    assert steps[1] <= steps[0] + 5

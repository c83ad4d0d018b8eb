"""Pages of the file that cannot be read: what does not need them goes on."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
from contextlib import closing
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest
from structlog.testing import capture_logs

from agents_registry.facts import Node
from agents_registry.identifiers import Identifier
from schemas.codec import decode_fact
from streams.engines.embedded import (
    fact_lookup,
    fact_rows,
    log_check,
    merging,
    packed_facts,
    packing,
    readable_spans,
)
from streams.engines.embedded.fact_rows import facts_between
from streams.engines.embedded.log_check import LogCheck
from streams.engines.embedded.packing import Packing
from tests.contract.port_cases import REALM
from tests.integration.test_packing import SAID, opened, write

if TYPE_CHECKING:
    from pathlib import Path

    from agents_registry.facts import Fact
    from streams.engines.embedded.store import Store

pytestmark = pytest.mark.integration

PLACES: Final = 128
AT: Final = 640  # where the damaged block begins


def facts_of(start: int, end: int) -> list[Fact]:
    """Give facts that are not compressed to nothing."""
    return [
        Node(
            node=Identifier("vault.accessor", hashlib.sha256(b"%d" % n).hexdigest()),
            **SAID,
        )
        for n in range(start, end)
    ]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks be small, and rests short."""
    modules = fact_lookup, fact_rows, merging, packed_facts, packing, readable_spans
    for module in modules:
        monkeypatch.setattr(module, "PLACES", PLACES)
    for module in (log_check, merging, packing, readable_spans):
        monkeypatch.setattr(module, "REST_SECONDS", 0)
    monkeypatch.setattr(packing, "KEEP", 3)


async def packed(folder: Path, most: int, facts: list[Fact]) -> None:
    """Have a file that is so slow that a block has so many facts."""
    async with opened(folder) as store:
        await write(store, facts)
        slow = Packing(store, REALM, lambda: 0.0)
        put = slow._put

        async def as_slow(made: Any) -> None:
            await put(made)
            slow._most = most

        slow._most, slow._put = most, as_slow  # type: ignore[method-assign]
        await slow.catch_up()
        path = store.path
    with closing(sqlite3.connect(path)) as db:
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def damage(folder: Path, form: str) -> None:
    """Damage the page of a block, or where it says that the rest of it is."""
    path = folder / "rescind.db"
    with closing(sqlite3.connect(path)) as db:
        ((size,),) = db.execute("PRAGMA page_size")
        query = "SELECT ids, body FROM fact_blocks WHERE start = ?"
        ((ids, body),) = db.execute(query, (AT,))
    data = bytearray(path.read_bytes())
    assert 1 == data.count(ids[:64])
    place = data.index(ids[:64])
    if form == "leaf":
        page = place // size * size
        data[page : page + 8] = b"\xff" * 8
    else:
        rest = (data.index(body[-20:]) // size + 1).to_bytes(4)
        at = data.index(rest, place)
        assert at < place // size * size + size
        data[at : at + 4] = (2**31 - 5).to_bytes(4)
    path.write_bytes(data)


async def works(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let a server pack and merge until nothing is left to do; give what it says."""

    async def pause(seconds: float) -> None:
        if seconds == packing.LOOK_SECONDS:
            raise asyncio.CancelledError

    with capture_logs() as logs, monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", pause)
        with pytest.raises(asyncio.CancelledError):
            await Packing(store, REALM, lambda: 0.0).run()
    return [line for line in logs if line["log_level"] != "info"]


def spans(folder: Path, start: int, end: int) -> list[tuple[int, int]]:
    """Give starts and ends of the blocks of some offsets."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db:
        query = (
            "SELECT start, start + length(ids) / 32 FROM fact_blocks"
            " WHERE start >= ? AND start < ? ORDER BY start"
        )
        return db.execute(query, (start, end)).fetchall()


@pytest.mark.parametrize(("form", "most"), [("leaf", 16), ("rest", 64)])
async def test_facts_around_a_damaged_page_are_packed_and_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, most: int
) -> None:
    """A server says it once and goes on; all that can be read is what it was."""
    await packed(tmp_path, most, facts_of(0, 1_300))
    assert len(spans(tmp_path, 0, 1_300)) >= 1_280 // most
    damage(tmp_path, form)
    async with opened(tmp_path) as store:
        await write(store, facts_of(1_300, 1_700))
        said = await works(store, monkeypatch)
        assert [] == await works(store, monkeypatch) or form == "leaf"
        await still_there(store)
    assert ["damage_passed"] * (form == "leaf") == [line["event"] for line in said]
    before, behind = spans(tmp_path, 0, AT - 256), spans(tmp_path, AT + 256, 1_700)
    assert behind[-1][1] > 1_600
    for blocks in (before, behind[:-2]):
        assert blocks
        pairs = [(a, b) for (a, _), (_, b) in pairwise(blocks) if b - a <= PLACES]
        assert len(pairs) <= 2, blocks


async def still_there(store: Store) -> None:
    """See that facts before and behind the place are what they were."""
    for start, end in ((0, AT - 256), (AT + 256, 1_700)):
        found: list[Fact] = []
        while (at := start + len(found)) < end:
            look = partial(facts_between, start=at, end=end, limit=100)
            rows = await store.study(look)
            found += [decode_fact(row.value) for row in rows]
        assert facts_of(start, end) == found


@pytest.mark.parametrize("form", ["leaf", "rest"])
async def test_a_damaged_page_is_told_by_the_check_of_the_log(
    tmp_path: Path, form: str
) -> None:
    """And where blocks cannot be counted it never says that all were read."""
    await packed(tmp_path, 64, facts_of(0, 1_300))
    damage(tmp_path, form)
    async with opened(tmp_path) as store:
        check = LogCheck(store, lambda: 77, 0)
        with capture_logs() as logs:
            await check.look()
    assert AT in [each.offset for each in check.unreadable] or form == "leaf"
    assert not [text for text in check.notes() if "were read" in text]
    told = {line["event"]: line.get("blocks") for line in logs}
    assert "log_not_read" in told
    assert 0 != told.get("log_read")
    assert (form == "leaf") is ("log_not_counted" in told)
    assert (form == "leaf") is (check.blocks is None)


async def test_a_damaged_page_is_the_affair_of_the_job_that_needs_it(
    tmp_path: Path,
) -> None:
    """The others of its transaction are written."""
    error = sqlite3.DatabaseError("malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    held = threading.Event()

    def fails(_: Any) -> None:
        raise error

    async with opened(tmp_path) as store:
        jobs = [
            asyncio.create_task(store.write(job))
            for job in (lambda _: held.wait(10), fails, lambda _: 5)
        ]
        await asyncio.sleep(0)
        held.set()
        _, failed, done = await asyncio.gather(*jobs, return_exceptions=True)
    assert (error, 5) == (failed, done)


async def test_what_is_no_damage_ends_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moment is waited for, and an error of ours is seen."""
    busy = sqlite3.OperationalError("locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
    errors: list[sqlite3.Error] = [busy]
    async with opened(tmp_path) as store:
        study = store.study

        async def fails(function: Any) -> Any:
            if errors:
                raise errors.pop()
            return await study(function)

        await write(store, facts_of(0, 200))
        monkeypatch.setattr(store, "study", fails)
        work = Packing(store, REALM)
        await work.catch_up()
        assert [] == spans(tmp_path, 0, 200)
        await work.catch_up()
        assert 0 == spans(tmp_path, 0, 200)[0][0]
        errors.append(sqlite3.ProgrammingError("closed"))
        with pytest.raises(sqlite3.ProgrammingError):
            await Packing(store, REALM).run()

"""Small blocks that lie side by side become one, and nothing else shows it."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sqlite3
from contextlib import closing
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import evolve

from agents_registry.facts import fact_id
from streams.engines.embedded import (
    fact_block,
    fact_lookup,
    fact_rows,
    merging,
    packed_facts,
    packing,
)
from streams.engines.embedded.audit import AuditSigner
from streams.engines.embedded.fact_block import FIRST_FORMAT, FORMAT
from streams.engines.embedded.fact_lookup import LoggedFacts
from streams.engines.embedded.merging import Merging, next_merge
from streams.engines.embedded.packing import Packing
from streams.engines.embedded.store import Store
from tests.contract.port_cases import REALM
from tests.integration.test_packing import (
    FACTS,
    GONE,
    NAMES,
    all_of,
    count,
    holds,
    lines,
    opened,
    verified,
    write,
)
from tests.property.test_audit_chain import KEY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

PLACES: Final = 8


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks be small, and those that are merged yet smaller."""
    for module in (fact_lookup, fact_rows, merging, packed_facts, packing):
        monkeypatch.setattr(module, "PLACES", PLACES)
    for module in (merging, packing):
        monkeypatch.setattr(module, "REST_SECONDS", 0)
    monkeypatch.setattr(packing, "LEAST_FACTS", 1)
    monkeypatch.setattr(packing, "KEEP", 3)


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Give a folder of a slow file: a block for each fact."""
    async with opened(tmp_path) as store:
        await write(store, FACTS)
        slow = Packing(store, REALM)
        slow._most = 1
        look = partial(packing.next_block, realm=REALM, most=1)
        for _ in FACTS:
            slow._most = 1
            made, _ = await slow._spans.look(look, 29)
            if made is not None:
                await slow._put(made)
        await holds(store)
    assert count(tmp_path, "fact_blocks") > 20
    return tmp_path


async def merged(folder: Path) -> list[tuple[int, int]]:
    """Merge what there is, and give starts and ends of the blocks."""
    async with opened(folder) as store:
        await Merging(store, REALM).catch_up(store.end)
        await holds(store)
    return blocks(folder)


def blocks(folder: Path) -> list[tuple[int, int]]:
    """Give starts and ends of the blocks of a file."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db:
        query = "SELECT start, start + length(ids) / 32 FROM fact_blocks ORDER BY start"
        return db.execute(query).fetchall()


def change(folder: Path, query: str, *values: Any) -> None:
    """Change a file."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        assert db.execute(query, values).rowcount


async def test_the_number_of_small_blocks_is_bounded(folder: Path) -> None:
    """No block fits into one with that behind it, but those at the end."""
    before, prints = lines(folder), count(folder, "fact_prints")
    left = await merged(folder)
    fits = [(a, b) for (a, _), (_, b) in pairwise(left) if b - a <= PLACES]
    assert len(fits) < PLACES
    assert all(a >= left[-1][1] - PLACES for a, _ in fits)
    assert left[:3] == [(0, 8), (8, 16), (16, 24)]
    assert before == lines(folder)
    verified(lines(folder))
    assert prints == count(folder, "fact_prints")
    assert left == await merged(folder)


async def test_a_server_merges_what_it_packed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind its packing, as long as it runs."""

    async def pause(_: float) -> None:
        if len(blocks(folder)) < 10:
            raise asyncio.CancelledError

    async with opened(folder) as store:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "sleep", pause)
            with pytest.raises(asyncio.CancelledError):
                await Packing(store, REALM).run()
        await holds(store)


async def test_who_looks_while_blocks_are_merged_misses_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that was searched may hold more at the next look."""
    monkeypatch.setattr(fact_lookup, "SEARCHED", 3)
    for number in (4, 7, 16):
        other = folder / str(number)
        shutil.copytree(folder, other, ignore=shutil.ignore_patterns("[0-9]*"))
        wanted = evolve(
            GONE, fact_id=fact_id(FACTS[number]).hex(), kind=FACTS[number].NAME,
            target=NAMES[number - 2 if number > 5 else number],
        )  # fmt: skip
        async with opened(other) as store:
            study, looks = store.study, itertools.count()

            async def merging_too(
                function: Any, study: Any = study, looks: Any = looks
            ) -> Any:
                found = await study(function)
                if next(looks) == 1:
                    monkeypatch.setattr(store, "study", study)
                    await Merging(store, REALM).catch_up(store.end)
                return found

            monkeypatch.setattr(store, "study", merging_too)
            assert await LoggedFacts(store, REALM).has(wanted)
        assert len(blocks(other)) < 10


@pytest.mark.parametrize("point", ["store.blocks_merging", "store.blocks_merged"])
async def test_who_dies_in_the_middle_has_what_was_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """A merge is all there or not at all."""
    before = blocks(folder)

    def dies(name: str) -> None:
        if name == point:
            raise sqlite3.InternalError("killed")

    async with opened(folder) as store:
        with monkeypatch.context() as patch:
            patch.setattr(packed_facts, "failpoint", dies)
            with pytest.raises(sqlite3.InternalError):
                await Merging(store, REALM).catch_up(store.end)
        await holds(store)
    assert before == blocks(folder)
    assert len(await merged(folder)) < 8


async def test_what_changed_since_it_was_read_is_not_merged(folder: Path) -> None:
    """No fact that was pruned comes back, and none that came is lost."""
    async with opened(folder) as store:
        look = partial(next_merge, realm=REALM, span=(0, store.end))
        made = (await store.study(look)).made
        assert made is not None
        signer = AuditSigner(store, REALM, KEY, lambda: 0)
        await signer.prune([2], actor="ana", action="prune")
        assert not await store.write(lambda tx: tx.log.put_merged(made))
        await Merging(store, REALM).catch_up(store.end)
        left = FACTS[:2] + FACTS[3:]
        assert left == [each.fact for each in await store.facts(0, 99)]
    assert blocks(folder)[0] == (0, 8)


async def test_a_merge_that_is_late_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the blocks are others by then, the next look goes on behind them."""
    async with opened(folder) as store:
        monkeypatch.setattr(packed_facts.PackedFacts, "merge", lambda *_: False)
        await Merging(store, REALM).catch_up(store.end)
        await holds(store)
    assert len(blocks(folder)) > 20


async def test_a_block_that_cannot_be_read_stays_by_itself(folder: Path) -> None:
    """Those around it are merged; it is left for who looks after it."""
    change(folder, "UPDATE fact_blocks SET body = x'00' WHERE start = 3")
    async with opened(folder) as store:
        await Merging(store, REALM).catch_up(store.end)
    left = blocks(folder)
    assert left[:3] == [(0, 3), (3, 4), (4, 12)]


async def test_a_block_that_was_pruned_meanwhile_ends_what_is_merged(
    folder: Path,
) -> None:
    """Those before it are one, and it is no error that it is not there."""
    async with opened(folder) as store:

        def part(read: Any) -> Any:
            def pruned(query: str, values: Any) -> Any:
                gone = query == merging._BLOCK and values == (3,)
                return [] if gone else read(query, values)

            return next_merge(pruned, realm=REALM, span=(0, store.end))

        made = (await store.study(part)).made
    assert [0, 1, 2] == [start for start, _ in made.parts]


async def test_a_row_that_is_still_to_be_packed_keeps_its_place(folder: Path) -> None:
    """A block over it would leave it a row for good; what is never packed stays so."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        query = "SELECT ids, tails, body FROM fact_blocks WHERE start = 3"
        ((_, (key, value)),) = fact_block.unpack(
            fact_block.FactBlock.of(*db.execute(query).fetchone())
        ).items()
        db.execute("DELETE FROM fact_blocks WHERE start = 3")
        row = (3, key, value, FACTS[3].received_at)
        db.execute("INSERT INTO recent_facts VALUES (?, ?, ?, ?)", row)
        query = "SELECT offset FROM recent_facts ORDER BY offset LIMIT 2"
        assert [3, 6] == [offset for (offset,) in db.execute(query)]
    left = await merged(folder)
    assert left[:2] == [(0, 3), (4, 12)]
    async with opened(folder) as store:
        await Packing(store, REALM).catch_up()
    assert (await merged(folder))[0] == (0, 4)


async def test_values_and_keys_of_a_block_are_bounded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of those that are packed."""
    monkeypatch.setattr(merging, "MOST_BYTES", 200)
    left = await merged(folder)
    assert max(end - start for start, end in left) == 4
    monkeypatch.setattr(merging, "MOST_BYTES", 1 << 20)
    monkeypatch.setattr(merging, "TAIL_BYTES", 1)
    assert left == await merged(folder)
    monkeypatch.setattr(merging, "TAIL_BYTES", 1 << 20)
    monkeypatch.setattr(merging, "SEEN", 2)
    assert len(await merged(folder)) < len(left)


async def test_blocks_of_the_first_form_get_a_checksum_by_it(folder: Path) -> None:
    """And none that says of a fact that it is another one."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        db.execute(
            "UPDATE fact_blocks SET tails ="
            " CAST(? || substr(tails, 2, 1) || substr(tails, 7) AS BLOB)",
            (bytes([FIRST_FORMAT]),),
        )
    async with opened(folder) as store:
        await holds(store)
    change(
        folder,
        "UPDATE fact_blocks SET ids = CAST(x'00' || substr(ids, 2) AS BLOB)"
        " WHERE start = 9",
    )
    async with opened(folder) as store:
        await Merging(store, REALM).catch_up(store.end)
        assert FACTS == await all_of(store)
    with closing(sqlite3.connect(folder / "rescind.db")) as db:
        query = "SELECT start, hex(substr(tails, 1, 1)) FROM fact_blocks"
        forms = dict(db.execute(query))
    assert forms[0] == f"{FORMAT:02}"
    assert forms[9] == f"{FIRST_FORMAT:02}"


async def test_nothing_is_done_without_blocks(tmp_path: Path) -> None:
    """Nor where all begin later."""
    async with opened(tmp_path) as store:
        assert isinstance(store, Store)
        await Merging(store, REALM).catch_up(9)
        look = await store.study(partial(next_merge, realm=REALM, span=(0, 9)))
    assert look == (0, None, False)

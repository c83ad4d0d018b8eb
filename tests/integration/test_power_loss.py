"""What was accepted is on the disk: a power cut after the answer takes none of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from streams.engines.embedded import store as store_module
from streams.engines.embedded.reading import connect
from streams.engines.embedded.store import Store
from tests.integration.power_loss import seen_from_here, watched_disk
from tests.integration.test_store import adding, encoded, opened

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


async def left(folder: Path) -> list[int]:
    """Give the offsets of the facts in a folder."""
    store = Store.open(folder, realm="r", genesis="other")
    try:
        return [each.offset for each in await store.facts(0, 1000)]
    finally:
        await store.close()


@seen_from_here
@pytest.mark.parametrize("moving", [False, True], ids=["as set", "moved all the time"])
async def test_a_power_cut_takes_nothing_that_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moving: bool
) -> None:
    """Also while the log beside the file is moved into it and begun anew."""
    if moving:
        monkeypatch.setattr(store_module, "CHECKPOINT_SECONDS", 0.001)
        monkeypatch.setattr(store_module, "LONG_LOG", 0)
    folder, answered = tmp_path / "data", 0
    with watched_disk(folder) as disk:
        async with opened(folder) as store:
            for number in range(40):
                answered += await store.write(adding(encoded(str(number))), urgent=True)
                after = disk.lose_power(tmp_path / "after")
                if number % 8 == 0:
                    assert list(range(answered)) == await left(after)


def test_every_connection_syncs_each_commit(tmp_path: Path) -> None:
    """As it says itself, whatever can be seen of its disk."""
    with closing(connect(tmp_path / "file")) as db:
        assert (2,) == db.execute("PRAGMA synchronous").fetchone()  # FULL


@seen_from_here
def test_what_is_not_synced_is_lost(tmp_path: Path) -> None:
    """Else the disk here would be one that forgets nothing."""
    folder = tmp_path / "data"
    folder.mkdir()
    with watched_disk(folder) as disk:
        db = sqlite3.connect(folder / "file", isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE kept (number)")
        db.execute("INSERT INTO kept VALUES (1)")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("INSERT INTO kept VALUES (2)")
        after = sqlite3.connect(disk.lose_power(tmp_path / "after") / "file")
        rows = after.execute("SELECT number FROM kept").fetchall()
        after.close()
        db.close()

    assert [(1,)] == rows

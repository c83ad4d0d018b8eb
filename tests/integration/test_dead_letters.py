"""Dead letters in the file: bounded, paged, forgotten, and read from older files."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any

import pytest

from streams.engines.embedded.dead_letters import DeadLetterRetention
from streams.engines.embedded.store import Store
from streams.model.records import DeadLetter
from streams.model.times import DAY
from streams.stages.ingest.dead_letters import Reasons
from tests.integration.beside import guarded
from tests.integration.serving import running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

NOW = 1_800_000_000 * 1_000_000_000
EVENTS = "/v1/events/vault"
# The table as version 0.1 made it.
BEFORE = """
CREATE TABLE dlq (
  offset INTEGER PRIMARY KEY, at INTEGER NOT NULL, source TEXT NOT NULL,
  authority TEXT NOT NULL, reason TEXT NOT NULL, position INTEGER NOT NULL,
  length INTEGER NOT NULL, digest TEXT NOT NULL, event_id TEXT);
INSERT INTO dlq (at, source, authority, reason, position, length, digest, event_id)
  VALUES ({at}, 's', 'a', 'old: one', 5, 6, '', NULL),
         ({at}, 's', 'a', 'old: two', 7, 8, 'd', 'e');
"""


async def letters(server: Server, **query: int) -> tuple[list[dict[str, Any]], int]:
    """Give a page of dead letters, and where the next one starts."""
    text = "&".join(f"{name}={value}" for name, value in query.items())
    _, page = await server.get(f"/v1/dlq?{text}")
    return list(page["dead_letters"]), int(page["after"])


async def test_a_megabyte_of_broken_lines_is_a_row(tmp_path: Path) -> None:
    """Again and again; the answer says how many were refused and why."""
    async with guarded(tmp_path) as server:
        for _ in range(3):
            status, answer = await server.post(EVENTS, "aws", b"x\n" * (1 << 19))
            assert (status, answer["dead_letters"]) == (202, 1 << 19)
            (told,) = answer["refused"]
            assert told["pieces"] == 1 << 19
            assert told["reason"].startswith("malformed: ")
            assert (told["offset"], told["last"]) == (0, (1 << 20) - 2)
        (row,), _ = await letters(server)
        _, sources = await server.get("/v1/sources")
    (health,) = [each for each in sources["sources"] if each["name"] == "events:vault"]

    assert (row["count"], row["position"], row["length"]) == (3 << 19, 0, 1)
    assert row["last_position"] == (1 << 20) - 2
    assert health["rejected"] == 3 << 19


async def test_a_list_is_paged_and_shows_what_grew(tmp_path: Path) -> None:
    """A row that grows comes again behind the last page."""
    async with running(tmp_path) as server:
        for body in (b"x", b"[5]", b""):
            await server.post(EVENTS, "aws", body)
        first, after = await letters(server, limit=2)
        second, end = await letters(server, limit=2, after=after)
        await server.post(EVENTS, "aws", b"x")
        third, _ = await letters(server, limit=2, after=end)
        whole, _ = await letters(server)

    assert (len(first), len(second)) == (2, 1)
    assert [(each["reason"], each["count"]) for each in third] == [
        (first[0]["reason"], 2)
    ]
    assert len(whole) == 3


async def test_reasons_without_end_are_one_row_beyond_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that makes up reasons fills no disk, and the source says so."""
    monkeypatch.setattr(Reasons.__init__, "__defaults__", (1,))
    async with running(tmp_path) as server:
        for body in (b"x", b"[5]", b"", b"[6]"):
            await server.post(EVENTS, "aws", body)
        rows, _ = await letters(server)
        _, sources = await server.get("/v1/sources")
        told = await until(server.findings)
        async with server.session.get(f"{server.url}/metrics") as got:
            scraped = await got.text()
    assert 'rescind_dead_letters_over_quota_total{authority="aws"} 3.0' in scraped
    assert {("over_quota", "source:aws", 1)} == {
        (each["kind"], each["presented"], each["count"]) for each in told
    }
    codes = [(each["reason"].partition(":")[0], each["count"]) for each in rows]

    assert codes == [("malformed", 1), ("over_quota", 3)]
    assert ["over_quota"] == [
        each["reason"] for each in sources["sources"] if each["rejected"]
    ]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Open a new store."""
    opened = Store.open(tmp_path, realm="r", genesis="g")
    yield opened
    await opened.close()


async def add(store: Store, reason: str, at: int, count: int = 1) -> None:
    """Write one letter that stands for some."""
    given = [DeadLetter("s", 3, 4, reason, pieces=count)]
    await store.write(lambda tx: tx.add_dead_letters(given, authority="a", at=at))


async def reasons(store: Store) -> list[str]:
    """Give the reasons that are kept, by their last change."""
    rows = await store.read("SELECT reason FROM dlq ORDER BY offset")
    return [reason for (reason,) in rows]


async def test_another_day_is_another_row(store: Store) -> None:
    """So a list says on which days it went on."""
    await add(store, "a", NOW)
    await add(store, "a", NOW, 5)
    await add(store, "a", NOW + DAY)

    assert [(6,), (1,)] == await store.read("SELECT count FROM dlq ORDER BY offset")
    assert store.dead_letters == 7


async def test_what_is_old_is_deleted(store: Store) -> None:
    """By its last change; the last row stays, since it keeps the next offset."""
    for number in range(4):
        await add(store, f"r{number}", NOW + number * DAY)
    await DeadLetterRetention(store, 2 * DAY, 100, lambda: NOW + 4 * DAY).look()
    assert await reasons(store) == ["r2", "r3"]

    await DeadLetterRetention(store, 2 * DAY, 100, lambda: NOW + 400 * DAY).look()
    assert await reasons(store) == ["r3"]


async def test_what_is_too_much_is_deleted(store: Store) -> None:
    """Those that changed longest ago go first."""
    for number in range(6):
        await add(store, f"r{number}", NOW + number)
    await add(store, "r0", NOW + 9)
    await DeadLetterRetention(store, 100 * DAY, 3, lambda: NOW).look()

    assert await reasons(store) == ["r4", "r5", "r0"]


async def test_many_rows_go_in_pieces(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No transaction is long, and it is said that there are more."""
    monkeypatch.setattr("streams.engines.embedded.dead_letters.CHUNK", 2)
    for number in range(6):
        await add(store, f"r{number}", NOW)
    retention = DeadLetterRetention(store, 100 * DAY, 1, lambda: NOW)

    assert [await retention.look() for _ in range(3)] == [True, True, False]
    assert await reasons(store) == ["r5"]


async def test_a_file_of_an_older_version_goes_on(tmp_path: Path) -> None:
    """Its rows are listed as they were, and further ones are folded."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    with sqlite3.connect(folder / "rescind.db") as db:
        db.executescript(BEFORE.format(at=time.time_ns()))
    db.close()
    async with running(tmp_path) as server:
        old, _ = await letters(server)
        for _ in range(2):
            await server.post(EVENTS, "aws", b"x")
        rows, _ = await letters(server, after=2)

    assert [(each["reason"], each["count"], each["last_position"]) for each in old] == [
        ("old: one", 1, 5),
        ("old: two", 1, 7),
    ]
    assert [(each["offset"], each["count"]) for each in rows] == [(4, 2)]

"""What a start did not read of the log is read in the background, and told."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from structlog.testing import capture_logs

from agents_registry.facts import Fact, Node
from agents_registry.identifiers import Identifier
from streams.apps.builders.embedded_metrics import LogMetrics
from streams.engines.embedded import (
    fact_rows,
    kept_table,
    log_check,
    merging,
    packed_facts,
    packing,
)
from streams.engines.embedded.fact_block import FIRST_FORMAT, FactBlock
from streams.engines.embedded.log_check import LogCheck
from streams.engines.embedded.packing import Packing
from streams.engines.embedded.store import Store
from streams.services.intake import encode
from streams.stages.ingest.admission import Admission
from tests.contract.port_cases import ORIGIN, REALM
from tests.integration.serving import Server, running, until, values

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

SAID: dict[str, Any] = {
    "authority": "vault",
    "version": 5,
    "received_at": 7_200 * 10**9,
    "ingress_key": "hook",
}
FACTS: list[Fact] = [
    Node(node=Identifier("vault.accessor", f"n{n}"), **SAID) for n in range(40)
]
BLOCKS = 9
HOURS = 2.0
ALL_READ = f"log: all {BLOCKS} blocks of 1970-01-01T00:00:00Z were read"
NOT_COUNTED = "log: its blocks cannot be counted: some were not read"
OWN_REALM = "default"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks and slices be small, and rests short."""
    for module in (fact_rows, merging, packed_facts, packing):
        monkeypatch.setattr(module, "PLACES", 4)
    for module in (packing, log_check):
        monkeypatch.setattr(module, "REST_SECONDS", 0)
    monkeypatch.setattr(packing, "KEEP", 3)
    monkeypatch.setattr(log_check, "WIDTH", 4)


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    """Give a store with packed facts."""
    some = encode(FACTS, ORIGIN, Admission())
    store = Store.open(tmp_path, realm=REALM, genesis="0123456789abcdef" * 2)
    await store.write(lambda tx: tx.log.add_facts(some))
    await Packing(store, REALM).catch_up()
    yield store
    await store.close()


def change(store: Store, query: str, *values: Any) -> None:
    """Change the file behind the store's back."""
    with closing(sqlite3.connect(store.path)) as db, db:
        assert db.execute(query, values).rowcount


def checking(store: Store, **more: Any) -> LogCheck:
    """Give a check whose slices have one read each."""
    times: Iterator[float] = itertools.count()
    return LogCheck(store, lambda: 77, HOURS, lambda: next(times), **more)


async def test_nothing_is_well_that_was_not_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the first look is over it says how many blocks were not read."""
    check, said = checking(store), []
    study = store.study

    async def noted(function: Any) -> Any:
        said.append(check.notes())
        return await study(function)

    monkeypatch.setattr(store, "study", noted)
    assert check.notes() == ["log: not yet checked: 0 of 0 blocks"]
    with capture_logs() as logs:
        await check.look()
    assert said[1] == [f"log: not yet checked: {BLOCKS} of {BLOCKS} blocks"]
    left = [int(text.split()[4]) for (text,) in said]
    assert left[1:] == sorted(left[1:], reverse=True)
    assert left[-1] < 3
    assert len({*left}) > 3
    assert all("not yet checked" in text for (text,) in said)
    assert check.notes() == [ALL_READ]
    assert (check.unread, check.whole_at, check.unreadable) == (0, 77, ())
    assert logs == [
        {
            "event": "log_read", "log_level": "info", "facts": len(FACTS),
            "blocks": BLOCKS, "unreadable": 0,
        }
    ]  # fmt: skip


BROKEN = {
    "UPDATE fact_blocks SET body = x'00' WHERE start = 8": [8],
    "UPDATE fact_blocks SET ids = zeroblob(length(ids)) WHERE start = 8": [8],
    "UPDATE fact_blocks SET tails = 'text' WHERE start IN (8, 12)": [8],
    "UPDATE fact_blocks SET body = x'00' WHERE start IN (4, 16, 32)": [4, 16, 32],
    "DELETE FROM fact_blocks WHERE start = 8": [8],
    "UPDATE fact_blocks SET start = 10000 WHERE start = 8": [8],
    "DELETE FROM recent_facts WHERE offset = 38": [38],
    "UPDATE recent_facts SET value = x'00' WHERE offset = 37": [37],
    "INSERT INTO recent_facts SELECT 9, x'07', value, 1 FROM recent_facts LIMIT 1": [9],
}


@pytest.mark.parametrize("query", BROKEN)
async def test_each_place_that_cannot_be_read_is_told(store: Store, query: str) -> None:
    """All the rest is read; the place is told once in a look, and in the answers."""
    change(store, query)
    check = checking(store)
    with capture_logs() as logs:
        await check.look()
    told = [each.offset for each in check.unreadable]
    assert told == BROKEN[query]
    assert told == [line["offset"] for line in logs if line["event"] == "log_not_read"]
    (note,) = check.notes()
    assert note.startswith(
        f"log: {len(told)} places cannot be read, the first at offset"
    )
    assert str(told[0]) in note
    assert check.unread == 0


async def test_a_key_of_a_block_without_a_checksum_is_compared(store: Store) -> None:
    """With what its fact says: the first form has no other proof."""
    with closing(sqlite3.connect(store.path)) as db, db:
        query = "SELECT ids, tails, body FROM fact_blocks WHERE start = 8"
        block = FactBlock.of(*db.execute(query).fetchone())
        tails = bytes([FIRST_FORMAT]) + block.tails[1:2] + block.tails[6:]
        query = "UPDATE fact_blocks SET ids = ?, tails = ? WHERE start = 8"
        db.execute(query, (block.ids, tails))
    check = checking(store)
    await check.look()
    assert not check.unreadable
    change(store, query, bytes([block.ids[0] ^ 1]) + block.ids[1:], tails)
    await check.look()
    assert [each.offset for each in check.unreadable] == [8]


async def test_what_is_found_later_stays_until_it_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later look finds damage, and forgets what was restored only at its end."""
    check, waits, seen = checking(store), list[float](), list[int]()
    with closing(sqlite3.connect(store.path)) as db:
        query = "SELECT body FROM fact_blocks WHERE start = 4"
        ((body,),) = db.execute(query).fetchall()
    query = "UPDATE fact_blocks SET body = ? WHERE start = 4"

    async def sleep(seconds: float) -> None:
        seen.append(len(check.unreadable))
        if not seconds:
            return
        waits.append(seconds)
        if len(waits) == 1:
            change(store, query, body + b"x")
        elif len(waits) == 2:
            change(store, query, body)
            seen.clear()
        else:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await check.run()
    assert waits == [HOURS * 3600] * 3
    assert {1} == {*seen[:-1]}
    assert seen[-1] == 0
    assert not check.unreadable
    assert check.notes() == [ALL_READ]


async def test_what_was_packed_since_a_look_is_not_said_to_be_read(
    store: Store,
) -> None:
    """The answer is of the blocks that there were when it began."""
    check = checking(store)
    await check.look()
    some = encode([evolve(each, version=9) for each in FACTS], ORIGIN, Admission())
    await store.write(lambda tx: tx.log.add_facts(some))
    await Packing(store, REALM).catch_up()
    assert check.notes() == [ALL_READ]
    await check.look()
    assert check.blocks is not None
    assert check.blocks > 2 * BLOCKS - 2


async def test_what_passes_is_no_damage(store: Store) -> None:
    """A file that is locked for a moment is read in the next slice."""
    busy = [sqlite3.OperationalError("locked")]
    busy[0].sqlite_errorcode = sqlite3.SQLITE_BUSY

    def read_of(read: Any) -> Any:
        def once(query: str, values: Any) -> Any:
            if busy:
                raise busy.pop()
            return read(query, values)

        return once

    def part(read: Any) -> Any:
        place = log_check.Place(4)
        return log_check.read_slice(read_of(read), place=place, end=8, timer=lambda: 0)

    assert (log_check.Place(4), 0, ()) == await store.study(part)
    assert (log_check.Place(8), 1, ()) == await store.study(part)


@pytest.mark.parametrize(
    ("code", "counted"), [(sqlite3.SQLITE_BUSY, True), (sqlite3.SQLITE_CORRUPT, False)]
)
async def test_a_number_that_the_file_did_not_tell_is_not_0(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int, *, counted: bool
) -> None:
    """It is asked again at once, or by the next look: until then nothing is well."""
    error = sqlite3.OperationalError("no")
    error.sqlite_errorcode = code
    study, errors = store.study, [error]

    async def fails_once(function: Any) -> Any:
        if errors:
            raise errors.pop()
        return await study(function)

    monkeypatch.setattr(store, "study", fails_once)
    check = checking(store)
    with capture_logs() as logs:
        await check.look()
    (told,) = (told_by(each) for each in LogMetrics(check).collect())
    if not counted:
        assert ["log_not_counted"] == [line["event"] for line in logs]
        assert check.notes() == [NOT_COUNTED]
        assert check.whole_at is None
        assert {"unreadable": 0} == told
        await check.look()
    else:
        assert {"unreadable": 0, "read": BLOCKS, "unread": 0} == told
    assert check.notes() == [ALL_READ]


def told_by(metric: Any) -> dict[str, float]:
    """Give what a metric says of each check."""
    return {each.labels["check"]: each.value for each in metric.samples}


async def test_a_look_may_be_the_only_one(store: Store) -> None:
    """Where it is set so, there is none but that after the start."""
    check = LogCheck(store, lambda: 1, 0.0)
    await check.run()
    assert check.whole_at == 1


async def test_a_slice_ends_by_time(store: Store) -> None:
    """It reads on for a moment, and not for a count; what is pruned is no gap."""
    later = [evolve(each, version=9) for each in FACTS]
    more = encode(later, ORIGIN, Admission())
    await store.write(lambda tx: tx.log.add_facts(more))
    now = [0.0]

    def timer() -> float:
        now[0] += log_check.SLICE_SECONDS / 4
        return now[0]

    place = log_check.Place()
    part = await store.study(
        lambda read: log_check.read_slice(read, place=place, end=80, timer=timer)
    )
    assert part.place.start == 16
    assert part.blocks == 4


async def test_a_server_that_read_little_says_what_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts with the table beside its log, is ready, and tells of the damage."""
    monkeypatch.setattr(kept_table, "KEEP_AFTER", 1)
    folder = Path(values(tmp_path)["data_dir"])
    store = Store.open(folder, realm=OWN_REALM, genesis="0123456789abcdef" * 2)
    some = encode(FACTS, evolve(ORIGIN, realm=OWN_REALM), Admission())
    await store.write(lambda tx: tx.log.add_facts(some))
    await Packing(store, OWN_REALM).catch_up()
    path = store.path
    await store.close()

    async def asked(server: Server, page: str, word: str) -> str | None:
        async with server.session.get(server.url + page) as got:
            text = await got.text()
        return text if word in text else None

    async with running(tmp_path) as server:
        ready = await until(lambda: asked(server, "/healthz/ready", "were read"))
        assert ready.startswith(f"ready\nlog: all {BLOCKS} blocks of 20")
        await until(lambda: path.with_name(kept_table.FILE).exists())
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE fact_blocks SET body = x'00' WHERE start IN (8, 16)")
        # As of a log in which there was more to do since.
        db.execute("UPDATE positions SET position = ?", (len(FACTS),))
    async with running(tmp_path) as server:
        ready = await until(lambda: asked(server, "/healthz/ready", "2 places"))
        assert ready.startswith("ready\nlog: 2 places cannot be read, the first at")
        told = await asked(server, "/metrics", "rescind_log_blocks")
        assert told is not None
        assert f'rescind_log_blocks{{check="read"}} {BLOCKS}.0' in told
        assert 'rescind_log_blocks{check="unreadable"} 2.0' in told

"""Copies of packed facts are found, whoever waits, and no fact is taken for another."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from agents_registry.facts import fact_id
from streams.engines.embedded import (
    fact_lookup,
    fact_rows,
    merging,
    packed_copies,
    packed_facts,
    packing,
)
from streams.engines.embedded.audit import AuditSigner
from streams.engines.embedded.block_proof import proven_fact
from streams.engines.embedded.fact_block import (
    FIRST_FORMAT,
    BlockError,
    FactBlock,
    PlacedFact,
    pack,
    unpack,
)
from streams.engines.embedded.fact_log import StoredFactLog
from streams.engines.embedded.fact_lookup import LoggedFacts
from streams.engines.embedded.merging import Merging
from streams.engines.embedded.packed_copies import KnownCopies, LookTime, PackedCopies
from streams.engines.embedded.packing import Packing
from streams.engines.embedded.short_rows import short_key
from streams.ports.fact_log import LogBatch
from streams.services.intake import encode
from streams.stages.ingest.admission import Admission
from tests.contract.port_cases import ORIGIN, REALM
from tests.integration.test_packing import (
    FACTS,
    GONE,
    NAMES,
    SAID,
    all_of,
    opened,
    write,
)
from tests.property.test_audit_chain import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from agents_registry.facts import Fact
    from streams.engines.embedded.store import Store

pytestmark = pytest.mark.integration

PACKED = 28  # of the facts: all but the last, and one that takes back


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks be small."""
    for module in (fact_lookup, fact_rows, packed_facts, packing):
        monkeypatch.setattr(module, "PLACES", 4)
    monkeypatch.setattr(packing, "KEEP", 3)
    monkeypatch.setattr(packing, "REST_SECONDS", 0)


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    """Give a store whose facts are packed."""
    async with opened(tmp_path) as store:
        await write(store, FACTS)
        await Packing(store, REALM).catch_up()
        yield store


def log_of(store: Store) -> StoredFactLog:
    """Give the log as sources write to it."""
    return StoredFactLog(store, lambda _: nullcontext())


async def said(store: Store, facts: list[Fact]) -> int:
    """Have a source say facts; give how many were new."""
    batch = LogBatch(
        name="batch", origin=ORIGIN, facts=encode(facts, ORIGIN, Admission())
    )
    return (await log_of(store).append(batch)).facts


async def test_who_sends_much_again_keeps_nobody_waiting(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above a moment of the writer blocks are unpacked in a thread."""
    threads: list[str] = []

    def noted(block: FactBlock) -> dict[int, PlacedFact]:
        threads.append(threading.current_thread().name.rpartition("_")[0])
        return unpack(block)

    monkeypatch.setattr(packed_copies, "unpack", noted)
    monkeypatch.setattr(packed_copies, "LOOK_SECONDS", 3600.0)
    assert await said(store, FACTS) == 0
    assert {*threads} == {""}  # quick enough
    threads.clear()
    monkeypatch.setattr(packed_copies, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(packed_copies, "AT_ONCE", 3)
    new = [evolve(each, version=6) for each in FACTS[:3]]
    assert await said(store, FACTS + new) == 3
    assert {*threads} == {"patient-reader"}
    assert FACTS + new == await all_of(store)
    assert await said(store, FACTS + new) == 0


async def test_copies_are_found_while_blocks_are_merged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that was unpacked may hold more at the next look."""
    monkeypatch.setattr(merging, "PLACES", 8)
    some = encode(FACTS[:5], ORIGIN, Admission())
    keys = [short_key(REALM, each.key) for each in some]
    with closing(sqlite3.connect(store.path)) as db:
        copies = PackedCopies(
            lambda query, values: db.execute(query, values).fetchall()
        )
        assert {*keys[:4]} == copies.held(keys[:4])
        await Merging(store, REALM).catch_up(store.end)
        assert {*keys} == copies.held(keys)


async def test_the_time_is_that_of_all_jobs_of_a_transaction(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many jobs that each look a little would hold the writer as well."""
    now = [0.0]

    def clock() -> float:
        now[0] += packed_copies.LOOK_SECONDS / 10
        return now[0]

    tries: list[int] = []
    aside = packed_copies.look_aside

    async def noted(store: Store, keys: Any) -> KnownCopies:
        tries.append(len(keys))
        return await aside(store, keys)

    monkeypatch.setattr(
        "streams.engines.embedded.log_rows.LookTime", lambda: LookTime(clock)
    )
    monkeypatch.setattr("streams.engines.embedded.fact_log.look_aside", noted)
    held = threading.Event()
    blocked = asyncio.create_task(store.write(lambda _: held.wait(10), urgent=True))
    await asyncio.sleep(0)
    jobs = [
        asyncio.create_task(said(store, [each])) for each in FACTS[:5] + FACTS[10:25]
    ]
    await asyncio.sleep(0)
    held.set()
    assert {0} == {*await asyncio.gather(*jobs)}
    await blocked
    assert 5 <= len(tries) <= 15


async def test_a_copy_in_a_block_that_cannot_be_read_is_written_from_there_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a thread could not read, the writer does not drop, and it ends."""
    with closing(sqlite3.connect(store.path)) as db, db:
        db.execute("UPDATE fact_blocks SET body = x'00' WHERE start = 0")
    monkeypatch.setattr(packed_copies, "LOOK_SECONDS", 0.0)
    assert await said(store, FACTS) == 4


async def test_what_is_pruned_after_a_look_is_gone_as_it_was_ordered(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that comes later is written: nobody remembers it."""
    monkeypatch.setattr(packed_copies, "LOOK_SECONDS", 0.0)
    assert await said(store, FACTS) == 0
    signer = AuditSigner(store, REALM, KEY, lambda: 0)
    await signer.prune([2], actor="ana", action="prune")
    assert await said(store, FACTS) == 1


def other_facts(store: Store, change: Any) -> None:
    """Make the first block anew, whole and well formed, of other facts."""
    with closing(sqlite3.connect(store.path)) as db, db:
        query = "SELECT ids, tails, body FROM fact_blocks WHERE start = 0"
        facts = unpack(FactBlock.of(*db.execute(query).fetchone()))
        change(facts)
        query = "UPDATE fact_blocks SET ids = ?, tails = ?, body = ? WHERE start = 0"
        db.execute(query, pack(facts, 4))


async def test_a_fact_with_the_key_of_another_stands_for_none(store: Store) -> None:
    """Else somebody could say of a revocation that comes that it is there."""

    def change(facts: dict[int, PlacedFact]) -> None:
        facts[1] = facts[1]._replace(value=facts[2].value)

    other_facts(store, change)
    logged = LoggedFacts(store, REALM)
    wanted = evolve(GONE, fact_id=fact_id(FACTS[1]).hex(), kind="node", target=NAMES[1])
    with pytest.raises(BlockError, match="key of another"):
        await logged.has(wanted)
    assert await said(store, FACTS) == 1
    assert await logged.has(wanted)  # by the row


@pytest.mark.parametrize("column", ["ids", "tails"])
async def test_that_there_is_none_is_said_of_keys_that_were_written(
    store: Store, column: str
) -> None:
    """One bit of a key hides a fact from who asks for it: that is no answer."""
    logged = LoggedFacts(store, REALM)
    node = FACTS[1]
    wanted = evolve(GONE, fact_id=fact_id(node).hex(), kind="node", target=NAMES[1])
    nobody = evolve(wanted, fact_id="00" * 32)
    assert await logged.has(wanted)
    assert await logged.has(evolve(wanted, fact_id=wanted.fact_id.upper()))
    assert not await logged.has(nobody)
    with closing(sqlite3.connect(store.path)) as db, db:
        query = f"SELECT {column} FROM fact_blocks WHERE start = 0"  # noqa: S608
        told = bytearray(db.execute(query).fetchone()[0])
        told[-1 if column == "tails" else 40] ^= 4
        query = f"UPDATE fact_blocks SET {column} = ? WHERE start = 0"  # noqa: S608
        db.execute(query, (bytes(told),))
    for each in (wanted, nobody):
        with pytest.raises(BlockError, match="other keys than were written"):
            await logged.has(each)


async def test_keys_without_a_checksum_are_compared_with_their_facts(
    store: Store,
) -> None:
    """In a block of the first form, before anybody is told that there is none."""
    logged = LoggedFacts(store, REALM)
    nobody = evolve(GONE, fact_id="00" * 32, kind="node", target=NAMES[1])
    with closing(sqlite3.connect(store.path)) as db, db:
        query = "SELECT ids, tails FROM fact_blocks WHERE start = 0"
        ids, tails = db.execute(query).fetchone()
        first = bytes([FIRST_FORMAT]) + tails[1:2] + tails[6:]
        query = "UPDATE fact_blocks SET ids = ?, tails = ? WHERE start = 0"
        db.execute(query, (ids, first))
    assert not await logged.has(nobody)
    with closing(sqlite3.connect(store.path)) as db, db:
        db.execute(query, (ids[:40] + bytes([ids[40] ^ 4]) + ids[41:], first))
    with pytest.raises(BlockError, match="key of another"):
        await logged.has(nobody)


async def test_one_job_with_a_damaged_block_fails_alone(store: Store) -> None:
    """The others of its group are written; it is told why it was not."""
    with closing(sqlite3.connect(store.path)) as db, db:
        db.execute("UPDATE fact_blocks SET body = x'00' WHERE start = 0")
    signer = AuditSigner(store, REALM, KEY, lambda: 0)
    held = threading.Event()
    blocked = asyncio.create_task(store.write(lambda _: held.wait(10)))
    await asyncio.sleep(0)
    later = [evolve(each, version=7) for each in FACTS[:3]]
    jobs = [
        asyncio.create_task(write(store, [later[0]])),
        asyncio.create_task(signer.prune([1], actor="ana", action="prune")),
        asyncio.create_task(write(store, [later[1]])),
        asyncio.create_task(signer.prune([9], actor="ana", action="prune")),
        asyncio.create_task(write(store, [later[2]])),
    ]
    await asyncio.sleep(0)
    held.set()
    await blocked
    found = await asyncio.gather(*jobs, return_exceptions=True)
    assert [1, None, 1, None, 1] == [
        None if isinstance(each, BaseException) else each for each in found
    ]
    assert isinstance(found[1], BlockError)
    assert found[3] is None
    assert later == [each.fact for each in await store.facts(len(FACTS), 9)]
    left = [each.fact for each in await store.facts(4, 99)]
    assert left == FACTS[4:9] + FACTS[10:] + later


def test_a_proof_needs_all_of_a_key() -> None:
    """As the writer makes it."""
    (some,) = encode(FACTS[:1], ORIGIN, Admission())
    key = short_key(REALM, some.key)
    assert isinstance(key, bytes)
    assert proven_fact(key, some.value) == FACTS[0]
    assert SAID["ingress_key"].encode() == key[37:]

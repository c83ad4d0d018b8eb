"""The facts of a data folder are packed at work, and nothing shows it but its size."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sqlite3
import threading
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from attrs import evolve

from agents_registry.facts import (
    Cause,
    Distrust,
    Effect,
    Fact,
    Node,
    Withdraw,
    fact_id,
    fact_key,
    from_plain,
)
from agents_registry.identifiers import Identifier
from schemas.codec import decode_fact
from streams.apps.migration import _facts_of
from streams.engines.embedded import (
    backup,
    chain_pages,
    data_folder,
    fact_block,
    fact_lookup,
    fact_rows,
    packed_copies,
    packed_facts,
    packed_prints,
    packing,
)
from streams.engines.embedded.audit import AuditSigner
from streams.engines.embedded.chain_pages import lines_of
from streams.engines.embedded.fact_block import (
    BlockError,
    FactBlock,
    PlacedFact,
    pack,
    unpack,
)
from streams.engines.embedded.fact_lookup import LoggedFacts
from streams.engines.embedded.feed_log import StoredLog
from streams.engines.embedded.packed_copies import CopiesAsideError, look_aside
from streams.engines.embedded.packed_facts import PreparedBlock
from streams.engines.embedded.packing import Packing
from streams.engines.embedded.restore import restore
from streams.engines.embedded.short_rows import key_text, short_key
from streams.engines.embedded.store import Store
from streams.observability import failpoints
from streams.services.audit_heads import head_reader
from streams.services.intake import encode
from streams.stages.audit.chain import BrokenChainError
from streams.stages.audit.proof import ChainVerifier
from streams.stages.ingest.admission import Admission
from tests.contract.port_cases import ORIGIN, REALM
from tests.property.test_audit_chain import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration

SAID: dict[str, Any] = {
    "authority": "vault",
    "version": 5,
    "received_at": 7_200 * 10**9,
    "ingress_key": "hook",
}
NAMES = [Identifier("vault.accessor", f"n{n}") for n in range(30)]
CAUSE = Cause(target=NAMES[3], effect=Effect.REVOKE, at=5, **SAID)
GONE = Withdraw(
    fact_id=fact_id(CAUSE).hex(), kind=Cause.NAME, target=NAMES[3], **SAID
)  # fmt: skip
FACTS: list[Fact] = [Node(node=name, **SAID) for name in NAMES]
FACTS[5:5] = [CAUSE, GONE]
STOLEN: dict[str, Any] = {
    "suspect": "vault", "authority": "ops", "version": 1, "received_at": 1,
    "received_to": 10**18,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks and steps be small."""
    for module in (fact_lookup, fact_rows, packed_facts, packing):
        monkeypatch.setattr(module, "PLACES", 4)
    monkeypatch.setattr(packing, "KEEP", 3)
    monkeypatch.setattr(packing, "SPAN", 9)
    monkeypatch.setattr(packing, "REST_SECONDS", 0)
    monkeypatch.setattr(fact_lookup, "SLICE", 7)
    monkeypatch.setattr(fact_lookup, "SEARCHED", 2)
    monkeypatch.setattr(fact_lookup, "ROWS", 2)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    """Open the folder."""
    store = Store.open(folder, realm=REALM, genesis="0123456789abcdef" * 2)
    try:
        yield store
    finally:
        await store.close()


async def write(store: Store, facts: list[Fact]) -> int:
    """Append facts; give how many were new."""
    some = encode(facts, ORIGIN, Admission())
    try:
        return await store.write(lambda tx: tx.log.add_facts(some))
    except CopiesAsideError as error:
        known = await look_aside(store, error.keys)
    return await store.write(lambda tx: tx.log.add_facts(some, known))


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Give a folder with facts, an act among them, and a head in the middle."""
    async with opened(tmp_path / "data") as store:
        assert len(FACTS[:20]) == await write(store, FACTS[:20])

        def job(tx: Any) -> None:
            tx.audit.put_head(10, "signed")
            tx.audit.add_act(at=1, actor="ana", action="look", detail={})

        await store.write(job)
        assert len(FACTS[20:]) == await write(store, FACTS[20:])
    return tmp_path / "data"


def lines(folder: Path) -> list[dict[str, Any]]:
    """Read the chain."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db:
        return list(lines_of(db, REALM))


def verified(found: list[dict[str, Any]]) -> None:
    """Hold a chain, all but its heads, which nobody signed."""
    verifier = ChainVerifier(head_reader([]), decode_fact)
    for line in found:
        if "head" not in line:
            verifier.take(line)
    verifier.hold_all()


def count(folder: Path, table: str) -> int:
    """Count the rows of a table."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db:
        (rows,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    return int(rows)


async def all_of(store: Store) -> list[Fact]:
    """Read all facts."""
    facts: list[Fact] = []
    while some := await store.facts(len(facts), 20):
        assert some[0].offset == len(facts)
        facts += [each.fact for each in some]
    return facts


async def holds(store: Store) -> None:
    """See that each fact is found in every way, and that no copy is written twice."""
    assert 0 == await write(store, FACTS)
    assert FACTS == await all_of(store)
    assert FACTS[7:9] == [each.fact for each in await store.facts(7, 2)]
    facts = LoggedFacts(store, REALM)
    assert await facts.has(GONE)
    for other in (
        evolve(GONE, fact_id="00" * 32),
        evolve(GONE, fact_id="no hex"),
        evolve(GONE, kind="x"),
        evolve(GONE, target=NAMES[4]),
    ):
        assert not await facts.has(other)
    asked = Distrust(suspect_key="hook", received_from=0, **STOLEN)
    assert await facts.has_said(asked)
    for key, start in (("ook", 0), ("hook", 7_200 * 10**9 + 1)):
        asked = Distrust(suspect_key=key, received_from=start, **STOLEN)
        assert not await facts.has_said(asked)
    log = StoredLog(store, REALM, 1000)
    assert 1 == (await log.taken_back()).facts.count('"withdraw"')
    position, told = 0, 0
    while position < store.end:
        piece = await log.piece(position, store.end)
        assert piece.start == position < piece.end
        told += piece.facts.count('"fact":"')
        position = piece.end
    assert position == len(FACTS)


async def test_facts_are_packed_step_by_step_and_say_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each step, it goes on; entries and heads are told as before."""
    before = lines(folder)
    verified(before)
    starts = 0
    while True:
        starts += 1
        async with opened(folder) as store:
            writing, steps = store.write_in_time, 0

            async def once(job: Any, writing: Any = writing) -> Any:
                nonlocal steps
                steps += 1
                if steps > 1:
                    raise asyncio.CancelledError
                return await writing(job)

            await holds(store)
            with monkeypatch.context() as patch:
                patch.setattr(store, "write_in_time", once)
                try:
                    await Packing(store, REALM).catch_up()
                    break
                except asyncio.CancelledError:
                    pass
            await holds(store)
        assert before == lines(folder)
    assert starts > 3
    async with opened(folder) as store:
        await Packing(store, REALM).catch_up()
        await holds(store)
        signer = AuditSigner(store, REALM, KEY, lambda: 0)
        told, after = await signer.page(0, 3)
        while after is not None:
            page, after = await signer.page(after, 3)
            told += page
        assert before == told[:-1]
    assert before == lines(folder)
    assert count(folder, "recent_facts") <= 8
    assert count(folder, "fact_blocks") > 4
    assert count(folder, "fact_prints") == len(FACTS) - count(folder, "recent_facts")


async def test_the_last_fact_stays_a_row_behind_any_number_of_acts(
    folder: Path,
) -> None:
    """By it a restart knows the next offset."""

    def acts(tx: Any) -> None:
        for _ in range(20):
            tx.audit.add_act(at=1, actor="ana", action="look", detail={})

    async with opened(folder) as store:
        await store.write(acts)
        await Packing(store, REALM).catch_up()
        end = store.end
    assert count(folder, "recent_facts") >= 1
    async with opened(folder) as store:
        assert end == store.end
        await holds(store)


async def test_a_print_that_is_taken_hides_no_fact(folder: Path) -> None:
    """One fact by two keys in one hour is two records, packed or not."""
    others = [evolve(fact, ingress_key="other") for fact in FACTS]
    async with opened(folder) as store:
        await Packing(store, REALM).catch_up()
        assert len(others) == await write(store, others)
        await Packing(store, REALM).catch_up()
        assert 0 == await write(store, others)
        assert 0 == await write(store, FACTS)
        assert FACTS + others == await all_of(store)
    assert count(folder, "recent_facts") <= 9
    verified(lines(folder))


async def packed(folder: Path) -> None:
    """Pack a folder's facts."""
    async with opened(folder) as store:
        await Packing(store, REALM).catch_up()
    assert count(folder, "fact_blocks")


CHANGES = {
    "UPDATE fact_blocks SET ids = zeroblob(length(ids)) WHERE start = 0": "entry 1:",
    "DELETE FROM fact_blocks WHERE start = 0": "entry 1:",
    "UPDATE fact_blocks SET ids = substr(ids, 1, 32) WHERE start = 0": "entry 1:",
    "UPDATE fact_blocks SET start = 1 WHERE start = 0": "entry 1:",
    "INSERT INTO recent_facts SELECT 2, x'07', value, 1 FROM recent_facts"
    " ORDER BY offset DESC LIMIT 1": "entry 3:",
    "INSERT INTO fact_blocks SELECT 90, ids, tails, body FROM fact_blocks"
    " WHERE start = 0": "90.*has no entry|no entry.*90",
    "INSERT INTO fact_blocks SELECT start + 1, ids, tails, body FROM fact_blocks"
    " WHERE start = 8": "entry 10:",
    "UPDATE fact_blocks SET (ids, tails, body) = (SELECT ids, tails, body"
    " FROM fact_blocks WHERE start = 8) WHERE start = 12": "entry 13 ",
    "UPDATE fact_blocks SET body = (SELECT body FROM fact_blocks WHERE start = 8)"
    " WHERE start = 12": "entry 13 ",
    "UPDATE fact_blocks SET body = x'00' WHERE start = 0": "entry 1:",
    "UPDATE fact_blocks SET body = CAST(body || x'00' AS BLOB) WHERE start = 8":
        "entry 9:",
    "UPDATE fact_blocks SET body = body || x'ff' WHERE start = 8": "entry 9:",
    "UPDATE fact_blocks SET body = zeroblob(1 << 20) WHERE start = 8": "entry 9:",
    "UPDATE fact_blocks SET body = 'text' WHERE start = 8": "entry 9:",
}  # fmt: skip


async def test_a_changed_block_is_found(folder: Path, tmp_path: Path) -> None:
    """By the entry of the fact, whatever was changed."""
    await packed(folder)
    for number, (query, why) in enumerate(CHANGES.items()):
        changed = shutil.copytree(folder, tmp_path / str(number))
        change(changed, query)
        with pytest.raises(BrokenChainError, match=why):
            verified(lines(changed))


@pytest.mark.parametrize("query", list(CHANGES)[::5])
async def test_who_verifies_or_restores_finds_a_changed_block(
    folder: Path, tmp_path: Path, query: str
) -> None:
    """A live log is verified in pages, and no server starts from such a backup."""
    await packed(folder)
    change(folder, query)
    with pytest.raises(BrokenChainError):
        await whole_chain(folder)
    backup.write(folder, tmp_path / "file", product="test", at=1)
    with pytest.raises(BrokenChainError, match=CHANGES[query]):
        restore(
            tmp_path / "file", tmp_path / "new", genesis="new", at=1,
            read_head=lambda _: lambda _: pytest.fail("no head"),
        )  # fmt: skip


def change(folder: Path, query: str) -> None:
    """Change a file that has no heads."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        db.execute("DELETE FROM audit_heads")
        assert db.execute(query).rowcount == 1


async def whole_chain(folder: Path) -> None:
    """Verify what a server tells, in pages."""
    async with opened(folder) as store:
        signer, after = AuditSigner(store, REALM, KEY, lambda: 0), 0
        verifier = ChainVerifier(head_reader([KEY.private.public_key()]), decode_fact)
        more: int | None = 0
        while more is not None:
            found, more = await signer.page(after, 7)
            for line in found:
                verifier.take(line)
            after = more or 0
        verifier.end()


async def test_a_packed_log_is_restored_and_moved(folder: Path, tmp_path: Path) -> None:
    """It is another log then, with the same facts, which goes on."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        db.execute("DELETE FROM audit_heads")
    await packed(folder)
    backup.write(folder, tmp_path / "file", product="test", at=1)
    restore(
        tmp_path / "file", tmp_path / "new", genesis="new", at=1,
        read_head=lambda _: lambda _: pytest.fail("no head"),
    )  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "new/rescind.db")) as db:
        assert FACTS == list(_facts_of(db))
    async with opened(tmp_path / "new") as store:
        await holds(store)
        more: list[Fact] = [Node(node=name, **SAID | {"version": 6}) for name in NAMES]
        assert len(more) == await write(store, more)
        await Packing(store, REALM).catch_up()
        assert FACTS + more == await all_of(store)
    verified(lines(tmp_path / "new"))


def old_shape(folder: Path, *, text: bool = False) -> None:
    """Make a file's tables those of an earlier version, or of one before it."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        db.execute("DROP VIEW facts")
        if text:
            db.create_function("text", 1, lambda key: key_text(REALM, key))
            db.execute("UPDATE recent_facts SET key = text(key)")
            db.execute("DELETE FROM meta WHERE name = 'short_rows'")
        db.execute("ALTER TABLE recent_facts RENAME TO facts")
        for table in ("fact_blocks", "fact_prints"):
            db.execute(f"DROP TABLE {table}")


async def test_an_earlier_version_is_refused_with_a_sentence(folder: Path) -> None:
    """It would take the last facts for the log: whatever it asks, it is told."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db:
        for query in (
            "SELECT coalesce(max(offset) + 1, 0) FROM facts",
            "SELECT value FROM facts ORDER BY offset",
            "INSERT INTO facts VALUES (1, 'k', x'00', 1)",
            "DELETE FROM facts WHERE offset = 1",
        ):
            with pytest.raises(sqlite3.OperationalError, match="newer Rescind"):
                db.execute(query)
        # As it makes its tables at each start.
        db.execute("CREATE TABLE IF NOT EXISTS facts (offset INTEGER PRIMARY KEY)")


@pytest.mark.parametrize("text", [False, True])
async def test_a_folder_of_an_earlier_version_is_taken_up_or_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, text: bool
) -> None:
    """Killed while it is taken up, it is still one of the earlier version."""
    before = lines(folder)
    old_shape(folder, text=text)

    def dies(name: str) -> None:
        if name == "start.renamed":
            raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(data_folder, "failpoint", dies)
        with pytest.raises(ConnectionError):
            Store.open(folder, realm=REALM, genesis="other")
    assert count(folder, "facts") == len(FACTS)
    async with opened(folder) as store:
        await holds(store)
        await Packing(store, REALM).catch_up()
        await holds(store)
    assert before == lines(folder)


async def test_a_backup_of_an_earlier_version_is_of_that_version(
    folder: Path, tmp_path: Path
) -> None:
    """It is the way back; and this version restores it, too."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        db.execute("DELETE FROM audit_heads")
    old_shape(folder)
    made = backup.write(folder, tmp_path / "file", product="test", at=1)
    assert (len(FACTS), SAID["received_at"]) == (made.facts, made.latest)
    assert count(folder, "facts") == len(FACTS)
    restore(
        tmp_path / "file", tmp_path / "new", genesis="new", at=1,
        read_head=lambda _: lambda _: pytest.fail("no head"),
    )  # fmt: skip
    async with opened(tmp_path / "new") as store:
        await Packing(store, REALM).catch_up()
        await holds(store)
    made = backup.write(tmp_path / "new", tmp_path / "other", product="test", at=1)
    assert (len(FACTS), SAID["received_at"]) == (made.facts, made.latest)


def test_the_point_of_taking_up_can_be_armed() -> None:
    """A test may kill a server there."""
    failpoints.arm("start.renamed")
    failpoints.arm("")


async def test_a_block_that_cannot_be_read_is_no_part_of_a_shorter_log(
    folder: Path,
) -> None:
    """The server ends as with every file that is damaged."""
    await packed(folder)
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        db.execute("UPDATE fact_blocks SET body = x'00' WHERE start = 0")
    async with opened(folder) as store:
        with pytest.raises(sqlite3.DatabaseError, match="cannot be read"):
            await store.facts(0, 10)


SHORTER = (
    "UPDATE fact_blocks SET ids = x'' WHERE start = 0",
    "UPDATE fact_blocks SET ids = x'' WHERE start = 8",
    "UPDATE fact_blocks SET ids = CAST(ids AS TEXT)",
    "UPDATE fact_blocks SET ids = substr(ids, 1, 32) WHERE start = 8",
    "UPDATE fact_blocks SET tails = x'' WHERE start = 0",
    "UPDATE fact_blocks SET start = -4 WHERE start = 0",
    "UPDATE fact_blocks SET start = start + (1 << 40) WHERE start = 8",
    "DELETE FROM fact_blocks WHERE start = 0",
    "DELETE FROM fact_blocks WHERE start = 8",
    "DELETE FROM recent_facts WHERE offset = 6",
)


@pytest.mark.parametrize("query", SHORTER)
async def test_no_reader_goes_on_without_a_fact(query: str, folder: Path) -> None:
    """It may be a revocation. Wherever a read begins, it is right, or there is none."""
    await packed(folder)
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        assert db.execute(query).rowcount
    refused = 0
    async with opened(folder) as store:
        log = StoredLog(store, REALM, 1000)
        for start in range(len(FACTS)):
            for read in (rest_of(store, start), pieces(log, start, store.end)):
                try:
                    assert await read == FACTS[start:]
                except BlockError:
                    refused += 1
    assert refused
    db = sqlite3.connect(folder / "rescind.db")
    with closing(db), pytest.raises(BlockError):
        list(fact_rows.all_facts(db))


async def rest_of(store: Store, start: int) -> list[Fact]:
    """Read facts as a start of the server does."""
    found: list[Fact] = []
    while some := await store.facts(start, 5):
        found += [each.fact for each in some]
        start = some[-1].offset + 1
    return found


async def pieces(log: StoredLog, start: int, end: int) -> list[Fact]:
    """Read facts as a guard does that starts."""
    found: list[Fact] = []
    while start < end:
        piece = await log.piece(start, end)
        found += map(from_plain, orjson.loads(piece.facts))
        start = piece.end
    return found


async def test_a_copy_of_what_nobody_can_read_is_written(folder: Path) -> None:
    """Its source was told that it is there, and says it again for good reason."""
    await packed(folder)
    async with opened(folder) as store:
        assert 0 == await write(store, FACTS)
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        db.execute(
            "UPDATE fact_blocks SET body ="
            " CAST(substr(body, 1, 9) || x'00' || substr(body, 11) AS BLOB)"
            " WHERE start = 0"
        )
    async with opened(folder) as store:
        assert 4 == await write(store, FACTS)


async def test_no_copy_is_looked_for_where_a_block_was_changed(folder: Path) -> None:
    """Nobody is told that nothing is known of what was not read."""
    await packed(folder)
    for column in ("ids", "tails"):
        query = f"UPDATE fact_blocks SET {column} = CAST({column} AS TEXT)"  # noqa: S608
        with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
            db.execute(query)
        async with opened(folder) as store:
            logged = LoggedFacts(store, REALM)
            with pytest.raises(sqlite3.DatabaseError):
                await logged.has(
                    evolve(GONE, fact_id=fact_id(FACTS[0]).hex(), kind="node")
                )
            with pytest.raises(sqlite3.DatabaseError):
                await logged.has_said(
                    Distrust(suspect_key="x", received_from=0, ingress_key="", **STOLEN)
                )


async def test_two_facts_at_one_offset_are_not_read(folder: Path) -> None:
    """Nobody could say which of them is the log's: a row and a block, or two blocks."""
    await packed(folder)
    for query in (
        "INSERT INTO recent_facts SELECT 2, x'07', value, 1 FROM recent_facts LIMIT 1",
        (
            "INSERT INTO fact_blocks SELECT 3, ids, tails, body FROM fact_blocks"
            " WHERE start = 8"
        ),
    ):
        with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
            assert db.execute(query).rowcount == 1
        async with opened(folder) as store:
            with pytest.raises(sqlite3.DatabaseError, match="there are two"):
                await store.facts(1, 10)
            log = StoredLog(store, REALM, 1000)
            with pytest.raises(sqlite3.DatabaseError, match="there are two"):
                await log.piece(2, store.end)
        with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
            db.execute("DELETE FROM recent_facts WHERE offset = 2")


async def test_a_fact_in_the_place_of_a_pruned_one_is_found(folder: Path) -> None:
    """An entry whose fact is gone by right says nothing for another one."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        db.execute("DELETE FROM audit_heads")
    async with opened(folder) as store:
        await Packing(store, REALM).catch_up()
        signer = AuditSigner(store, REALM, KEY, lambda: 0)
        gone = [0, 1, 8, 9, 10, 11, 20]
        await signer.prune(gone, actor="ana", action="prune")
        left = [fact for at, fact in enumerate(FACTS) if at not in gone]
        assert left == [each.fact for each in await store.facts(0, 99)]
        for start in (1, 2, 8, 10, 11, 12, 20, 21):
            found = [each.offset for each in await store.facts(start, 99)]
            assert found == [at for at in range(start, len(FACTS)) if at not in gone]
        assert 1 == await write(store, [FACTS[8]])  # nobody remembers it
    assert not count(folder, "fact_blocks WHERE start = 8")
    await whole_chain(folder)
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        query = "INSERT INTO recent_facts SELECT 1, x'07', value, 1 FROM recent_facts"
        db.execute(query + " LIMIT 1")
    with pytest.raises(BrokenChainError, match="entry 2 "):
        await whole_chain(folder)


async def test_what_one_read_holds_is_bounded_by_bytes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start reads as many facts as fit, however large they are, and stays."""
    large = [
        evolve(FACTS[0], version=version, authority="v" * 30_000 + str(version))
        for version in range(100, 112)
    ]
    async with opened(folder) as store:
        assert len(large) == await write(store, large)
        assert len(FACTS[:9]) == await write(
            store, [evolve(fact, version=9) for fact in FACTS[:9]]
        )
        await Packing(store, REALM).catch_up()
        assert await all_of(store) == FACTS + large + [
            evolve(fact, version=9) for fact in FACTS[:9]
        ]
        monkeypatch.setattr(fact_rows, "READ_BYTES", 100_000)
        assert 3 == len(await store.facts(len(FACTS), 1000))
        monkeypatch.setattr(fact_rows, "READ_BYTES", 1)
        assert 1 == len(await store.facts(len(FACTS), 1000))
        assert 4 == len(await store.facts(8, 1000))
    query = f"recent_facts WHERE length(value) > {fact_block.LARGE}"
    assert len(large) == count(folder, query)
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        db.execute("DELETE FROM audit_heads")
    monkeypatch.setattr(chain_pages, "PAGE_BYTES", 70_000)
    await whole_chain(folder)


async def test_the_writer_only_puts_what_was_made_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither packing nor a look for a distrust works in its thread.

    To look for copies it unpacks each block once, however many there are of its facts.
    """
    monkeypatch.setattr(packed_copies, "LOOK_SECONDS", 3600.0)
    seen: dict[str, set[str]] = {}

    def noting(module: Any, name: str) -> None:
        function = getattr(module, name)

        def noted(*args: Any, **more: Any) -> Any:
            seen.setdefault(name, set()).add(threading.current_thread().name)
            return function(*args, **more)

        monkeypatch.setattr(module, name, noted)

    async with opened(folder) as store:
        noting(packing, "pack")
        noting(packing, "unpack")
        await Packing(store, REALM).catch_up()
        unpacked: list[FactBlock] = []

        def noted(block: FactBlock) -> dict[int, PlacedFact]:
            unpacked.append(block)
            return unpack(block)

        with monkeypatch.context() as patched:
            patched.setattr(packed_copies, "unpack", noted)
            assert 0 == await write(store, FACTS)
        noting(fact_lookup, "decode_fact")
        asked = Distrust(suspect_key="hook", received_from=0, **STOLEN)
        assert await LoggedFacts(store, REALM).has_said(asked)
    assert len(unpacked) == len({*unpacked}) == count(folder, "fact_blocks")
    names = {name.rpartition("_")[0] for each in seen.values() for name in each}
    assert names == {"patient-reader"}
    assert seen.keys() == {"pack", "unpack", "decode_fact"}


async def test_blocks_are_as_large_as_the_file_is_quick(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What held the writer for long is half as large the next time."""
    times = itertools.count(step=packing.HELD_SECONDS * 2)
    monkeypatch.setattr(packing, "LEAST_FACTS", 1)
    monkeypatch.setattr(packing, "PLACES", 8)
    monkeypatch.setattr(fact_rows, "PLACES", 8)
    monkeypatch.setattr(packed_facts, "PLACES", 8)
    async with opened(folder) as store:
        slow = Packing(store, REALM, lambda: next(times))
        monkeypatch.setattr(packing, "KEEP", 20)
        await slow.catch_up()
        assert count(folder, "fact_blocks") == 10  # all but the withdraw and the last
        monkeypatch.setattr(packing, "KEEP", 0)
        await Packing(store, REALM, lambda: 0.0).catch_up()
        await holds(store)
    with closing(sqlite3.connect(folder / "rescind.db")) as db:
        query = "SELECT length(ids) / 32 FROM fact_blocks ORDER BY start"
        sizes = [size for (size,) in db.execute(query)]
    assert sizes[:13] == [*[1] * 11, 2, 4]


async def test_a_copy_is_written_again_where_a_block_cannot_be_read(
    folder: Path,
) -> None:
    """A revocation is not lost for it, and the server goes on."""
    await packed(folder)
    for change in ("tails = zeroblob(9)", "ids = ids || x'ff'", "ids = 7"):
        with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
            db.execute(f"UPDATE fact_blocks SET {change} WHERE start = 0")  # noqa: S608
            db.execute("DELETE FROM recent_facts WHERE offset >= 32")
            db.execute("DELETE FROM audit_chain WHERE fact >= 32")
        async with opened(folder) as store:
            assert 4 == await write(store, FACTS[:8])
            assert 0 == await write(store, FACTS)


async def test_a_print_that_leads_nowhere_hides_no_fact(folder: Path) -> None:
    """Whatever somebody made of the prints: the fact is written once more."""
    await packed(folder)
    for number, change in enumerate(
        (
            "DELETE FROM fact_prints",
            "INSERT INTO fact_prints VALUES (1, 'text')",
            "UPDATE fact_prints SET offset = offset + 1",
            "UPDATE fact_prints SET offset = 'x'",
            "UPDATE meta SET value = '' WHERE name = 'print_key'",
        )
    ):
        with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
            db.execute(change)
        async with opened(folder) as store:
            new = [evolve(fact, version=10 + number) for fact in FACTS]
            assert len(new) == await write(store, new)
            assert 0 == await write(store, new)


async def test_facts_of_one_print_are_both_kept(folder: Path) -> None:
    """A print stands for no fact: the other one is written, packed, and found again."""
    await packed(folder)
    new = [evolve(fact, version=77) for fact in FACTS[:4]]
    keys = [short_key(REALM, fact_key(REALM, fact)) for fact in new]
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        query = "SELECT value FROM meta WHERE name = 'print_key'"
        ((secret,),) = db.execute(query).fetchall()
        for key in keys:
            assert isinstance(key, bytes)
            told = packed_prints.print_of(key, secret.encode())
            rows = [(told, 0), (told + 1, 2)]
            db.executemany("INSERT INTO fact_prints VALUES (?, ?)", rows)
    async with opened(folder) as store:
        assert len(new) == await write(store, new)
        more = [evolve(fact, version=78) for fact in FACTS[:9]]
        assert len(more) == await write(store, more)
        await Packing(store, REALM).catch_up()
        assert 0 == await write(store, [*new, *FACTS])
        assert FACTS + new + more == await all_of(store)
    assert not count(folder, f"recent_facts WHERE offset = {len(FACTS)}")


async def test_what_changed_since_it_was_made_stays_as_it_is(folder: Path) -> None:
    """Nothing that was pruned comes back in a block, and no fact is there twice."""
    async with opened(folder) as store:

        async def made(start: int, end: int) -> PreparedBlock:
            look = partial(packing.next_block, realm=REALM, span=(start, end), most=9)
            found = (await store.study(look)).made
            assert found is not None
            return found

        async def put(block: PreparedBlock) -> bool:
            done: bool = await store.write(lambda tx: tx.log.put_block(block))
            return done

        before = await made(0, 20)
        signer = AuditSigner(store, REALM, KEY, lambda: 0)
        await signer.prune([1], actor="ana", action="prune")
        assert not await put(before)
        assert not count(folder, "fact_blocks")
        block = await made(0, 20)
        assert await put(block)
        assert not await put(block)
        # Nor has one offset a place in two blocks.
        after = await made(4, 20)
        facts = {place + 1: fact for place, fact in after.facts.items()}
        over = pack(facts, max(facts) + 1)
        assert not await put(PreparedBlock(3, over, facts, after.prints))
        # By the last fact a restart knows the next offset.
        assert not await put(await made(store.end - 4, store.end))
        assert await put(await made(store.end - 5, store.end))
        assert len(FACTS) - 1 == len(await store.facts(0, 99))

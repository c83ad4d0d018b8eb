"""The facts of a data folder are packed at work, and nothing shows it but its size."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from agents_registry.facts import Cause, Distrust, Effect, Fact, Node, Withdraw, fact_id
from agents_registry.identifiers import Identifier
from schemas.codec import decode_fact
from streams.apps.migration import _facts_of
from streams.engines.embedded import backup, data_folder, sealed_facts, sealing
from streams.engines.embedded.audit import AuditSigner, lines_of
from streams.engines.embedded.backup_archive import BackupError
from streams.engines.embedded.fact_lookup import LoggedFacts
from streams.engines.embedded.feed_log import StoredLog
from streams.engines.embedded.restore import restore
from streams.engines.embedded.sealing import Sealing
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
    for module in (sealed_facts, sealing):
        monkeypatch.setattr(module, "PLACES", 4)
    monkeypatch.setattr(sealed_facts, "ROWS", 9)
    monkeypatch.setattr(sealing, "KEEP", 3)
    monkeypatch.setattr(sealing, "REST_SECONDS", 0)


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
    return await store.write(lambda tx: tx.log.add_facts(some))


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
                patch.setattr(sealed_facts, "ROWS", 5)
                try:
                    await Sealing(store).catch_up()
                    break
                except asyncio.CancelledError:
                    pass
            await holds(store)
        assert before == lines(folder)
    assert starts > 3
    async with opened(folder) as store:
        await Sealing(store).catch_up()
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
    assert count(folder, "audit_chain") < 25


async def test_the_last_fact_stays_a_row_behind_any_number_of_acts(
    folder: Path,
) -> None:
    """By it a restart knows the next offset."""

    def acts(tx: Any) -> None:
        for _ in range(20):
            tx.audit.add_act(at=1, actor="ana", action="look", detail={})

    async with opened(folder) as store:
        await store.write(acts)
        await Sealing(store).catch_up()
        end = store.end
    assert count(folder, "recent_facts") >= 1
    async with opened(folder) as store:
        assert end == store.end
        await holds(store)


async def test_a_print_that_is_taken_hides_no_fact(folder: Path) -> None:
    """One fact by two keys in one hour is two records, packed or not."""
    others = [evolve(fact, ingress_key="other") for fact in FACTS]
    async with opened(folder) as store:
        await Sealing(store).catch_up()
        assert len(others) == await write(store, others)
        await Sealing(store).catch_up()
        assert 0 == await write(store, others)
        assert 0 == await write(store, FACTS)
        assert FACTS + others == await all_of(store)
    assert count(folder, "recent_facts") <= 9
    verified(lines(folder))


async def packed(folder: Path) -> None:
    """Pack a folder's facts."""
    async with opened(folder) as store:
        await Sealing(store).catch_up()
    assert count(folder, "fact_blocks")


CHANGES = {
    "UPDATE fact_blocks SET ids = zeroblob(length(ids)) WHERE start = 0": "entry 1 ",
    "DELETE FROM fact_blocks WHERE start = 0": "entry 1 ",
    "INSERT INTO recent_facts SELECT 2, x'07', value, 1 FROM recent_facts"
    " ORDER BY offset DESC LIMIT 1": "fact at 2 has no entry",
    "INSERT INTO fact_blocks SELECT 90, places, 1, 1, ids, body FROM fact_blocks"
    " WHERE start = 0": "fact at 90 has no entry",
    "UPDATE fact_blocks SET body = (SELECT body FROM fact_blocks WHERE start = 8)"
    " WHERE start = 12": "entry 13 ",
    "UPDATE fact_blocks SET body = x'00' WHERE start = 0": "cannot be read",
}


@pytest.mark.parametrize(("query", "why"), CHANGES.items())
async def test_a_changed_block_is_found(
    folder: Path, tmp_path: Path, query: str, why: str
) -> None:
    """By the entry of the fact, before a server starts from the backup."""
    await packed(folder)
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        db.execute("DELETE FROM audit_heads")
        assert db.execute(query).rowcount == 1
    backup.write(folder, tmp_path / "file", product="test", at=1)
    with pytest.raises((BrokenChainError, BackupError), match=why):
        restore(
            tmp_path / "file", tmp_path / "new", genesis="new", at=1,
            read_head=lambda _: lambda _: pytest.fail("no head"),
        )  # fmt: skip


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
        await Sealing(store).catch_up()
        assert FACTS + more == await all_of(store)
    verified(lines(tmp_path / "new"))


def old_shape(folder: Path) -> None:
    """Make a file's tables those of an earlier version."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db, db:
        db.execute("DROP VIEW facts")
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


async def test_a_folder_of_an_earlier_version_is_taken_up_or_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it is taken up, it is still one of the earlier version."""
    before = lines(folder)
    old_shape(folder)

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
        await Sealing(store).catch_up()
        await holds(store)
    assert before == lines(folder)


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

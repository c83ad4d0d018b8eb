"""A data folder whose rows are text, of an earlier version, is rewritten at work."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Cause, Distrust, Effect, Fact, Node, Withdraw, fact_id
from agents_registry.identifiers import Identifier
from schemas.codec import decode_fact
from streams.engines.embedded import short_rows
from streams.engines.embedded.chain_pages import lines_of
from streams.engines.embedded.fact_lookup import LoggedFacts
from streams.engines.embedded.feed_log import StoredLog
from streams.engines.embedded.short_rows import Shortening, key_text
from streams.engines.embedded.store import Store
from streams.services.audit_heads import head_reader
from streams.services.intake import encode
from streams.stages.audit.proof import ChainVerifier
from streams.stages.ingest.admission import Admission
from tests.contract.port_cases import ORIGIN, REALM

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
FAR = SAID | {"ingress_key": "hook-2"}
NAMES = [Identifier("vault.accessor", f"n{n}") for n in range(6)]
NODES: list[Fact] = [Node(node=name, **SAID) for name in NAMES]
CAUSE = Cause(target=NAMES[0], effect=Effect.REVOKE, at=5, **SAID)
GONE = Withdraw(
    fact_id=fact_id(CAUSE).hex(), kind=Cause.NAME, target=NAMES[0], **SAID
)  # fmt: skip
FACTS: list[Fact] = [*NODES, CAUSE, GONE]


async def write(store: Store, facts: list[Fact]) -> int:
    """Append facts and an act; give how many were new."""
    some = encode(facts, ORIGIN, Admission())

    def job(tx: Any) -> int:
        tx.audit.add_act(at=1, actor="ana", action="look", detail={})
        return int(tx.log.add_facts(some))

    return await store.write(job)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    """Open the folder."""
    store = Store.open(folder, realm=REALM, genesis="0123456789abcdef" * 2)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Give a folder whose rows are as an earlier version wrote them."""
    async with opened(tmp_path) as store:
        for fact in FACTS:
            assert 1 == await write(store, [fact])
    with closing(sqlite3.connect(tmp_path / "rescind.db")) as db, db:
        db.create_function("text", 1, lambda key: key_text(REALM, key))
        db.execute("UPDATE recent_facts SET key = text(key)")
        db.execute(
            "UPDATE audit_chain SET hash = lower(hex(hash)),"
            " genesis = (SELECT value FROM meta WHERE name = 'genesis')"
        )
        db.execute("DELETE FROM meta WHERE name NOT IN ('genesis', 'realm')")
    return tmp_path


def forms(folder: Path) -> tuple[set[str], set[str], set[int]]:
    """Give the types of keys and of hashes, and the lengths of a genesis."""
    with closing(sqlite3.connect(folder / "rescind.db")) as db:
        keys = {form for (form,) in db.execute("SELECT typeof(key) FROM recent_facts")}
        query = "SELECT typeof(hash), length(genesis) FROM audit_chain"
        entries = db.execute(query).fetchall()
    return keys, {form for form, _ in entries}, {size for _, size in entries}


def verified(folder: Path) -> tuple[int, str]:
    """Verify the chain; give its end."""
    verifier = ChainVerifier(head_reader([]), decode_fact)
    with closing(sqlite3.connect(folder / "rescind.db")) as db:
        for line in lines_of(db, REALM):
            verifier.take(line)
    return verifier.sequence, verifier.hash


async def holds(store: Store) -> None:
    """See that facts are found, and that no copy is written twice."""
    facts = LoggedFacts(store, REALM)
    assert await facts.has(GONE)
    stolen: dict[str, Any] = {
        "suspect": "vault", "received_from": 0, "received_to": 10**18,
        "authority": "ops", "version": 1, "received_at": 1,
    }  # fmt: skip
    assert await facts.has_said(Distrust(suspect_key="hook", **stolen))
    assert not await facts.has_said(Distrust(suspect_key="ook", **stolen))
    piece = await StoredLog(store, REALM, 1000).taken_back()
    assert 1 == piece.facts.count('"withdraw"')
    assert 0 == await write(store, FACTS)


async def test_rows_of_an_earlier_version_are_rewritten_and_say_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step by step, and on from where it was killed; the chain holds throughout."""
    monkeypatch.setattr(short_rows, "AT_ONCE", 3)
    monkeypatch.setattr(short_rows, "REST_SECONDS", 0)
    assert ({"text"}, {"text"}, {32}) == forms(folder)
    before = verified(folder)
    async with opened(folder) as store:
        await holds(store)
        assert 1 == await write(store, [Node(node=NAMES[0], **FAR)])
        assert ({"text", "blob"}, {"text", "blob"}) == forms(folder)[:2]
    assert before[0] < verified(folder)[0]

    seen = set()
    for most in range(1, 20):  # each is killed after one step more
        async with opened(folder) as store:
            steps = 0
            writing = store.write_in_time

            async def once(job: Any, writing: Any = writing, most: int = most) -> Any:
                nonlocal steps
                steps += 1
                if steps > most:
                    raise asyncio.CancelledError
                return await writing(job)

            with monkeypatch.context() as patch:
                patch.setattr(store, "write_in_time", once)
                with pytest.raises(asyncio.CancelledError):
                    await Shortening(store, REALM).run()
            await holds(store)
        verified(folder)
        seen.add(str(forms(folder)))
        if forms(folder)[0] == {"blob"}:
            break
    assert 3 == most  # of three facts each
    assert 2 == len(seen)

    async with opened(folder) as store:
        await Shortening(store, REALM).run()
        await holds(store)
    assert ({"blob"}, {"blob"}, {1}) == forms(folder)
    end = verified(folder)
    async with opened(folder) as store:
        assert [(1,)] == await store.read(
            "SELECT count(*) FROM meta WHERE name = ?", short_rows.DONE
        )
        await holds(store)
    assert end < verified(folder)

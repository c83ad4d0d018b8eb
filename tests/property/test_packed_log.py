"""Facts in blocks say what they said as rows, whatever is written, pruned and asked."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents_registry.facts import Fact, Node, Withdraw, fact_id
from agents_registry.identifiers import Identifier
from schemas.codec import decode_fact
from streams.engines.embedded import (
    chain_pages,
    fact_block,
    fact_rows,
    merging,
    packed_copies,
    packed_facts,
    packing,
)
from streams.engines.embedded.chain import Chain
from streams.engines.embedded.chain_pages import lines_of, read_page
from streams.engines.embedded.data_folder import make_tables
from streams.engines.embedded.fact_block import BlockError
from streams.engines.embedded.fact_rows import EVER, all_facts, facts_between
from streams.engines.embedded.log_rows import LogRows
from streams.engines.embedded.merging import next_merge
from streams.engines.embedded.packing import next_block
from streams.services.audit_heads import head_reader
from streams.services.intake import encode
from streams.stages.audit.proof import ChainVerifier
from streams.stages.ingest.admission import Admission
from tests.contract.port_cases import ORIGIN, REALM

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.property

HOUR = 3_600 * 10**9
PLACES = 4
MOST = 40  # facts that may be named
LARGE = 150  # bytes of a fact that stays a row


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> Iterator[None]:
    """Let blocks be small, and reads and pages as well."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (chain_pages, fact_rows, merging, packed_facts, packing):
            patch.setattr(module, "PLACES", PLACES)
        for module in (merging, packed_facts, packing):
            patch.setattr(module, "LARGE", LARGE)
        for module in (merging, packing):
            patch.setattr(module, "MOST_BYTES", 500)
            patch.setattr(module, "TAIL_BYTES", 25)
        patch.setattr(merging, "SEEN", 5)
        patch.setattr(packed_copies, "LOOK_SECONDS", 60.0)
        patch.setattr(packing, "SPAN", 11)
        patch.setattr(fact_block, "LARGE", LARGE)
        patch.setattr(fact_rows, "AT_ONCE", 7)
        patch.setattr(chain_pages, "AT_ONCE", 7)
        patch.setattr(chain_pages, "PAGE_BYTES", 900)
        yield


def fact(number: int) -> Fact:
    """Give one of some facts: most are nodes, each fifth takes one back."""
    said: dict[str, Any] = {
        "authority": "vault",
        "version": 5,
        "received_at": 7_200 * 10**9 + number // 9 * HOUR,
        "ingress_key": f"hook-{number % 3}",
    }
    name = Identifier("vault.accessor", f"n{number}" * (1 + number % 4))
    node = Node(node=name, **said)
    if number % 5:
        return node
    said["version"] = number
    return Withdraw(fact_id=fact_id(node).hex(), kind="node", target=name, **said)


class Log:
    """A file, what was written into it, and what was told of it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        make_tables(db)
        db.execute("INSERT INTO meta VALUES ('genesis.1', 'begun')")
        db.execute("INSERT INTO meta VALUES ('short_rows', '')")
        self.end = 0
        self.facts: dict[int, Fact] = {}
        self.lines: dict[int, dict[str, Any]] = {}
        self.heads: set[int] = set()
        self.after = 0

    @property
    def chain(self) -> Chain:
        """The chain as a server that starts now has it."""
        return Chain(self.db, REALM, "begun")

    def read(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run a query."""
        return self.db.execute(query, values).fetchall()

    def add(self, numbers: list[int]) -> None:
        """Append facts; copies are in vain."""
        rows = LogRows(self.db, self.chain, (self.end, 0, 0))
        some, there = [fact(number) for number in numbers], {*self.facts.values()}
        new = [each for each in dict.fromkeys(some) if each not in there]
        assert len(new) == rows.add_facts(encode(some, ORIGIN, Admission()))
        self.facts |= dict(enumerate(new, self.end))
        self.end = rows.end

    def act(self) -> None:
        """Append an act."""
        self.chain.add_act(at=1, actor="ana", action="look", detail={})

    def head(self) -> None:
        """Keep a head of the last entry."""
        self.heads.add(self.chain.last()[0])
        self.chain.put_head(self.chain.last()[0], "signed")

    def pack(self, most: int) -> None:
        """Pack what is before some of the last facts."""
        span = self.after, self.end - 1 - most % 3
        look = next_block(self.read, realm=REALM, span=span, most=most)
        self.after = max(self.after, look.after)
        if look.made is not None:
            rows = LogRows(self.db, self.chain, (self.end, 0, 0))
            assert rows.put_block(look.made)

    def merge(self) -> None:
        """Merge what is packed: then no two neighbours in a row are one block."""
        after, more = 0, True
        while more:
            after, made, more = next_merge(self.read, realm=REALM, span=(after, EVER))
            if made is not None:
                rows = LogRows(self.db, self.chain, (self.end, 0, 0))
                assert rows.put_merged(made)
                assert not rows.put_merged(made)

    def restart(self) -> None:
        """Forget how far facts were packed."""
        self.after = 0

    def prune(self, offsets: list[int]) -> None:
        """Delete facts, all but the last one."""
        self.chain.prune_facts(
            offsets, lambda *_: "signed", at=1, actor="ana", action="prune"
        )
        gone = {each for each in offsets if each in self.facts and each < self.end - 1}
        self.heads |= {self.chain.last()[0] - 1} if gone else set()
        for offset in gone:
            del self.facts[offset]
            for line in self.lines.values():
                if line["entry"]["offset"] == offset and "fact" in line:
                    del line["fact"], line["value"]

    def holds(self) -> None:
        """See that everything is there, and told as ever."""
        found = {row.offset: decode_fact(row.value) for row in all_facts(self.db)}
        assert found == self.facts
        lines = list(lines_of(self.db, REALM))
        heads = {a.get("sequence") for a, b in pairwise(lines) if "head" in b}
        assert heads == self.heads - {0}
        rows = self.read("SELECT offset FROM recent_facts", ())
        taken_back = {o for o, each in self.facts.items() if isinstance(each, Withdraw)}
        assert taken_back <= {offset for (offset,) in rows}
        told = [line for line in lines if "head" not in line]
        assert [*range(1, len(told) + 1)] == [line["sequence"] for line in told]
        for line in told:
            assert self.lines.setdefault(line["sequence"], line) == line
        verifier = ChainVerifier(head_reader([]), decode_fact)
        for line in told:
            verifier.take(line)
        verifier.hold_all()
        rows = self.read("SELECT start, length(ids) / 32 FROM fact_blocks", ())
        places = [start + each for start, size in rows for each in range(size)]
        assert len(places) == len({*places})

    def tells(self, start: int, end: int, limit: int, size: int) -> None:
        """See that a read gives the facts of some offsets, and none where one is gone.

        Only who asks for it reads on without a fact that was not pruned.
        """
        read = partial(facts_between, self.read, start, end, limit, size=size)
        left = [(o, self.facts[o]) for o in sorted(self.facts) if start <= o < end]
        told = read()
        found = [(row.offset, decode_fact(row.value)) for row in told]
        assert found == left[: len(found)]
        assert bool(found) == bool(left)
        assert len(found) <= limit
        assert told == read(gaps=True)
        query = "SELECT offset FROM recent_facts WHERE offset BETWEEN ? AND ?"
        for (gone,) in self.read(query, (start, found[-1][0] if found else -1)):
            self.db.execute("SAVEPOINT gone")
            self.db.execute("DELETE FROM recent_facts WHERE offset = ?", (gone,))
            with suppress(BlockError):
                assert all(row.offset < gone for row in read())
            try:
                assert gone not in {row.offset for row in read(gaps=True)}
            finally:
                self.db.execute("ROLLBACK TO gone")
                self.db.execute("RELEASE gone")


OPERATIONS = st.one_of(
    st.tuples(st.just("add"), st.lists(st.integers(0, MOST), min_size=1, max_size=9)),
    st.tuples(st.just("pack"), st.integers(1, 6)),
    st.tuples(st.sampled_from(["act", "head", "restart", "merge"])),
    st.tuples(st.just("prune"), st.lists(st.integers(0, MOST), max_size=5)),
)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(OPERATIONS, max_size=18), st.integers(0, 50), st.integers(0, MOST),
    st.integers(1, 20),
)  # fmt: skip
def test_a_packed_log_is_the_log(
    operations: list[tuple[Any, ...]], after: int, start: int, limit: int
) -> None:
    """Facts, copies, entries, heads and pages: nothing shows how facts are kept."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        log = Log(db)
        for name, *values in operations:
            getattr(log, name)(*values)
            log.holds()

        for size in (fact_rows.EVER, 300):
            log.tells(start, min(start + 30, log.end), limit, size)
        page = read_page(log.read, REALM, after, limit)
        told = [line for line in page.lines if "head" not in line]
        assert [n for n in log.lines if n > after][: len(told)] == [
            line["sequence"] for line in told
        ]
        assert page.more is (bool(told) and page.last[0] < len(log.lines))
        assert bool(told) == (after < len(log.lines))

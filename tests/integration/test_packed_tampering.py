"""Whatever somebody changes of blocks and prints, it is noticed or changes nothing.

Each column and each range of bytes is changed in turn, blocks are moved, doubled, mixed
and made anew, facts go from rows into blocks and back. Then either the audit does not
verify, or all that is read of the log is what it was.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from agents_registry.facts import Distrust, Fact, Node, Withdraw, fact_id
from agents_registry.identifiers import Identifier
from schemas.codec import decode_fact
from streams.engines.embedded import packed_copies
from streams.engines.embedded.chain import Chain
from streams.engines.embedded.chain_pages import lines_of
from streams.engines.embedded.data_folder import make_tables, next_fact
from streams.engines.embedded.fact_block import (
    FORMAT,
    FactBlock,
    PlacedFact,
    pack,
    unpack,
)
from streams.engines.embedded.fact_lookup import _packed_copy, _said_in_blocks
from streams.engines.embedded.fact_rows import FactRow, facts_between
from streams.engines.embedded.log_rows import LogRows
from streams.engines.embedded.packing import next_block
from streams.engines.embedded.short_rows import keys_below
from streams.services.audit_heads import head_reader
from streams.services.intake import encode
from streams.stages.audit.chain import BrokenChainError
from streams.stages.audit.proof import ChainVerifier
from streams.stages.ingest.admission import Admission
from tests.contract.port_cases import ORIGIN, REALM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.ports.fact_log import Encoded

pytestmark = [
    pytest.mark.integration,
    pytest.mark.long,
    pytest.mark.timeout(900),
]

HOUR = 3_600 * 10**9
COUNT = 620
STARTS = (0, 1, 99, 249, 250, 251, 300, 350, 499, 500, 610)
COLUMNS = ("ids", "tails", "body")


def fact(number: int, version: int = 5) -> Fact:
    """Give one of some facts; each hundredth takes one back."""
    said: dict[str, Any] = {
        "authority": "vault",
        "version": version,
        "received_at": 7_200 * 10**9 + number // 90 * HOUR,
        "ingress_key": f"hook-{number % 3}",
    }
    name = Identifier("vault.accessor", f"n{number}" * (1 + number % 4))
    node = Node(node=name, **said)
    if number % 100 != 50:
        return node
    return Withdraw(fact_id=fact_id(node).hex(), kind="node", target=name, **said)


FACTS = [fact(number) for number in range(COUNT)]
NEW = encode([fact(number, 6) for number in range(0, COUNT, 40)], ORIGIN, Admission())
COPIES = encode(FACTS, ORIGIN, Admission())


def reader(db: sqlite3.Connection) -> Callable[..., list[tuple[Any, ...]]]:
    """Run queries of a file."""
    return lambda query, values: db.execute(query, values).fetchall()


def written(db: sqlite3.Connection, facts: list[Encoded]) -> int:
    """Append facts."""
    rows = LogRows(db, Chain(db, REALM, "begun"), (next_fact(db), 0, 0))
    return rows.add_facts(facts)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the writer look for all copies itself."""
    monkeypatch.setattr(packed_copies, "LOOK_SECONDS", 60.0)


@pytest.fixture(scope="module")
def image() -> bytes:
    """Give a file with blocks."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        make_tables(db)
        db.execute("INSERT INTO meta VALUES ('genesis.1', 'begun')")
        db.execute("INSERT INTO meta VALUES ('short_rows', '')")
        assert len(FACTS) == written(db, COPIES)
        after, more = 0, True
        while more:
            span = after, COUNT - 20
            after, made, more = next_block(reader(db), realm=REALM, span=span, most=250)
            if made is not None:
                rows = LogRows(db, Chain(db, REALM, "begun"), (COUNT, 0, 0))
                assert rows.put_block(made)
        ((blocks,),) = db.execute("SELECT count(*) FROM fact_blocks")
        assert blocks == 2
        return db.serialize()


class Answers(NamedTuple):
    """What a log answers to all that read it."""

    facts: list[tuple[int, Fact]]
    from_there: list[list[int]]
    taken_back: list[bytes]
    withdrawn: list[bool]
    said: list[bool]


def whole_rows(read: Any, start: int, limit: int = 200) -> Iterator[FactRow]:
    """Read a log from an offset on, as a guard does."""
    while start < COUNT and (rows := facts_between(read, start, COUNT, limit)):
        yield from rows
        start = rows[-1].offset + 1


def read_all(read: Any, start: int) -> Iterator[tuple[int, Fact]]:
    """Read the facts of a log from an offset on."""
    return ((row.offset, decode_fact(row.value)) for row in whole_rows(read, start))


def answers(db: sqlite3.Connection) -> Answers:
    """Ask a log for everything."""
    read = reader(db)
    nodes = [FACTS[at] for at in range(3, COUNT - 60, 77)]
    withdraws = [
        Withdraw(
            fact_id=fact_id(each).hex(), kind="node", target=each.node,
            authority="ops", version=1, received_at=1, ingress_key="ops",
        )
        for each in nodes
        if isinstance(each, Node)
    ]  # fmt: skip
    distrusts = [
        Distrust(
            suspect="vault", suspect_key=f"hook-{key}", received_from=start,
            received_to=start + HOUR, authority="ops", version=1, received_at=1,
            ingress_key="ops",
        )
        for key in range(4)
        for start in (0, 7_200 * 10**9, 7_200 * 10**9 + 2 * HOUR)
    ]  # fmt: skip
    query = "SELECT value FROM recent_facts WHERE key >= ? AND key < ? ORDER BY key"
    spans = [keys_below(REALM, "node", each.fact_id)[1][0] for each in withdraws]
    return Answers(
        list(read_all(read, 0)),
        [[at for at, _ in read_all(read, start)] for start in (1, 130, 249, 250, 260)],
        [v for (v,) in db.execute(query, keys_below(REALM, "withdraw")[1])],
        [
            _packed_copy(read, start=0, wanted=wanted)[0]
            for wanted in zip(spans, withdraws, strict=True)
        ],
        [_said_in_blocks(read, start=0, distrust=each)[0] for each in distrusts],
    )


def verifies(db: sqlite3.Connection) -> bool:
    """Whether the audit finds nothing."""
    verifier = ChainVerifier(head_reader([]), decode_fact)
    try:
        for line in lines_of(db, REALM):
            verifier.take(line)
        verifier.hold_all()
    except BrokenChainError:
        return False
    return True


def hold_places(db: sqlite3.Connection, start: int, what: str) -> None:
    """See that no fact is passed over from an offset on, whatever is noticed later."""
    try:
        found = [row.offset for row in whole_rows(reader(db), start)]
    except sqlite3.DatabaseError:
        return
    assert found == [*range(start, COUNT)], what


class Tally:
    """Counts what was noticed."""

    def __init__(self, image: bytes) -> None:
        self.image = image
        self.noticed = self.unaffected = 0
        with closing(self.copy()) as db:
            self.right = answers(db)
            assert verifies(db)

    def copy(self) -> sqlite3.Connection:
        """Open a copy of the file."""
        db = sqlite3.connect(":memory:", isolation_level=None)
        db.deserialize(self.image)
        return db

    def hold(self, query: str, values: tuple[Any, ...] = ()) -> None:
        """Change a copy, and see that it is noticed or changes nothing."""
        with closing(self.copy()) as db:
            if not db.execute(query, values).rowcount:
                return
            self.hold_changed(db, f"{query} {values!r:.200}")

    def hold_changed(self, db: sqlite3.Connection, what: str) -> None:
        """See that what was changed is noticed or changes nothing."""
        for start in STARTS:
            hold_places(db, start, what)
        if verifies(db):
            assert answers(db) == self.right, what
            self.unaffected += 1
        else:
            self.noticed += 1
        # No new fact is taken for a copy, and the writer goes on whatever is there.
        assert written(db, NEW) == len(NEW), what
        again = written(db, COPIES)
        assert 0 <= again <= len(FACTS), what


def test_each_byte_of_a_block_is_held(image: bytes) -> None:
    """Bits are turned, bytes are cut out, put in, and taken from another place."""
    tally, draw = Tally(image), random.Random(7)
    with closing(tally.copy()) as db:
        blocks = db.execute(
            "SELECT start, ids, tails, body FROM fact_blocks"
        ).fetchall()
    for start, *columns in blocks:
        for name, column in zip(COLUMNS, columns, strict=True):
            query = f"UPDATE fact_blocks SET {name} = ? WHERE start = ?"  # noqa: S608
            places = sorted(draw.sample(range(len(column)), min(40, len(column))))
            for at in {0, 1, 2, len(column) - 1, *places}:
                turned = bytes([column[at] ^ 1 << draw.randrange(8)])
                size = draw.choice([1, 4, 32])
                other = draw.randrange(len(column))
                changes = [
                    column[:at] + turned + column[at + 1 :],
                    column[:at] + column[at + size :],
                    column[:at],
                    column[:at] + bytes(size) + column[at:],
                    column[:at] + column[other : other + size] + column[at + size :],
                ]
                tally.hold(query, (draw.choice(changes), start))
                tally.hold(query, (changes[0], start))
            for end in (b"\x00", b"\xff", column, bytes(32)):
                tally.hold(query, (column + end, start))
    assert tally.noticed > 300


def test_columns_of_any_kind_and_place_are_held(image: bytes) -> None:
    """Other types, other starts, blocks and prints that are moved, doubled or mixed."""
    tally = Tally(image)
    for name in COLUMNS:
        for value in ("''", "x''", "'text'", "7", "zeroblob(400000)", f"{name} || 'x'",
                      f"{name} || x'ff'", f"CAST({name} AS TEXT)", "zeroblob(8000)",
                      f"(SELECT {name} FROM fact_blocks WHERE start > 0 LIMIT 1)",  # noqa: S608
                      f"substr({name}, 33)", f"substr({name}, 1, 32)"):  # fmt: skip
            query = f"UPDATE fact_blocks SET {name} = {value} WHERE start = 0"  # noqa: S608
            tally.hold(query)
    for start in (-400, -250, -249, -1, 1, 100, 249, 2**40):
        tally.hold("UPDATE fact_blocks SET start = ? WHERE start = 0", (start,))
        for length in (8000, 3200, 32):
            tally.hold(
                "INSERT OR IGNORE INTO fact_blocks SELECT ?, substr(ids, 1, ?), tails,"
                " body FROM fact_blocks WHERE start = 0", (start, length),
            )  # fmt: skip
    tally.hold("DELETE FROM fact_blocks WHERE start = 0")
    for change in ("offset = offset + 1", "offset = 'x'", "offset = x'ff'",
                   "offset = -5", "offset = 1 << 60", "print = -print"):  # fmt: skip
        tally.hold(f"UPDATE fact_prints SET {change}")  # noqa: S608
    tally.hold("DELETE FROM fact_prints")
    tally.hold("UPDATE meta SET value = 'x' WHERE name = 'print_key'")
    tally.hold("DELETE FROM meta WHERE name = 'print_key'")
    assert tally.noticed > 50
    assert tally.unaffected >= 8


def test_facts_that_change_their_form_or_place_are_held(image: bytes) -> None:
    """Blocks that are made anew, whole and well formed, of other facts."""
    tally = Tally(image)

    def other(
        change: Callable[[dict[int, PlacedFact]], object], places: int = 250
    ) -> None:
        with closing(tally.copy()) as db:
            query = "SELECT ids, tails, body FROM fact_blocks WHERE start = 0"
            facts = unpack(FactBlock.of(*db.execute(query).fetchone()))
            change(facts)
            update = "UPDATE fact_blocks SET ids = ?, tails = ?, body = ?"
            db.execute(update + " WHERE start = 0", pack(facts, places))
            tally.hold_changed(db, repr(change))

    gone = tally.noticed
    other(lambda facts: facts.pop(7))
    other(lambda facts: facts.pop(249), places=249)
    other(lambda facts: facts.update({7: facts[8]}))
    other(lambda facts: facts.update({7: facts[8], 8: facts[7]}))
    other(lambda facts: facts.update({50: facts[51]}))
    other(lambda facts: facts.update({50: PlacedFact(facts[51].key, facts[9].value)}))
    for part in (slice(0, 1), slice(33, 37), slice(37, 99), slice(1, 33)):

        def another(facts: dict[int, PlacedFact], part: slice = part) -> None:
            key = bytearray(facts[7].key)
            key[part] = bytes(b ^ 1 for b in key[part])
            facts[7] = facts[7]._replace(key=bytes(key))

        other(another)
    assert tally.noticed == gone + 10
    # What takes back is a row, and nowhere else, whatever its key says.
    for moved in ("DELETE FROM recent_facts WHERE offset = 50", ""):
        with closing(tally.copy()) as db:
            query = "SELECT key, value FROM recent_facts WHERE offset = 50"
            fact_ = PlacedFact(*db.execute(query).fetchone())
            query = "SELECT ids, tails, body FROM fact_blocks WHERE start = 0"
            facts = unpack(FactBlock.of(*db.execute(query).fetchone()))
            update = "UPDATE fact_blocks SET ids = ?, tails = ?, body = ?"
            db.execute(update + " WHERE start = 0", pack(facts | {50: fact_}, 250))
            db.execute(moved)
            before = tally.noticed
            tally.hold_changed(db, moved)
            assert tally.noticed == before + 1
    # A fact as a row in place of one in a block changes nothing; both are refused.
    with closing(tally.copy()) as db:
        query = "SELECT ids, tails, body FROM fact_blocks WHERE start = 0"
        block = FactBlock.of(*db.execute(query).fetchone())
        facts = unpack(block)
        row = (7, *facts[7], 1)
        db.execute("INSERT INTO recent_facts VALUES (?, ?, ?, ?)", row)
        assert not verifies(db)
        update = "UPDATE fact_blocks SET ids = ?, tails = ?, body = ?"
        del facts[7]
        db.execute(update + " WHERE start = 0", pack(facts, 250))
        assert verifies(db)
        tally.hold_changed(db, "a row")
    assert block.tails[0] == FORMAT

"""A revocation with many descendants: the fence, the list, the published records."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections import deque
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from agents_registry.causes import CauseBook
from agents_registry.facts import Cause, Effect
from agents_registry.inventory import affected
from agents_registry.presentation import Presented
from agents_registry.reach import Reached
from agents_registry.registry import Registry
from agents_registry.steps import finish
from agents_registry.verdict import judge
from bench.credentials import (
    LATER,
    NOW,
    SHORT,
    accessor,
    facts_of,
    register,
    token_hmac,
    tree,
)
from bench.report import Row, rate
from bench.rounds import interleave
from schemas.codec import bundled
from streams.engines.embedded.store import Store
from streams.stages.registry.cascade import SLICE
from streams.stages.registry.registry import Condemned, condemned, dead
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.engines.embedded.transaction import Transaction

IDS: Final = {"tiny": (500,), "small": (100_000,), "full": (100_000, 1_000_000)}
RECORDS: Final = {"tiny": 100, "small": 5_000, "full": 20_000}
LEAST_A_SECOND: Final = 1_000_000
FENCES: Final = 50
FLAT: Final = 1.2  # a fence above many takes at most this much longer
TOP: Final = accessor(0)


def rows(scale: str) -> list[Row]:
    """Measure for each number of descendants: ids, two for each credential."""
    found = []
    for ids in IDS[scale]:
        registry = Registry()
        register(registry, ids // 2, tree)
        found.append(_fencing(registry, ids))
        found.append(_listing(registry, ids))
        found += _publishing(registry, ids, RECORDS[scale])
    return found


def _listing(registry: Registry, ids: int) -> Row:
    """Enumerate in memory, against a search over dicts of lists of texts."""
    children: dict[str, list[str]] = {}
    for number in range(1, ids // 2):
        children.setdefault(str(accessor(tree(number) or 0)), []).extend(
            (str(accessor(number)), str(token_hmac(number)))
        )
    start = str(TOP)
    # The root's other name is listed too: it has no parent in the peer's dict.
    assert sum(1 for _ in affected(registry, TOP)) == ids - 1
    assert len(list(_search(children, start))) == ids - 2
    measured = interleave(
        lambda: deque(affected(registry, TOP), maxlen=0),
        lambda: deque(_search(children, start), maxlen=0),
    )
    speed = ids / measured.ours_median
    return Row(
        what=f"list {ids:,} descendants, in memory",
        value=rate(speed),
        cpu=measured.cpu,
        peer=f"search over dict of lists, {rate(ids / measured.peer_median)}",
        ratio=measured.ratio,
        target=f">= {rate(LEAST_A_SECOND)}",
        met=speed >= LEAST_A_SECOND,
    )


def _search(children: dict[str, list[str]], start: str) -> Iterator[tuple[str, int]]:
    """Search breadth first, each once: the plainest thing that gives the same list."""
    seen = {start}
    level, depth = [start], 0
    while level:
        depth += 1
        following = []
        for name in level:
            for child in children.get(name, ()):
                if child not in seen:
                    seen.add(child)
                    following.append(child)
                    yield child, depth
        level = following


def _fencing(registry: Registry, ids: int) -> Row:
    """Apply a revocation and see the deepest leaf denied, against a single chain.

    The chain is as deep as the tree and has no other descendants: where the ratio
    is 1 the fan-out costs nothing.
    """
    deepest = ids // 2 - 1
    chain = Registry()
    number: int | None = deepest
    while number is not None:
        for fact in facts_of(number, tree(number), SHORT):
            chain.apply(fact)
        number = tree(number)
    measured = interleave(_fences(registry, deepest), _fences(chain, deepest))
    return Row(
        what=f"fence above {ids:,}: 1 fact, deepest leaf denied",
        value=f"{measured.ours_median / FENCES * 1e6:.0f} us",
        cpu=measured.cpu,
        peer=f"above one chain, {measured.peer_median / FENCES * 1e6:.0f} us",
        ratio=measured.ratio,
        target=f"<= {FLAT}x",
        met=measured.ratio[0] <= FLAT,
    )


def _fences(registry: Registry, deepest: int) -> Callable[[], None]:
    """Give work that ends the top again and again, each time with no cause before."""
    leaf = Presented((token_hmac(deepest),))

    def work() -> None:
        for number in range(FENCES):
            registry.causes = CauseBook()
            registry.apply(_revocation(number))
            if judge(registry, leaf, now=NOW).allowed:
                raise AssertionError("a descendant of a dead credential was allowed")

    return work


def _revocation(number: int) -> Cause:
    return Cause(
        authority="vault", event_id=str(number), version=LATER, received_at=LATER,
        target=accessor(0), effect=Effect.REVOKE, at=LATER,
    )  # fmt: skip


def _publishing(registry: Registry, ids: int, records: int) -> list[Row]:
    """Judge, and write to the file, in transactions as the registry stage does."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        store = runner.run(_open(Path(folder)))
        bare = _bare(Path(folder) / "bare.db")
        fresh = count()
        names = [str(each) for each, _ in islice(affected(registry, TOP), records)]
        try:
            measured = interleave(
                lambda: runner.run(_publish(store, registry, next(fresh), records)),
                lambda: _write(bare, names, str(next(fresh))),
            )
        finally:
            runner.run(store.close())
            bare.close()
    return [
        Row(
            what=f"publish {records:,} of {ids:,} invalidations, 1000 a commit",
            value=f"{rate(records / measured.ours_median)} of CPU",
            cpu=measured.cpu,
            peer=f"bare inserts, {rate(records / measured.peer_median)}",
            ratio=measured.ratio,
        ),
        _encoding(registry, records),
    ]


async def _open(folder: Path) -> Store:
    return Store.open(folder, realm="bench", genesis="bench")


async def _publish(store: Store, registry: Registry, number: int, records: int) -> None:
    """List what a new cause condemned; each cause's rows are new ones."""
    registry.causes = CauseBook()
    registry.apply(_revocation(number))
    sentinel = Sentinel("bench", Tolerances(skew=0, grace=0, remember=0, silence=0))
    reach = Reached(registry, [registry.lineage.find(TOP)])
    listed = 0
    while listed < records:
        found = finish(condemned(registry, reach))[: records - listed]
        listed += len(found)
        names = [each.identifier for each in found]
        finish(sentinel.reconsider(names, registry, NOW))
        rows = [(str(name), why.cause.fact_id) for name, why in dead(found)]

        def job(tx: Transaction, rows: list[tuple[str, str]] = rows) -> None:
            tx.stages.add_invalidations(rows, number)
            tx.stages.set_position("registry", number)

        await store.write(job)


def _bare(path: Path) -> sqlite3.Connection:
    """Open the peer: the same table, the same durability, nothing else."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(
        "CREATE TABLE invalidations (offset INTEGER PRIMARY KEY, identifier TEXT,"
        " cause TEXT, as_of INTEGER, UNIQUE (cause, identifier))"
    )
    return db


def _write(db: sqlite3.Connection, names: list[str], number: str) -> None:
    cause = number.zfill(64)
    query = "INSERT INTO invalidations (identifier, cause, as_of) VALUES (?, ?, 0)"
    for start in range(0, len(names), SLICE):
        db.execute("BEGIN")
        db.executemany(query, [(name, cause) for name in names[start : start + SLICE]])
        db.execute("COMMIT")


def _encoding(registry: Registry, records: int) -> Row:
    """Write the same as Avro, as records of the log that subscribers read."""
    reach = Reached(registry, [registry.lineage.find(TOP)])
    found: list[Condemned] = []
    while len(found) < records:
        found += finish(condemned(registry, reach))
    found = found[:records]
    codec = bundled()

    def ours() -> None:
        for each in found:
            codec.encode("invalidation", _plain(each))

    def peer() -> None:
        for each in found:
            orjson.dumps(_plain(each))

    measured = interleave(ours, peer)
    return Row(
        what="encode an invalidation as Avro, apart",
        value=f"{measured.ours_median / records * 1e6:.1f} us",
        cpu=measured.cpu,
        peer=f"as JSON, {measured.peer_median / records * 1e6:.1f} us",
        ratio=measured.ratio,
    )


def _plain(each: Condemned) -> dict[str, object]:
    assert each.death is not None
    cause = each.death.cause
    return {
        "genesis": "bench",
        "partition": 0,
        "realm": "bench",
        "identifier": str(each.identifier),
        "cause": cause.fact_id,
        "target": str(cause.target),
        "effect": cause.effect.value,
        "path": [str(name) for name in each.death.path],
        "authority": cause.authority,
        "at": cause.at,
        "as_of": 1,
    }

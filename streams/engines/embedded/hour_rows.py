"""What counts of findings and causes, in columns beside their bodies.

The file counts by these in the order of an index, and no body is read. They are
derived: a file of an earlier version gets them at its first start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from streams.services.hourly_counts import hour_of
from streams.stages.closure.results import seconds_between

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    CountedRows = Sequence[tuple[Any, ...]]  # of one of the queries here

STAGE: Final = "hours"  # whose position is the version of these columns
VERSION: Final = 1
AT_ONCE: Final = 1000  # rows of an earlier version
# Durations come as a JSON array: a list of so many values is read by one call.
FINDINGS: Final = (
    "SELECT hour, authority, kind, count(*),"
    " json_group_array(seconds) FILTER (WHERE seconds IS NOT NULL)"
    " FROM finding_hours WHERE hour >= ? GROUP BY hour, authority, kind"
)
CAUSES: Final = (
    "SELECT hour, authority, effect, count(*) FROM cause_hours"
    " WHERE hour >= ? GROUP BY hour, authority, effect"
)
DENIALS: Final = (
    "SELECT accepted, authority, effect, state, json_group_array(seconds)"
    " FROM cause_hours WHERE accepted >= ?"
    " GROUP BY accepted, authority, effect, state"
)


def put_findings(db: sqlite3.Connection, rows: Iterable[tuple[str, bytes]]) -> None:
    """Note what counts of findings: ids and bodies."""
    query = "INSERT OR REPLACE INTO finding_hours VALUES (?, ?, ?, ?, ?)"
    db.executemany(query, _of_findings(rows))


def drop_findings(db: sqlite3.Connection, identities: Iterable[tuple[str]]) -> None:
    """Count some findings no more."""
    db.executemany("DELETE FROM finding_hours WHERE id = ?", identities)


def put_causes(db: sqlite3.Connection, rows: Iterable[tuple[int, str, bytes]]) -> None:
    """Note what counts of causes: offsets, ids and bodies, which the file has by now.

    A cause that was accepted again counts as its first copy does.
    """
    db.executemany(
        "INSERT OR REPLACE INTO cause_hours SELECT ?3, ?4, ?5, ?6, ?7, ?8, ?9"
        " WHERE NOT EXISTS (SELECT 1 FROM closures WHERE id = ?1 AND offset < ?2)",
        _of_causes(rows),
    )


def upgrade(db: sqlite3.Connection) -> None:
    """Note what counts of all that the file has, where an earlier version wrote it."""
    known = db.execute("SELECT position FROM positions WHERE stage = ?", (STAGE,))
    if known.fetchone() == (VERSION,):
        return
    db.execute("BEGIN IMMEDIATE")
    with db:
        found = db.execute("SELECT id, body FROM findings")
        while rows := found.fetchmany(AT_ONCE):
            put_findings(db, rows)
        found = db.execute("SELECT offset, id, body FROM closures")
        while rows := found.fetchmany(AT_ONCE):
            put_causes(db, rows)
        query = "INSERT OR REPLACE INTO positions VALUES (?, ?)"
        db.execute(query, (STAGE, VERSION))


def _of_findings(rows: Iterable[tuple[str, bytes]]) -> Iterator[tuple[Any, ...]]:
    for identity, body in rows:
        episode = orjson.loads(body)
        it, seconds = episode["finding"], None
        if not episode["open"]:
            seconds = round(seconds_between(it["first_seen"], episode["touched"]), 3)
        hour = hour_of(it["first_seen"])
        # Earlier versions named no authority.
        yield identity, hour, it.get("authority") or "", it["kind"], seconds


def _of_causes(rows: Iterable[tuple[int, str, bytes]]) -> Iterator[tuple[Any, ...]]:
    for offset, identity, body in rows:
        plain = orjson.loads(body)
        it, state = plain["cause"], plain["outcome"]["state"]
        accepted = it["accepted_at"]
        seconds = round(seconds_between(accepted, plain["settled_at"]), 3)
        yield (
            identity, offset, offset, hour_of(it["at"]), hour_of(accepted),
            it.get("authority") or "", it["effect"], state, seconds,
        )  # fmt: skip

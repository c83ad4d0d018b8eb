"""Take over what earlier versions kept in a table for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from streams.ports.keyed_store import (
    CURSOR,
    HEALTH,
    PENDING,
    PLACE,
    SCIM,
    SILENCE,
    STATUS_ENTRY,
    STATUS_LIST,
    part,
)
from streams.services.health_records import ALONE

if TYPE_CHECKING:
    import sqlite3
    from typing import Any

_ROWS: Final = {  # of each table, the key first
    "cursors": "SELECT name, body FROM cursors",
    "pending": "SELECT id, body FROM pending",
    "silences": "SELECT id, body FROM silences",
    "source_health": "SELECT name, body FROM source_health",
    "scim": "SELECT authority, kind, id, name, external_id, active, created, modified"
    " FROM scim",
    "places": "SELECT root, number, path, inode, position, length, digest, modified"
    " FROM places",
    "status_entries": "SELECT name, idx, body FROM status_entries"
    " JOIN status_lists ON number = list",
    "status_lists": "SELECT name, genesis, bits, size, created_at FROM status_lists",
}


def upgrade(db: sqlite3.Connection) -> None:
    """Move the rows of each old table that is there, and drop the table."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    there = {name for (name,) in db.execute(query)}
    for table, select in _ROWS.items():
        if table not in there:
            continue
        db.execute("BEGIN IMMEDIATE")
        with db:
            new = [_kept(table, row) for row in db.execute(select)]
            db.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?, ?)", new)
            db.execute(f"DROP TABLE {table}")


def _kept(table: str, row: tuple[Any, ...]) -> tuple[str, str, bytes]:
    match table:
        case "scim":
            return SCIM, "/".join(map(part, row[:3])), orjson.dumps(row)
        case "places":
            root, number, path, inode, position, length, digest, modified = row
            body = [number, path, inode, position, length, digest.hex(), modified]
            return PLACE, f"{part(root)}/{number}", orjson.dumps(body)
        case "source_health":
            return HEALTH, f"{ALONE}/{row[0]}", row[1]
        case "status_entries":
            name, index, body = row
            return STATUS_ENTRY, f"{name}/{index}/moved", body
        case "status_lists":
            return STATUS_LIST, row[0], orjson.dumps(row[1:])
    kind = {"cursors": CURSOR, "pending": PENDING, "silences": SILENCE}[table]
    return kind, row[0], row[1]

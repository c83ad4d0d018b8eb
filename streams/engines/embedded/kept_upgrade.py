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
    part,
)
from streams.services.health_records import ALONE

if TYPE_CHECKING:
    import sqlite3
    from typing import Any

_COLUMNS: Final = {  # of each table, the key first
    "cursors": "name, body",
    "pending": "id, body",
    "silences": "id, body",
    "source_health": "name, body",
    "scim": "authority, kind, id, name, external_id, active, created, modified",
    "places": "root, number, path, inode, position, length, digest, modified",
}


def upgrade(db: sqlite3.Connection) -> None:
    """Move the rows of each old table that is there, and drop the table."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    there = {name for (name,) in db.execute(query)}
    for table, columns in _COLUMNS.items():
        if table not in there:
            continue
        db.execute("BEGIN IMMEDIATE")
        with db:
            rows = db.execute(f"SELECT {columns} FROM {table}")  # noqa: S608 - names
            new = [_kept(table, row) for row in rows]
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
    kind = {"cursors": CURSOR, "pending": PENDING, "silences": SILENCE}[table]
    return kind, row[0], row[1]

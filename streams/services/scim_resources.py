"""SCIM resources, kept behind the facts that changed them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from streams.ports.keyed_store import SCIM, Put, part

if TYPE_CHECKING:
    from streams.ports.keyed_store import KeyedStore
    from streams.services.ingest import Intake
    from streams.services.intake import IntakeBatch

_TABLE: Final = """
CREATE TABLE scim (
  key TEXT PRIMARY KEY, authority TEXT, kind TEXT, id TEXT, name TEXT,
  external_id TEXT, active INTEGER, created INTEGER, modified INTEGER) WITHOUT ROWID;
CREATE INDEX scim_ids ON scim (authority, kind, id);
CREATE INDEX scim_names ON scim (authority, kind, name COLLATE NOCASE);
CREATE INDEX scim_external_ids ON scim (authority, kind, external_id);
"""
_SELECT: Final = (
    "SELECT id, name, external_id, active, created, modified FROM scim "
    "WHERE authority = ? AND kind = ? "
)
_BY: Final = {
    "id": _SELECT + "AND id = ?",
    "name": _SELECT + "AND name = ? COLLATE NOCASE",
    "external_id": _SELECT + "AND external_id = ?",
}
_PAGE: Final = _SELECT + "ORDER BY id LIMIT ? OFFSET ?"
_COUNT: Final = "SELECT count(*) FROM scim WHERE authority = ? AND kind = ?"

Row = tuple[Any, ...]  # id, name, external id, active, created, modified

log = structlog.get_logger()


class KeptResources:
    """The resources of all authorities; an index of them is held in memory."""

    def __init__(self, kept: KeyedStore, ingest: Intake) -> None:
        self._kept = kept
        self._ingest = ingest
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._db.executescript(_TABLE)
        kept.follow(SCIM, self._apply)

    async def find(
        self, authority: str, kind: str, column: str, value: str
    ) -> Row | None:
        """Resource with this ``id``, ``name`` or ``external_id``, whoever wrote it.

        Raises:
            NotWrittenError: what others wrote cannot be told now.
        """
        await self._kept.catch_up()
        row: Row | None = self._db.execute(
            _BY[column], (authority, kind, value)
        ).fetchone()
        return row

    async def page(
        self, authority: str, kind: str, skipped: int, count: int
    ) -> tuple[list[Row], int]:
        """Resources by id, at most ``count``, and how many there are.

        Raises:
            NotWrittenError: what others wrote cannot be told now.
        """
        await self._kept.catch_up()
        ((total,),) = self._db.execute(_COUNT, (authority, kind))
        rows = self._db.execute(_PAGE, (authority, kind, count, skipped)).fetchall()
        return rows, total

    async def write(self, delivery: IntakeBatch, row: Row, *, gone: bool) -> None:
        """Write the facts of a request, then the resource that it changed.

        Args:
            delivery: the facts.
            row: authority, kind, id, name, external id, active, created, modified.
            gone: it was deleted.

        Raises:
            NotWrittenError: not all of it is durable; the directory repeats.
        """
        name = "/".join(map(part, row[:3]))
        body = None if gone else orjson.dumps(row)
        await self._ingest.records(delivery, [Put(SCIM, name, body)])

    def _apply(self, name: str, body: bytes | None) -> None:
        self._db.execute("DELETE FROM scim WHERE key = ?", (name,))
        if body is None:
            return
        query = "INSERT INTO scim VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        try:
            self._db.execute(query, (name, *orjson.loads(body)))
        except (ValueError, TypeError, sqlite3.Error) as error:
            # One bad record must not keep every ingress from starting.
            log.warning("resource_not_read", error=type(error).__name__)

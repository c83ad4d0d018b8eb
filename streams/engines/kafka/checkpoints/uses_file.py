"""What the sentinel remembers of one partition of ``access``, in a local file."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final

from streams.engines.kafka.checkpoints.blob_files import BlobFiles
from streams.engines.kafka.client.disk import DiskRoom
from streams.process.private_folder import FOLDER_MODE, create_private

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_USES: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uses (
  realm TEXT, key TEXT, body BLOB NOT NULL, PRIMARY KEY (realm, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used_scopes (
  realm TEXT, name TEXT, body BLOB NOT NULL, PRIMARY KEY (realm, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS episodes (
  realm TEXT, id TEXT, body BLOB NOT NULL, PRIMARY KEY (realm, id)
);
"""
# An episode is longer than what a leaf of an index holds: it has a rowid, and is
# written over in its place.


class _File:
    """One SQLite file; used by one thread at a time."""

    def __init__(self, path: Path, schema: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        create_private(path)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # An episode that changed costs a page; new files only, older ones have larger.
        self._db.execute("PRAGMA page_size = 2048")
        self._db.execute("PRAGMA journal_mode = WAL")
        # Losing the last transactions to a power cut makes the file old, not wrong.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint = 20000")
        self._db.executescript(schema)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _meta(self, name: str, default: Any) -> Any:
        query = "SELECT value FROM meta WHERE name = ?"
        rows = self._db.execute(query, (name,)).fetchall()
        return rows[0][0] if rows else default

    def _put(self, **values: Any) -> None:
        query = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
        self._db.executemany(query, values.items())


class UsesFile(_File):
    """What the sentinel remembers of one partition of ``access``.

    What is large lies in files of its own beside it: a database writes all twice.

    Attributes:
        position: every block below it was judged; None in a new file.
        room: on the disk.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it."""
        super().__init__(path, _USES)
        self.room = DiskRoom(path)
        self._beside = BlobFiles(path)
        self.position: int | None = self._meta("position", None)

    def reset(self) -> None:
        """Throw everything away but used scopes, which are true whoever reads on."""
        self._db.execute("BEGIN")
        for table in ("uses", "episodes", "meta"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - constant names
        self._db.execute("COMMIT")
        self._beside.keep(())
        self.position = None

    def save(
        self,
        uses: Iterable[tuple[str, str, bytes | None]],
        episodes: Iterable[tuple[str, str, bytes | None]],
        position: int | None,
        used_scopes: Iterable[tuple[str, str, bytes | None]] = (),
    ) -> bool:
        """Save changed uses and episodes and move on, in one transaction.

        Nothing of it is saved, and False given, where there is no room.

        Args:
            uses: realm, key and body; None forgets one.
            episodes: realm, id and body; None forgets one.
            position: the next block to judge.
            used_scopes: realm, name and body; None forgets one.
        """
        if self.room.missing:
            return False
        try:
            self._db.execute("BEGIN")
            gone = self._put_uses(uses)
            self._replace("used_scopes", "name", used_scopes)
            self._replace("episodes", "id", episodes)
            if position is not None:
                self._put(position=position)
            self._db.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self.room.failed(error)
            return False
        self.room.found()
        self._beside.drop(gone)
        self.position = position
        return True

    def _put_uses(
        self, uses: Iterable[tuple[str, str, bytes | None]]
    ) -> list[tuple[str, str]]:
        """Put rows of uses; give those that are gone."""
        gone = []
        for realm, key, body in uses:
            if body is None:
                query = "DELETE FROM uses WHERE realm = ? AND key = ?"
                self._db.execute(query, (realm, key))
                gone.append((realm, key))
            else:
                query = "INSERT OR REPLACE INTO uses VALUES (?, ?, ?)"
                told = self._beside.put(realm, key, body)
                self._db.execute(query, (realm, key, told))
        return gone

    def _replace(
        self, table: str, name: str, rows: Iterable[tuple[str, str, bytes | None]]
    ) -> None:
        """Put rows of realm, name and body into a table; drop those without a body."""
        drop = f"DELETE FROM {table} WHERE realm = ? AND {name} = ?"  # noqa: S608 - constant names
        put = (
            f"INSERT INTO {table} VALUES (?, ?, ?) "  # noqa: S608 - as above
            f"ON CONFLICT (realm, {name}) DO UPDATE SET body = excluded.body"
        )
        for realm, key, body in rows:
            if body is None:
                self._db.execute(drop, (realm, key))
            else:
                self._db.execute(put, (realm, key, body))

    def uses(self) -> dict[str, list[tuple[str, bytes]]]:
        """Name and body of all remembered uses, by their realms.

        Raises:
            DamagedError: they cannot all be had.
        """
        found: dict[str, list[tuple[str, bytes]]] = {}
        for realm, key, told in self._db.execute("SELECT realm, key, body FROM uses"):
            body = self._beside.body(realm, key, told)
            found.setdefault(realm, []).append((key, body))
        self._beside.keep((realm, key) for realm in found for key, _ in found[realm])
        return found

    def used_scopes(self, realm: str) -> list[tuple[str, bytes]]:
        """Name and body of the recorded use of scopes in a realm."""
        query = "SELECT name, body FROM used_scopes WHERE realm = ?"
        return self._db.execute(query, (realm,)).fetchall()

    def episodes(self) -> list[tuple[str, bytes]]:
        """Realm and body of every episode."""
        return self._db.execute("SELECT realm, body FROM episodes").fetchall()

"""Local checkpoints: files of one worker that make a restart quick, and nothing else.

Everything in them can be had from the topics again. They are written after the acks
of what was made of it, in one transaction, so at worst they are old. A file is bound
to the genesis of its partition; that of another log is thrown away.
"""

from __future__ import annotations

import fcntl
import itertools
import sqlite3
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.codec import HEADER, edition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

READ: Final = 5000  # rows at once

_FACTS: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (
  offset INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL
);
"""
_USES: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uses (
  realm TEXT, key TEXT, body BLOB NOT NULL, PRIMARY KEY (realm, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS episodes (
  realm TEXT, id TEXT, body BLOB NOT NULL, PRIMARY KEY (realm, id)
) WITHOUT ROWID;
"""


class InUseError(Exception):
    """Another process works in this folder."""


class Folder:
    """The folder of a worker's files, locked against a second process."""

    def __init__(self, path: Path) -> None:
        """Take the folder over.

        Raises:
            InUseError: another process works in it.
        """
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = (path / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise InUseError(path) from error

    def close(self) -> None:
        """Give it back."""
        self._lock.close()


class Row(NamedTuple):
    """A record of ``facts`` as it lies in the topic."""

    offset: int
    key: bytes
    value: bytes


class _File:
    """One SQLite file; used by one thread at a time."""

    def __init__(self, path: Path, schema: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        # Losing the last transactions to a power cut makes the file old, not wrong.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint = 10000")
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


class FactsFile(_File):
    """The facts of one partition.

    Attributes:
        genesis: of the log that they are of; empty in a new file.
        position: every record below it was read.
        listed: what every fact below it condemned was listed, and that acked.
        unread: the first record that was passed over since a newer version wrote it.
        edition: which schemas the version had that passed it over.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it."""
        super().__init__(path, _FACTS)
        self.unread: int | None = self._meta("unread", None)
        self.edition: str = self._meta("edition", "")
        self.genesis: str = self._meta("genesis", "")
        self.position: int = self._meta("position", 0)
        self.listed: int = self._meta("listed", 0)

    def reset(self, genesis: str) -> None:
        """Throw everything away; the file is of another log now."""
        self._db.execute("BEGIN")
        self._db.execute("DELETE FROM facts")
        self._put(genesis=genesis, position=0, listed=0)
        self._db.execute("COMMIT")
        self.genesis, self.position, self.listed = genesis, 0, 0
        self.unread = None  # in the file until it is saved: a crash may come before

    def save(
        self,
        rows: Iterable[Row],
        pruned: Iterable[bytes],
        position: int,
        listed: int,
        unread: int | None = None,
    ) -> None:
        """Add records and move on, in one transaction.

        Of two records with one key the first stays: it was accepted first, and the
        smallest time over the copies counts.
        """
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?, ?)", rows)
        query = "DELETE FROM facts WHERE key = ?"
        self._db.executemany(query, ((key,) for key in pruned))
        self._put(position=position, listed=listed, unread=unread, edition=edition())
        self._db.execute("COMMIT")
        self.position, self.listed = position, listed
        self.unread, self.edition = unread, edition()

    @property
    def outgrown(self) -> bool:
        """Tell whether this version may be able to read what was passed over."""
        return self.unread is not None and self.edition != edition()

    def headers(self) -> list[bytes]:
        """Give what stands in front of the values, each once: their schema ids."""
        query = "SELECT DISTINCT substr(value, 1, ?) FROM facts"
        return [row[0] for row in self._db.execute(query, (HEADER.size,))]

    def rows(self, *, since: int = 0) -> Iterator[Row]:
        """Yield the records from an offset on, by their offsets."""
        query = (
            "SELECT offset, key, value FROM facts WHERE offset > ?"
            " ORDER BY offset LIMIT ?"
        )
        last = since - 1
        while rows := self._db.execute(query, (last, READ)).fetchall():
            yield from itertools.starmap(Row, rows)
            last = rows[-1][0]


class UsesFile(_File):
    """What the sentinel remembers of one partition of ``access``.

    Attributes:
        position: every block below it was judged; None in a new file.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it."""
        super().__init__(path, _USES)
        self.position: int | None = self._meta("position", None)

    def reset(self) -> None:
        """Throw everything away."""
        self._db.execute("BEGIN")
        for table in ("uses", "episodes", "meta"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - constant names
        self._db.execute("COMMIT")
        self.position = None

    def save(
        self,
        uses: Iterable[tuple[str, str, bytes | None]],
        episodes: Iterable[tuple[str, str, bytes]],
        position: int | None,
    ) -> None:
        """Save changed uses and episodes and move on, in one transaction.

        Args:
            uses: realm, key and body; None forgets one.
            episodes: realm, id and body.
            position: the next block to judge.
        """
        self._db.execute("BEGIN")
        for realm, key, body in uses:
            if body is None:
                query = "DELETE FROM uses WHERE realm = ? AND key = ?"
                self._db.execute(query, (realm, key))
            else:
                query = "INSERT OR REPLACE INTO uses VALUES (?, ?, ?)"
                self._db.execute(query, (realm, key, body))
        query = "INSERT OR REPLACE INTO episodes VALUES (?, ?, ?)"
        self._db.executemany(query, episodes)
        if position is not None:
            self._put(position=position)
        self._db.execute("COMMIT")
        self.position = position

    def uses(self) -> list[tuple[str, bytes]]:
        """Give realm and body of every remembered use."""
        return self._db.execute("SELECT realm, body FROM uses").fetchall()

    def episodes(self) -> list[tuple[str, bytes]]:
        """Give realm and body of every episode."""
        return self._db.execute("SELECT realm, body FROM episodes").fetchall()

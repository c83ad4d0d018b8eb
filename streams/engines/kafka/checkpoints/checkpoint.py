"""Local checkpoints: files of one worker that make a restart quick, and nothing else.

Everything in them can be had from the topics again. They are written after the acks
of what was made of it, all of a step or nothing, so at worst they are old. A file is
bound to the genesis of its partition; that of another log is thrown away.
"""

from __future__ import annotations

import fcntl
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import structlog

from schemas.codec import edition
from streams.engines.kafka.checkpoints import snapshot as snapshots
from streams.engines.kafka.checkpoints.blob_files import BlobFiles
from streams.engines.kafka.checkpoints.journal import Journal, JournalPlace
from streams.engines.kafka.client.disk import DiskRoom
from streams.pipeline import table_file
from streams.process.private_folder import FOLDER_MODE, create_private, make_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from agents_registry.identifiers import Vocabulary
    from streams.engines.kafka.checkpoints.journal import Row
    from streams.engines.kafka.checkpoints.snapshot import Snapshot
    from streams.pipeline.table_file import RealmSnapshot

KEEP_AFTER: Final = 100_000

log = structlog.get_logger()

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


class CheckpointInUseError(Exception):
    """Another process works in this folder."""


class Folder:
    """The folder of a worker's files, locked against a second process."""

    def __init__(self, path: Path) -> None:
        """Take the folder over.

        Raises:
            InUseError: another process works in it.
            OpenFolderError: others may read what is another user's in it.
        """
        make_private(path)
        create_private(path / "lock")
        self.path = path
        self._lock = (path / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise CheckpointInUseError(path) from error

    def close(self) -> None:
        """Release the folder."""
        self._lock.close()


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


class FactsFile:
    """The facts of one partition, and now and then the tables that they made.

    Attributes:
        keep_after: facts between two snapshots, at least.
        unkept: facts that came after those of the last snapshot.
        room: on the disk.
    """

    def __init__(
        self, path: Path, vocabulary: Vocabulary, keep_after: int = KEEP_AFTER
    ) -> None:
        """Open the files, or make them.

        Args:
            path: of both, without suffix.
            vocabulary: of the tables.
            keep_after: see the attribute.
        """
        self.keep_after = keep_after
        self.unkept = 0
        self._vocabulary = vocabulary
        self.room = DiskRoom(path.with_suffix(".journal"))
        self._snapshot = path.with_suffix(".snapshot")
        self._journal = Journal(path.with_suffix(".journal"))
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=path.name)
        self._written: Future[None] | None = None
        self._restored = self._read()
        if self._restored is None:
            self._journal.resume(None)

    @property
    def genesis(self) -> str:
        """Genesis of the facts; empty where nothing here can be used."""
        return "" if self._journal.place.pruned else self._journal.genesis

    @property
    def position(self) -> int:
        """Offset below which every record was read."""
        return self._journal.place.position

    @property
    def listed(self) -> int:
        """Offset below which all that facts condemned was listed and acked."""
        return self._journal.place.listed

    @property
    def unread(self) -> int | None:
        """First record that was passed over since a newer version wrote it."""
        return self._journal.place.unread

    @property
    def edition(self) -> str:
        """Say which schemas the version had that passed it over."""
        return self._journal.place.edition

    @property
    def outgrown(self) -> bool:
        """Whether this version may be able to read what was passed over."""
        return self.unread is not None and self.edition != edition()

    def headers(self) -> list[bytes]:
        """Prefixes of the values, each once: their schema ids."""
        return sorted(self._journal.headers)

    def close(self) -> None:
        """Close the files."""
        self._writer.shutdown()
        self._journal.close()

    def reset(self, genesis: str) -> None:
        """Throw everything away; the files are of another log now."""
        self._settle()
        self._snapshot.unlink(missing_ok=True)
        self._journal.reset(genesis)
        self._restored = None
        self.unkept = 0

    def save(
        self,
        rows: Sequence[Row],
        pruned: Sequence[bytes],
        position: int,
        listed: int,
        unread: int | None = None,
    ) -> bool:
        """Add records and move on, all of it or nothing; False: there is no room.

        A key that was pruned costs the next start a read of the whole topic: what is
        here still holds it.
        """
        if self.room.missing:
            return False
        place = JournalPlace(position, listed, bool(pruned), unread, edition())
        try:
            self._journal.add(rows, place)
        except OSError as error:
            self.room.failed(error)
            return False
        self.room.found()
        self.unkept += len(rows)
        return True

    def rows(self, *, behind: int = 0, since: int = 0) -> Iterator[Row]:
        """Yield records by their offsets, as `Journal.rows` does.

        Raises:
            DamagedError: they cannot all be had.
        """
        return self._journal.rows(behind=behind, since=since)

    def restored(self) -> Snapshot | None:
        """Last snapshot, where it and the facts after it are whole."""
        self._settle()
        snapshot = self._restored or self._read()
        self._restored = None
        return snapshot

    def keep(self, realms: Iterable[RealmSnapshot]) -> None:
        """Take a snapshot; it is written while work goes on."""
        idle = self._written is None or self._written.done()
        if not idle or table_file.CODE is None:
            return
        content = snapshots.pack(
            realms,
            genesis=self._journal.genesis,
            vocabulary=self._vocabulary,
            position=self.position,
            tip=self._journal.tip,
            headers=self.headers(),
        )
        self.unkept = 0
        self._written = self._writer.submit(self._write, content)

    def _write(self, content: list[bytes]) -> None:
        try:
            self._journal.sync()
            table_file.write(self._snapshot, content)
        except OSError as error:
            # The journal has it all; the next start takes longer.
            log.warning("snapshot_not_written", error=str(error))

    def _settle(self) -> None:
        if self._written is not None:
            self._written.result()

    def _read(self) -> Snapshot | None:
        genesis = self._journal.genesis
        if not genesis:
            return None
        snapshot = snapshots.read(self._snapshot, genesis, self._vocabulary)
        if snapshot is None:
            return None
        whole = self._journal.resume(snapshot.tip, snapshot.headers)
        return snapshot if whole else None


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

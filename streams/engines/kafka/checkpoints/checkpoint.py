"""Local checkpoints: files of one worker that make a restart quick, and nothing else.

Everything in them can be had from the topics again. They are written after the acks
of what was made of it, all of a step or nothing, so at worst they are old. A file is
bound to the genesis of its partition; that of another log is thrown away.
"""

from __future__ import annotations

import fcntl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import structlog

from schemas.codec import edition
from streams.engines.kafka.checkpoints import snapshot as snapshots
from streams.engines.kafka.checkpoints.journal import Journal, JournalPlace
from streams.engines.kafka.client.disk import DiskRoom
from streams.pipeline import table_file
from streams.process.private_folder import create_private, make_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from agents_registry.identifiers import Vocabulary
    from streams.engines.kafka.checkpoints.journal import Row
    from streams.engines.kafka.checkpoints.snapshot import Snapshot
    from streams.engines.kafka.checkpoints.table_share import TableShare
    from streams.pipeline.table_file import RealmSnapshot

KEEP_AFTER: Final = 100_000

log = structlog.get_logger()


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


class FactsFile:
    """The facts of one partition, and now and then the tables that they made.

    Attributes:
        keep_after: facts between two snapshots, at least.
        unkept: facts that came after those of the last snapshot.
        room: on the disk.
        shared: where other workers find the snapshots too.
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
        self.shared: TableShare | None = None
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

    def lacks_table(self) -> bool:
        """Whether a table of another worker may be begun with.

        Nothing was ever in the files, or the table that they began with is not there.
        """
        if not self._journal.base:
            return self._journal.is_new
        self._settle()
        self._restored = self._restored or self._read()
        return self._restored is None

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

    def offered(self) -> Snapshot | None:
        """Table of another worker of the log that the files are of."""
        if self.shared is None:
            return None
        name, genesis = self._snapshot.stem, self._journal.genesis
        data = self.shared.get(name)
        if data is None:
            return None
        try:
            return snapshots.parse(data, name, genesis, self._vocabulary)
        except (LookupError, TypeError, ValueError) as error:
            log.warning("shared_table_refused", table=name, why=repr(error))
            return None

    def begin(self, genesis: str, found: Snapshot, listed: int) -> None:
        """Begin with a table of another worker; facts below are not in the journal.

        Args:
            genesis: of the log.
            found: the table.
            listed: offset below which all that facts condemned was listed and acked.
        """
        position = min(found.position, listed)
        self._journal.reset(genesis, position)
        self._journal.add((), JournalPlace(position, listed))
        self._journal.headers.update(found.headers)
        self._restored = found._replace(tip=self._journal.tip)
        self.unkept = 0

    def keep(self, realms: Iterable[RealmSnapshot], *, share: bool = False) -> None:
        """Take a snapshot; it is written while work goes on.

        Args:
            realms: all of the partition.
            share: give it to other workers too, where it holds what was pruned no more.
        """
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
        self._written = self._writer.submit(
            table_file.put, self._snapshot, content, self._journal.sync
        )
        if share and self.shared is not None and not self._journal.place.pruned:
            self.shared.put(self._snapshot.stem, content)

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

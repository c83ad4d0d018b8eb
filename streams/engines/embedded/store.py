"""The one SQLite file: the log, the stages' outputs, their state and positions.

One thread writes. What ingress asks for goes first and is committed in groups (many
requests, one fsync), along with the few rows of alerts and of what accesses brought:
a line and the alerts of the lines before it are one commit. What else stages ask for
is committed in groups of its own: no reply waits for a long slice in its group. Under
requests without end one such group has its turn now and then.
Reads are short, on their own connection. The write-ahead log is moved into the file by
another thread, off the path of commits.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import structlog
from attrs import define, frozen

from streams.engines.embedded.chain import Chain
from streams.engines.embedded.crossing import call_in
from streams.engines.embedded.data_folder import (
    FILE,
    LOCK,
    lock_folder,
    next_fact,
    next_offset,
    prepare_log,
)
from streams.engines.embedded.log_rows import Written
from streams.engines.embedded.reading import Reading, Stored, connect, facts_of
from streams.engines.embedded.transaction import Transaction
from streams.observability.failpoints import failpoint
from streams.process.private_folder import create_private, make_private
from streams.services.intake import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from agents_registry.facts import Fact
    from streams.engines.embedded.fact_rows import Read
    from streams.ports.keyed_store import Put

T = TypeVar("T")
Job = Any  # Callable[[Transaction], T], stored untyped in the queue

GROUP: Final = 256  # jobs of ingress, or of stages, in one commit
URGENT_TURNS: Final = 16  # commits of ingress for which stages' jobs wait
MAX_WAITING: Final = 4096
CHECKPOINT_SECONDS: Final = 2.0
LONG_LOG: Final = 64 << 20  # bytes
PAUSE_SECONDS: Final = 0.5
# What ends by itself, or by an operator's hand, while the server runs.
_PASSING: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY})

log = structlog.get_logger()


class StoreBusyError(NotWrittenError):
    """Too much waits to be written: answer 503, the source repeats."""


@frozen
class Commit:
    """What one commit added to the log: facts of offsets start..end-1.

    Attributes:
        findings: some were added or changed.
        kept: what was put beside the log.
    """

    start: int
    end: int
    access_end: int
    signals_end: int
    facts: tuple[Written, ...]
    findings: bool
    kept: tuple[Put, ...] = ()


@define
class _Waiting:
    job: Job
    future: asyncio.Future[Any]


class Store:
    """Access to the file; make one with `Store.open` inside the main event loop.

    Any event loop may read and write; listeners are called in the main one.
    """

    def __init__(self, folder: Path, lock: Any) -> None:
        """Take over an open lock; `open` is the way in."""
        self.path = folder / FILE
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._urgent: deque[_Waiting] = deque()
        self._patient: deque[_Waiting] = deque()
        self._passed = 0  # commits since stages' jobs had their turn or nothing to do
        self._wake = threading.Condition()
        self._closing = False
        self._stop_checkpoints = threading.Event()
        self._reader = Reading(self.path, "reader")
        # What walks far must not stand in the way of what a guard waits for.
        self._patient_reader = Reading(self.path, "patient-reader")
        # One for guards that start, one for those that go on.
        self._feeder = Reading(self.path, "feeder", threads=2)
        # Done only when the writer broke; the server must end then.
        self.failure: asyncio.Future[None] = self._loop.create_future()
        self.genesis = ""
        self._realm = ""
        self.end = 0
        self.access_end = 0
        self.signals_end = 0
        self.dead_letters = 0  # written since the start
        self.listeners: list[Callable[[Commit], None]] = []
        # Takes what a commit added, in the writer's thread, before the listeners do.
        self.framing: Callable[[int, Sequence[Fact]], None] | None = None
        self._waits: list[float] = []
        self._threads = [
            threading.Thread(target=self._write_forever, name="writer"),
            threading.Thread(target=self._checkpoint_forever, name="checkpoints"),
        ]

    @classmethod
    def open(cls, folder: Path, *, realm: str, genesis: str) -> Self:
        """Open the file in a folder, making both where they do not exist.

        Args:
            folder: the data folder; locked against a second process.
            realm: whose log this is.
            genesis: a random id, used when the log is new or was restored.

        Raises:
            InUseError: another process serves from this folder.
            LostLogError: the log that was here is gone.
            OpenFolderError: others may read what is another user's in the folder.
            ValueError: the log belongs to another realm.
            sqlite3.Error: the file cannot be read.
        """
        make_private(folder)
        for name in (FILE, LOCK):
            create_private(folder / name)
        lock = lock_folder(folder)
        try:
            store = cls(folder, lock)
            try:
                store._take_up(realm, genesis)
            except BaseException:
                store._close_readers()
                raise
        except BaseException:
            lock.close()
            raise
        for thread in store._threads:
            thread.start()
        return store

    def _take_up(self, realm: str, genesis: str) -> None:
        db = self._reader.db
        self.genesis = prepare_log(db, self.path, realm, genesis)
        self._realm = realm
        self.end = next_fact(db)
        self.access_end = next_offset(db, "access")
        self.signals_end = next_offset(db, "signals")

    async def close(self) -> None:
        """Write what waits, then stop the threads and release the folder."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._stop_checkpoints.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        await asyncio.to_thread(self._close_readers)
        self._lock.close()

    def _close_readers(self) -> None:
        for reader in (self._reader, self._patient_reader, self._feeder):
            reader.close()

    async def write(
        self, job: Callable[[Transaction], T], *, urgent: bool = False
    ) -> T:
        """Run a job in a transaction; return once it is on disk.

        Args:
            job: writes through the transaction; runs in the writer's thread.
            urgent: go before the stages, and share a commit with other requests.

        Raises:
            StoreBusyError: too many requests wait.
            sqlite3.Error: the file could not be written (disk full, ...).
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        queue = self._urgent if urgent else self._patient
        if urgent and len(queue) >= MAX_WAITING:
            raise StoreBusyError
        with self._wake:
            if self._closing:
                raise StoreBusyError
            queue.append(_Waiting(job, future))
            self._wake.notify()
        failpoint("store.job_queued")
        return await future

    async def write_in_time(
        self, job: Callable[[Transaction], T], *, urgent: bool = False
    ) -> T:
        """Run a job as `write` does, and wait while there is no room for it.

        For what no client would send again: what the stages found, the lines of a
        watched file. Meanwhile guards get their pongs, and requests 503.

        Raises:
            StoreBusyError: the store is being closed.
            sqlite3.Error: the file could not be written, for another reason.
        """
        with self._waiting():
            while True:
                try:
                    return await self.write(job, urgent=urgent)
                except StoreBusyError:
                    if self._closing:
                        raise
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF not in _PASSING:
                        raise
                    log.warning("not_written", error=str(error))
                await asyncio.sleep(PAUSE_SECONDS)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        since = asyncio.get_running_loop().time()
        self._waits.append(since)
        try:
            yield
        finally:
            self._waits.remove(since)

    def waited(self, now: float) -> float:
        """Seconds that the oldest unfinished read or write has waited.

        Args:
            now: the event loop's time, in seconds.
        """
        return now - self._waits[0] if self._waits else 0.0

    async def read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a short query; keep a LIMIT in it, so that no read lasts long."""
        return await self._aside(lambda reader: reader.read(query, values))

    def read_now(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a short query in this thread."""
        return self._reader.read(query, values)

    async def facts(self, start: int, limit: int) -> list[Stored]:
        """Facts from an offset on, at most ``limit``."""
        return await self._aside(lambda reader: facts_of(reader, start, limit))

    async def study(self, function: Callable[[Read], T]) -> T:
        """Have a function read what takes several short queries, or work, in a thread.

        No request waits for what is read here.
        """
        reader = self._patient_reader
        with self._waiting():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(reader.threads, function, reader.read)

    async def look(self, function: Callable[[Reading], T]) -> T:
        """Read for guards that start or fell behind, in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._feeder.threads, function, self._feeder)

    async def _aside(self, function: Callable[[Reading], T]) -> T:
        """Read in a thread: the main loop's reads wait for no other loop's."""
        loop = asyncio.get_running_loop()
        reader = self._reader if loop is self._loop else self._patient_reader
        with self._waiting():
            return await loop.run_in_executor(reader.threads, function, reader)

    def _write_forever(self) -> None:
        db = connect(self.path)
        db.execute("PRAGMA wal_autocheckpoint = 0")
        chain = Chain(db, self._realm, self.genesis)
        try:
            while batch := self._next_batch():
                self._write_batch(db, chain, batch)
        except BaseException as error:  # boundary: without a writer nothing is true
            self._loop.call_soon_threadsafe(self.failure.set_exception, error)
            raise
        finally:
            db.close()

    def _next_batch(self) -> list[_Waiting]:
        """Wait for work; give a group of ingress jobs, or one of stages' jobs."""
        with self._wake:
            while not (self._urgent or self._patient or self._closing):
                self._wake.wait()
            turn = self._patient and self._passed >= URGENT_TURNS
            queue = self._patient if turn else self._urgent or self._patient
            passed = self._patient and queue is self._urgent
            self._passed = self._passed + 1 if passed else 0
            return [queue.popleft() for _ in range(min(GROUP, len(queue)))]

    def _write_batch(
        self, db: sqlite3.Connection, chain: Chain, batch: list[_Waiting]
    ) -> None:
        answers: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        ends = self.end, self.access_end, self.signals_end
        tx = Transaction(db, chain, ends)
        failpoint("store.before_begin")
        try:
            db.execute("BEGIN IMMEDIATE")
            failpoint("store.after_begin")
            answers.extend((each.future, *tx.run(each.job)) for each in batch)
            failpoint("store.before_commit")
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            answers = [(waiting.future, None, error) for waiting in batch]
            tx = Transaction(db, chain, ends)
        failpoint("store.after_commit")
        # Before anybody is told: who is answered may ask for the end at once. The
        # next transaction continues from here.
        self.end, self.access_end, self.signals_end = tx.log.ends()
        if tx.log.written and self.framing is not None:
            self.framing(tx.log.start, [each.fact for each in tx.log.written])
        self._loop.call_soon_threadsafe(self._committed, tx, answers)

    def _committed(
        self,
        tx: Transaction,
        answers: list[tuple[asyncio.Future[Any], Any, BaseException | None]],
    ) -> None:
        """Inform the listeners (guards first), then answer; runs in the event loop."""
        self.dead_letters += tx.dead_letters
        added = tx.log.start, *tx.log.ends(), tuple(tx.log.written)
        commit = Commit(*added, tx.stages.findings, tuple(tx.kept))
        for listener in self.listeners:
            listener(commit)
        failpoint("store.before_answer")
        for future, answer, error in answers:
            call_in(future.get_loop(), functools.partial(_end, future, answer, error))

    def _checkpoint(self, db: sqlite3.Connection) -> None:
        """Move the write-ahead log into the file, and cut it where it is long.

        Under a steady load it never is all moved, and so would never begin anew: a
        long one makes the writer wait for the rest, which is short by then.
        """
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        log_file = self.path.with_name(f"{self.path.name}-wal")
        if log_file.stat().st_size > LONG_LOG:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _checkpoint_forever(self) -> None:
        db = connect(self.path)
        try:
            while not self._stop_checkpoints.wait(CHECKPOINT_SECONDS):
                try:
                    self._checkpoint(db)
                except (sqlite3.OperationalError, OSError) as error:
                    # A full disk: the next one may find room.
                    log.warning("not_checkpointed", error=str(error))
        finally:
            db.close()


def _end(future: asyncio.Future[Any], answer: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)

"""Open a data folder: for one process alone, with the log that it is known to hold."""

from __future__ import annotations

import fcntl
import sqlite3
from importlib import resources
from typing import IO, TYPE_CHECKING, Final

from streams.engines.embedded import dead_letters, hour_rows, kept_upgrade, short_rows
from streams.engines.embedded.chain import Chain
from streams.engines.embedded.fact_rows import NEXT_OFFSET
from streams.engines.embedded.packed_prints import PRINT_KEY
from streams.observability.failpoints import failpoint
from streams.process.whole_file import write_private

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "rescind.db"
LOCK: Final = "lock"
GENESIS_FILE: Final = "genesis"
MOVED_FILE: Final = "moved"
# An earlier version would take the last facts, which are a table, for the whole log. It
# finds this sentence in the place of its table, whatever it does with the file.
_REFUSAL: Final = (
    'CREATE VIEW facts AS SELECT * FROM "this data folder was written by a newer'
    ' Rescind: start that version or a later one"'
)


class StoreInUseError(Exception):
    """Another process serves from this folder."""


class LostLogError(Exception):
    """The log that a folder held is not there any more; the text says what to do."""


def lock_folder(folder: Path) -> IO[str]:
    """Lock a folder against other processes until the file that is given is closed.

    Raises:
        StoreInUseError: another process serves from this folder.
    """
    lock = (folder / LOCK).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        message = f"another process serves from {folder}"
        raise StoreInUseError(message) from error
    return lock


def prepare_log(db: sqlite3.Connection, path: Path, realm: str, genesis: str) -> str:
    """Make the tables where there are none; give the genesis of the log.

    Args:
        db: the open file.
        path: of the file.
        realm: whose log this is.
        genesis: a random id, used when the log is new or was restored.

    Raises:
        LostLogError: the log that was here is gone.
        ValueError: the log belongs to another realm.
    """
    moved = path.with_name(MOVED_FILE)
    if moved.exists():
        message = f"{moved.read_text('utf-8').strip()}; see {moved}"
        raise LostLogError(message)
    make_tables(db)
    failpoint("start.schema")
    noted = path.with_name(GENESIS_FILE).exists()
    # A log without the note is new or restored: guards must read it from its
    # start, since a backup's offsets may name other facts than they hold.
    keep = "INSERT OR IGNORE INTO meta VALUES (?, ?)"
    take = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
    with db:
        db.execute(keep if noted else take, ("genesis", genesis))
        db.execute(keep, ("realm", realm))
        ((held,),) = db.execute("SELECT value FROM meta WHERE name = 'genesis'")
        short_rows.begin(db, held)
        # What was accepted before receipts were kept, nobody can vouch for.
        start = "INSERT OR IGNORE INTO positions VALUES ('closure', ?)"
        db.execute(start, (next_fact(db),))
    meta: dict[str, str] = dict(db.execute("SELECT name, value FROM meta"))
    if meta["realm"] != realm:
        message = f"{path} is the log of realm {meta['realm']!r}"
        raise ValueError(message)
    _recognise(path, meta["genesis"])
    db.execute("BEGIN IMMEDIATE")
    with db:
        Chain(db, realm, meta["genesis"]).catch_up()
    return meta["genesis"]


def make_tables(db: sqlite3.Connection) -> None:
    """Make the tables where there are none, of those of earlier versions."""
    _rename(db)
    schema = resources.files("streams.engines.embedded").joinpath("schema.sql")
    db.executescript(schema.read_text("utf-8"))
    dead_letters.upgrade(db)
    kept_upgrade.upgrade(db)
    hour_rows.upgrade(db)
    # See `packed_prints`: nobody who sends facts may know it.
    query = "INSERT OR IGNORE INTO meta VALUES (?, lower(hex(randomblob(16))))"
    with db:
        db.execute(query, (PRINT_KEY,))


def _rename(db: sqlite3.Connection) -> None:
    """Let the facts of an earlier version be the last ones, see the schema.

    That version finds a sentence in their place then, and does not start.
    """
    query = "SELECT 1 FROM sqlite_master WHERE name = 'facts' AND type = 'view'"
    if db.execute(query).fetchone():
        return
    db.execute("BEGIN IMMEDIATE")
    with db:
        if is_of_earlier_version(db):
            db.execute("ALTER TABLE facts RENAME TO recent_facts")
            failpoint("start.renamed")
        db.execute(_REFUSAL)


def is_of_earlier_version(db: sqlite3.Connection) -> bool:
    """Whether a file holds all facts as rows of the table of earlier versions."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'facts' AND type = 'table'"
    return db.execute(query).fetchone() is not None


def _recognise(path: Path, genesis: str) -> None:
    """Refuse another log than the one that this folder is known to hold.

    An empty or deleted file becomes a new log by itself, and guards take a new
    log for the truth: every denial would be lifted without a word.
    """
    note = path.with_name(GENESIS_FILE)
    known = note.read_text("utf-8").strip() if note.exists() else ""
    if known and known != genesis:
        message = (
            f"the log {known} that was in {path} is gone: move all files away from "
            f"{path.parent}, and restore a backup there; without a backup remove "
            f"{note}: that begins a new log, which has forgotten every revocation"
        )
        raise LostLogError(message)
    if not known:
        write_private(note, f"{genesis}\n")


def next_fact(db: sqlite3.Connection) -> int:
    """Where the next fact goes."""
    ((offset,),) = db.execute(NEXT_OFFSET)
    return int(offset)


def next_offset(db: sqlite3.Connection, table: str) -> int:
    """Where the next record of a log goes."""
    query = f"SELECT coalesce(max(offset) + 1, 0) FROM {table}"  # noqa: S608 - constant
    (offset,) = db.execute(query).fetchone()
    return int(offset)

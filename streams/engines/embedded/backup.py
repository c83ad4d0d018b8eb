"""Write a backup of a data folder as one file, while a server runs on it or not.

It holds no secret: neither the operator's token nor the keys that sign.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from streams.engines.embedded.backup_archive import (
    DATABASE,
    FORMAT,
    OPERATOR,
    PUBLIC_KEY,
    BackupError,
    Manifest,
    create,
    digest_of,
    pack,
    sync,
)
from streams.engines.embedded.chain import LAST
from streams.engines.embedded.data_folder import (
    is_of_earlier_version,
    next_fact,
    next_offset,
)
from streams.observability.failpoints import failpoint

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, file: Path, *, product: str, at: int) -> Manifest:
    """Write a backup of a data folder, while a server runs on it or not.

    It copies under one read transaction: writers go on, and what they write meanwhile
    is not in it.

    Args:
        folder: the data folder.
        file: gets the archive, readable by its owner alone.
        product: this version.
        at: the time (ns).

    Raises:
        BackupError: there is no log in the folder, or the file exists.
        OSError: it cannot be written.
        sqlite3.Error: the log cannot be read.
    """
    if not (folder / DATABASE).is_file():
        raise BackupError(f"there is no {folder / DATABASE}: name the data folder")
    if file.exists():
        raise BackupError(f"{file} exists: name another file, or remove it")
    copy, new = _beside(file, ".db"), _beside(file, ".new")
    try:
        create(copy)
        _copy(folder / DATABASE, copy)
        members = {DATABASE: copy} | {
            name: folder / name
            for name in (OPERATOR, PUBLIC_KEY)
            if (folder / name).exists()
        }
        manifest = _manifest(copy, members, product, at)
        create(new)
        pack(new, manifest, members)
        failpoint("backup.packed")
        os.link(new, file)  # never over a file that came meanwhile
        sync(file.parent)
    except FileExistsError as error:
        raise BackupError(f"{file} exists: name another file") from error
    finally:
        copy.unlink(missing_ok=True)
        new.unlink(missing_ok=True)
    return manifest


def _copy(source: Path, target: Path) -> None:
    with (
        closing(
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
        ) as db,
        closing(sqlite3.connect(target)) as copy,
    ):
        db.execute("PRAGMA busy_timeout = 10000")
        db.backup(copy)  # in one step, so under one transaction
        # One file, without a log of its own beside it.
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()


def _manifest(copy: Path, members: dict[str, Path], product: str, at: int) -> Manifest:
    with closing(sqlite3.connect(copy)) as db:
        meta = dict(db.execute("SELECT name, value FROM meta"))
        facts, latest = _end_of_facts(db)
        sequence, last = _end_of_chain(db)
    return Manifest(
        format=FORMAT,
        product=product,
        realm=meta["realm"],
        genesis=meta["genesis"],
        facts=facts,
        latest=latest,
        sequence=sequence,
        hash=last,
        at=at,
        files={name: digest_of(path) for name, path in members.items()},
    )


def _end_of_facts(db: sqlite3.Connection) -> tuple[int, int]:
    """Next offset, and when the last fact was received; also of an earlier version."""
    table = "facts" if is_of_earlier_version(db) else "recent_facts"
    query = f"SELECT coalesce(max(received_at), 0) FROM {table}"  # noqa: S608 - constant
    (latest,) = db.execute(query).fetchone()
    end = next_offset(db, table) if table == "facts" else next_fact(db)
    return end, latest


def _end_of_chain(db: sqlite3.Connection) -> tuple[int, str]:
    return db.execute(LAST).fetchone() or (0, "")


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(f".{file.name}{suffix}")

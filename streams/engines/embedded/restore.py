"""Make a data folder of a backup, checked from the first entry to the last.

A restored folder holds another log, with a genesis of its own. It may lack what was
accepted since the backup, so no position in the old log says anything about it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict

from schemas.codec import decode_fact
from streams.engines.embedded.backup_archive import (
    DATABASE,
    PUBLIC_KEY,
    UNFINISHED,
    BackupError,
    Manifest,
    create,
    sync,
    unpack,
)
from streams.engines.embedded.chain import Chain
from streams.engines.embedded.chain_pages import lines_of
from streams.engines.embedded.data_folder import (
    GENESIS_FILE,
    LOCK,
    lock_folder,
    make_tables,
)
from streams.observability.failpoints import failpoint
from streams.stages.audit.chain import BrokenChainError
from streams.stages.audit.proof import ChainVerifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streams.stages.audit.chain import Head

# The public key of the heads in the backup: a new server has a key of its own.
OLD_PUBLIC_KEY: Final = "audit.restored.pub"


def restore(
    file: Path,
    folder: Path,
    *,
    genesis: str,
    at: int,
    read_head: Callable[[bytes], Callable[[str], Head]],
    heads: tuple[str, ...] = (),
) -> Manifest:
    """Make a data folder of a backup; a restore that was cut off can be repeated.

    Args:
        file: a backup.
        folder: must be empty, or not exist.
        genesis: a fresh one: the restored log is another one.
        at: the time (ns).
        read_head: makes what checks signed heads of the public key in the backup.
        heads: signed heads of the audit chain that were kept elsewhere.

    Raises:
        BackupError: the folder is not empty, or the backup is damaged.
        BrokenChainError: its audit chain does not hold.
        InUseError: another process serves from the folder.
        OSError: it cannot be read or written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with alone(folder):
        _assert_empty(folder)
        try:
            manifest, members = unpack(file, folder)
            _check(manifest, members, read_head, heads)
            _begin_anew(members[DATABASE], manifest, genesis, at)
        except sqlite3.Error as error:
            raise BackupError(f"{file} is damaged: {error}") from error
        note = folder / f"{GENESIS_FILE}{UNFINISHED}"
        create(note).write_text(f"{genesis}\n", "utf-8")
        failpoint("restore.checked")
        # The log first: a server that finds no log begins one that knows nothing.
        for name, path in members.items():
            path.replace(folder / (OLD_PUBLIC_KEY if name == PUBLIC_KEY else name))
            failpoint("restore.moved")
        note.replace(folder / GENESIS_FILE)
        sync(folder)
    return manifest


def _check(
    manifest: Manifest,
    members: dict[str, Path],
    read_head: Callable[[bytes], Callable[[str], Head]],
    heads: tuple[str, ...],
) -> None:
    """Check the log's file, and the audit chain from its start to its end."""
    public = members.get(PUBLIC_KEY)
    read = read_head(b"" if public is None else public.read_bytes())
    verifier = ChainVerifier(read, decode_fact, map(read, heads))
    with closing(sqlite3.connect(members[DATABASE])) as db:
        (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise BackupError(f"{DATABASE} is damaged: {found}")
        make_tables(db)
        put_in = []
        for line in lines_of(db, manifest.realm):
            if "unchained" in line:
                put_in.append(line["unchained"])
            else:
                verifier.take(line)
        if (verifier.sequence, verifier.hash) != (manifest.sequence, manifest.hash):
            raise BrokenChainError("truncated: it does not end where the backup says")
        verifier.hold_all()
        for each in put_in:
            raise BrokenChainError(
                f"the fact at {each['offset']} has no entry: it was put in "
                f"({each['key']})"
            )


def _begin_anew(path: Path, manifest: Manifest, genesis: str, at: int) -> None:
    """Make it another log, and have its audit chain say so."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT OR REPLACE INTO meta VALUES ('genesis', ?)", (genesis,))
        chain = Chain(db, manifest.realm, genesis)
        chain.catch_up()
        chain.add_act(
            at=at,
            actor="restore",
            action=f"restore of a backup with {manifest.facts} facts",
            detail=_told(manifest),
        )
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = DELETE").fetchall()
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _told(manifest: Manifest) -> dict[str, Any]:
    """Details of a backup for the audit chain."""
    told = asdict(manifest)
    return {"backup": {name: str(told[name]) for name in ("genesis", "at", "hash")}}


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a data folder, which a server holds while it runs.

    Raises:
        InUseError: another process has it.
    """
    with lock_folder(folder):
        yield


def _assert_empty(folder: Path) -> None:
    """Refuse a folder that holds something; lost+found is a volume's own."""
    for path in sorted(folder.iterdir()):
        if path.name not in {LOCK, "lost+found"} and path.suffix != UNFINISHED:
            raise BackupError(
                f"{folder} is not empty ({path.name}): restore into an empty folder, "
                "or move what is there away"
            )

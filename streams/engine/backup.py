"""A backup of the data folder as one file, and a folder made of it again.

A tar archive: `manifest.json` first, which has a digest of every other member, then
`rescind.db` as it was at one moment, then what belongs to it. It holds no secret:
neither the operator's token nor the keys that sign.

A restored folder holds another log, with a genesis of its own. It may lack what was
accepted since the backup, so no position in the old log says anything about it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import tarfile
from contextlib import closing, contextmanager
from importlib import resources
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Final

import orjson
from attrs import asdict, frozen

from schemas.codec import decode_fact
from streams.engine.audit import lines_of
from streams.engine.chain import Chain
from streams.engine.store import GENESIS_FILE, InUseError
from streams.engine.transaction import Transaction
from streams.failpoints import failpoint
from streams.stages.audit_chain import BrokenChainError
from streams.stages.audit_proof import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streams.stages.audit_chain import Head

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "rescind.db"
OPERATOR: Final = "operator.json"
PUBLIC_KEY: Final = "audit.pub"
# The public key of the heads in the backup: a new server has a key of its own.
OLD_PUBLIC_KEY: Final = "audit.restored.pub"
LOCK: Final = "lock"
UNFINISHED: Final = ".restoring"
_MEMBERS: Final = (DATABASE, OPERATOR, PUBLIC_KEY)
_MOST_MANIFEST: Final = 1 << 20
_PIECE: Final = 1 << 20
_OWNER_ONLY: Final = 0o600
_UNCHAINED: Final = (
    "SELECT offset FROM facts WHERE offset NOT IN"
    " (SELECT fact FROM audit_chain WHERE fact IS NOT NULL) LIMIT 1"
)


class BackupError(Exception):
    """A backup cannot be made or used; the text says why, and what to do."""


@frozen
class Manifest:
    """What a backup says of itself.

    Attributes:
        format: of the archive.
        product: version that wrote it.
        realm: whose log it is.
        genesis: of that log.
        facts: offset of the next fact.
        latest: when the last fact was accepted (ns), 0 without any.
        sequence: number of the last entry of the audit chain.
        hash: of that entry.
        at: when the backup was made (ns).
        files: SHA-256 (hex) of each member by its name.
    """

    format: int
    product: str
    realm: str
    genesis: str
    facts: int
    latest: int
    sequence: int
    hash: str
    at: int
    files: dict[str, str]


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
        _create(copy)
        _copy(folder / DATABASE, copy)
        members = {DATABASE: copy} | {
            name: folder / name
            for name in (OPERATOR, PUBLIC_KEY)
            if (folder / name).exists()
        }
        manifest = _manifest(copy, members, product, at)
        _create(new)
        _pack(new, manifest, members)
        failpoint("backup.packed")
        os.link(new, file)  # never over a file that came meanwhile
        _sync(file.parent)
    except FileExistsError as error:
        raise BackupError(f"{file} exists: name another file") from error
    finally:
        copy.unlink(missing_ok=True)
        new.unlink(missing_ok=True)
    return manifest


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
            manifest, members = _unpack(file, folder)
            _check(manifest, members, read_head, heads)
            _begin_anew(members[DATABASE], manifest, genesis, at)
        except sqlite3.Error as error:
            raise BackupError(f"{file} is damaged: {error}") from error
        note = folder / f"{GENESIS_FILE}{UNFINISHED}"
        _create(note).write_text(f"{genesis}\n", "utf-8")
        failpoint("restore.checked")
        # The log first: a server that finds no log begins one that knows nothing.
        for name, path in members.items():
            path.replace(folder / (OLD_PUBLIC_KEY if name == PUBLIC_KEY else name))
            failpoint("restore.moved")
        note.replace(folder / GENESIS_FILE)
        _sync(folder)
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
        facts, latest = db.execute(
            "SELECT coalesce(max(offset) + 1, 0), coalesce(max(received_at), 0)"
            " FROM facts"
        ).fetchone()
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
        files={name: _digest(path) for name, path in members.items()},
    )


def _end_of_chain(db: sqlite3.Connection) -> tuple[int, str]:
    query = "SELECT sequence, hash FROM audit_chain ORDER BY sequence DESC LIMIT 1"
    return db.execute(query).fetchone() or (0, "")


def _pack(file: Path, manifest: Manifest, members: dict[str, Path]) -> None:
    with file.open("wb") as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            body = orjson.dumps(asdict(manifest))
            archive.addfile(_entry(MANIFEST, len(body)), BytesIO(body))
            for name, path in members.items():
                with path.open("rb") as member:
                    size = os.fstat(member.fileno()).st_size
                    archive.addfile(_entry(name, size), member)
        out.flush()
        os.fsync(out.fileno())


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, _OWNER_ONLY
    return entry


def _unpack(file: Path, folder: Path) -> tuple[Manifest, dict[str, Path]]:
    """Write the members beside where they belong, each with its digest checked."""
    members: dict[str, Path] = {}
    try:
        with tarfile.open(file, mode="r:") as archive:
            manifest = _read_manifest(archive, file)
            for name, digest in manifest.files.items():
                member = _member(archive, name, file)
                path = folder / f"{name}{UNFINISHED}"
                if _write(member, _create(path)) != digest:
                    raise BackupError(f"{file} is damaged: {name} has another SHA-256")
                members[name] = path
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"{file} is no backup, or is cut off: {error}") from error
    return manifest, members


def _read_manifest(archive: tarfile.TarFile, file: Path) -> Manifest:
    text = _member(archive, MANIFEST, file).read(_MOST_MANIFEST)
    try:
        manifest = Manifest(**orjson.loads(text))
        known = DATABASE in manifest.files and set(manifest.files) <= set(_MEMBERS)
    except (orjson.JSONDecodeError, TypeError) as error:
        raise BackupError(f"{file}: {MANIFEST} cannot be read") from error
    if manifest.format != FORMAT or not known:
        raise BackupError(
            f"{file} is a backup of format {manifest.format}, by Rescind "
            f"{manifest.product}: restore it with that version, and upgrade then"
        )
    return manifest


def _member(archive: tarfile.TarFile, name: str, file: Path) -> IO[bytes]:
    entry = archive.next()
    found = None if entry is None or entry.name != name else archive.extractfile(entry)
    if found is None:
        raise BackupError(f"{file} is no backup, or is cut off: {name} is not there")
    return found


def _check(
    manifest: Manifest,
    members: dict[str, Path],
    read_head: Callable[[bytes], Callable[[str], Head]],
    heads: tuple[str, ...],
) -> None:
    """Check the log's file, and the audit chain from its start to its end."""
    public = members.get(PUBLIC_KEY)
    read = read_head(b"" if public is None else public.read_bytes())
    verifier = Verifier(read, decode_fact, map(read, heads))
    with closing(sqlite3.connect(members[DATABASE])) as db:
        (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise BackupError(f"{DATABASE} is damaged: {found}")
        schema = resources.files("streams.engine").joinpath("schema.sql")
        db.executescript(schema.read_text("utf-8"))
        for line in lines_of(db, manifest.realm):
            verifier.take(line)
        if (verifier.sequence, verifier.hash) != (manifest.sequence, manifest.hash):
            raise BrokenChainError("truncated: it does not end where the backup says")
        verifier.hold_all()
        # A version without a chain wrote none of them.
        for (offset,) in db.execute(_UNCHAINED) if verifier.sequence else ():
            raise BrokenChainError(f"the fact at {offset} has no entry: it was put in")


def _begin_anew(path: Path, manifest: Manifest, genesis: str, at: int) -> None:
    """Make it another log, and have its audit chain say so."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT OR REPLACE INTO meta VALUES ('genesis', ?)", (genesis,))
        chain = Chain(db, manifest.realm, genesis)
        chain.catch_up()
        Transaction(db, chain, (0, 0, 0)).add_audit(
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
    """Give what the audit chain keeps of a backup."""
    told = asdict(manifest)
    return {"backup": {name: str(told[name]) for name in ("genesis", "at", "hash")}}


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a data folder, which a server holds while it runs.

    Raises:
        InUseError: another process has it.
    """
    with (folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUseError(f"another process serves from {folder}") from error
        yield


def _assert_empty(folder: Path) -> None:
    """Refuse a folder that holds something; lost+found is a volume's own."""
    for path in sorted(folder.iterdir()):
        if path.name not in {LOCK, "lost+found"} and path.suffix != UNFINISHED:
            raise BackupError(
                f"{folder} is not empty ({path.name}): restore into an empty folder, "
                "or move what is there away"
            )


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(f".{file.name}{suffix}")


def _create(path: Path) -> Path:
    """Make an empty file that its owner alone may read, over a left one."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY))
    return path


def _write(source: IO[bytes], path: Path) -> str:
    """Copy a stream into a file; give the SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while piece := source.read(_PIECE):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

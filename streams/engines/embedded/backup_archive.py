"""The one file of a backup: a tar archive whose first member names all others.

`manifest.json` has a digest of every other member; `rescind.db` comes next, and then
what belongs to it. Members are read in that order and no other, each to its end.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from io import BytesIO
from typing import IO, TYPE_CHECKING, Final

import orjson
from attrs import asdict, frozen

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "rescind.db"
OPERATOR: Final = "operator.json"
PUBLIC_KEY: Final = "audit.pub"
UNFINISHED: Final = ".restoring"
_MEMBERS: Final = (DATABASE, OPERATOR, PUBLIC_KEY)
_MOST_MANIFEST: Final = 1 << 20
_PIECE: Final = 1 << 20
_OWNER_ONLY: Final = 0o600


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


def pack(file: Path, manifest: Manifest, members: dict[str, Path]) -> None:
    """Write an archive into a file that is there, and sync it."""
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


def unpack(file: Path, folder: Path) -> tuple[Manifest, dict[str, Path]]:
    """Write the members beside where they belong, each with its digest checked.

    Raises:
        BackupError: it is no backup, is damaged, or of another version.
    """
    members: dict[str, Path] = {}
    try:
        with tarfile.open(file, mode="r:") as archive:
            manifest = _read_manifest(archive, file)
            for name, digest in manifest.files.items():
                member = _member(archive, name, file)
                path = folder / f"{name}{UNFINISHED}"
                if _write(member, create(path)) != digest:
                    raise BackupError(f"{file} is damaged: {name} has another SHA-256")
                members[name] = path
    except (tarfile.TarError, EOFError) as error:
        text = f"{file} is no backup, or is cut off: take another one"
        raise BackupError(text) from error
    return manifest, members


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, _OWNER_ONLY
    return entry


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


def create(path: Path) -> Path:
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


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(folder: Path) -> None:
    """Make sure that what a folder lists is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Backup and restore of the embedded server: the log, the audit chain, the guards."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import sqlite3
import tarfile
from contextlib import closing
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from typer.testing import CliRunner

from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from enforcement import Guard
from streams.cli.main import app
from streams.engines.embedded.backup_archive import DATABASE, MANIFEST
from streams.engines.embedded.chain import LAST
from streams.services.audit_heads import HeadKey
from streams.stages.audit.chain import Head
from tests.integration.serving import (
    Server,
    created_key,
    deleted_key,
    running,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

pytestmark = pytest.mark.integration

KEPT, LOST, LATER = (f"AKIAEXAMPLE00000000{number}" for number in range(3))


def rescind(*arguments: str | Path) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, [str(each) for each in arguments])


async def tell(server: Server, *events: dict[str, Any]) -> None:
    """Have a source say something."""
    body = json.dumps({"Records": events}).encode()
    status, told = await server.post("/v1/events/cloudtrail", "aws", body)
    assert status == 202, told


async def end(server: Server, key: str) -> None:
    """Have a key deleted."""
    at = "2026-01-01T12:00:00Z"
    await tell(server, deleted_key(key, "bob", at, f"end-{key}"))


async def begin(server: Server) -> None:
    """Have three keys made, and one of them ended."""
    at = "2026-01-01T10:00:00Z"
    keys = (KEPT, LOST, LATER)
    await tell(server, *[created_key(key, "bob", at, f"new-{key}") for key in keys])
    await end(server, KEPT)


def save(folder: Path, file: Path) -> None:
    """Make a backup of a server that runs."""
    done = rescind("backup", file, "--data-dir", folder / "data")
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a backup of a server that knows three keys, and that one has ended."""
    folder = tmp_path_factory.mktemp("backup")
    file = folder / "backup"

    async def make() -> None:
        async with running(folder / "old") as server:
            await begin(server)
            save(folder / "old", file)

    asyncio.run(make())
    return file


async def test_guards_never_allow_what_the_backup_lost(tmp_path: Path) -> None:
    """A revocation after the backup stays denied at who knew it, and is told again."""
    file = tmp_path / "backup"
    kept, lost, later = (
        Identifier("aws.access_key", key) for key in (KEPT, LOST, LATER)
    )
    async with running(tmp_path / "old") as server:
        await begin(server)
        save(tmp_path / "old", file)
        await end(server, LOST)
        port = int(server.url.rpartition(":")[2])
        guard = Guard(server.url, "guard", name="g", jitter=lambda: 0.1)
        await guard.__aenter__()
        try:
            await until(lambda: guard.check(lost).reason is Reason.REVOKED)
            await until(lambda: guard.check(later).allowed)
        except BaseException:
            await guard.__aexit__(None, None, None)
            raise
    folder = tmp_path / "new"
    done = rescind("restore", file, "--data-dir", folder / "data")
    assert done.exit_code == 0, done.output
    assert "another log" in done.output
    listen = {"host": "127.0.0.1", "port": port}
    try:
        async with running(folder, listen=listen) as server:
            assert not guard.check(lost).allowed
            await until(lambda: guard.check(later).allowed)

            assert guard.check(lost).reason is Reason.REVOKED
            assert guard.check(kept).reason is Reason.REVOKED
            status, told = await server.get(f"/v1/why/{lost}")
            assert (status, told["allowed"]) == (200, True)

            await end(server, LOST)
            async with Guard(server.url, "guard", name="fresh") as fresh:
                await until(lambda: fresh.check(later).allowed)
                assert fresh.check(lost).reason is Reason.REVOKED
                assert fresh.check(kept).reason is Reason.REVOKED
    finally:
        await guard.__aexit__(None, None, None)


async def test_a_restored_server_goes_on(tmp_path: Path, backup: Path) -> None:
    """Its audit chain holds from the first fact on, with the restore in it."""
    done = rescind("restore", backup, "--data-dir", tmp_path / "new" / "data")
    assert done.exit_code == 0, done.output

    async with running(tmp_path / "new") as server:
        await end(server, LATER)
        _, page = await server.get("/v1/audit")
        acts = [line["entry"].get("actor") for line in page["lines"] if "entry" in line]
        assert acts.count("restore") == 1
        old = {line["entry"]["genesis"] for line in page["lines"] if "entry" in line}
        assert len(old) == 2
        export = tmp_path / "audit.ndjson"
        export.write_bytes(b"\n".join(map(orjson.dumps, page["lines"])))
        key = tmp_path / "new" / "data" / "audit.pub"
        before = key.with_name("audit.restored.pub")
        checked = rescind("audit", "verify", export, "--key", key, "--key", before)
        assert checked.exit_code == 0, checked.output


def test_it_is_for_its_owner_and_holds_no_secret(backup: Path) -> None:
    """Neither keys that sign nor tokens leave the folder; a file is never replaced."""
    with tarfile.open(backup) as archive:
        names = archive.getnames()

    assert oct(backup.stat().st_mode & 0o777) == "0o600"
    assert names == [MANIFEST, DATABASE, "audit.pub"]
    assert {each.name for each in backup.parent.iterdir()} == {"backup", "old"}
    again = rescind("backup", backup, "--data-dir", backup.parent / "old" / "data")
    assert again.exit_code == 2
    assert "exists" in again.output


def test_a_folder_without_a_log_gives_no_backup(tmp_path: Path) -> None:
    """A wrong name must not end as an empty backup."""
    done = rescind("backup", tmp_path / "b", "--data-dir", tmp_path)

    assert done.exit_code == 2
    assert not (tmp_path / "b").exists()


def test_it_is_restored_into_an_empty_folder_alone(
    tmp_path: Path, backup: Path
) -> None:
    """What an earlier restore left unfinished is no obstacle; a log is."""
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "lost+found").mkdir()
    (folder / "rescind.db.restoring").write_text("half of it")
    assert rescind("restore", backup, "--data-dir", folder).exit_code == 0

    again = rescind("restore", backup, "--data-dir", folder)

    assert again.exit_code == 2
    assert "not empty" in again.output


def members(file: Path) -> dict[str, bytes]:
    """Read an archive."""
    with tarfile.open(file) as archive:
        found = {each.name: archive.extractfile(each) for each in archive}
        return {name: each.read() for name, each in found.items() if each is not None}


def pack(file: Path, content: dict[str, bytes]) -> None:
    """Write an archive."""
    with tarfile.open(file, "w") as archive:
        for name, body in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))


def changed(query: str, tmp_path: Path) -> Callable[[dict[str, bytes]], None]:
    """Give what changes the log, and makes the digest fit."""

    def change(content: dict[str, bytes]) -> None:
        path = tmp_path / "changed.db"
        path.write_bytes(content[DATABASE])
        with closing(sqlite3.connect(path)) as db:
            db.execute(query)
            db.commit()
        content[DATABASE] = path.read_bytes()
        sign(content)

    return change


def sign(content: dict[str, bytes]) -> None:
    """Make the digests of a manifest fit."""
    manifest = orjson.loads(content[MANIFEST])
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256(content[name]).hexdigest()
    content[MANIFEST] = orjson.dumps(manifest)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("DELETE FROM recent_facts WHERE offset = 1", "gone from the log"),
        ("INSERT INTO recent_facts VALUES (99, 'default/x', x'00', 1)", "put in"),
        ("DELETE FROM audit_chain WHERE sequence = 2", "removed"),
        ("DELETE FROM audit_chain WHERE sequence > 2", "does not end"),
        ("UPDATE recent_facts SET value = zeroblob(20) WHERE offset = 0", "unreadable"),
    ],
)
def test_a_changed_log_is_not_restored(
    tmp_path: Path, backup: Path, query: str, why: str
) -> None:
    """Digests are for accidents; the audit chain finds who makes them fit."""
    content = members(backup)
    changed(query, tmp_path)(content)
    pack(tmp_path / "forged", content)

    done = rescind("restore", tmp_path / "forged", "--data-dir", tmp_path / "new")

    assert done.exit_code == 1
    assert why in done.output
    assert not (tmp_path / "new" / DATABASE).exists()


def bytes_flipped(content: dict[str, bytes]) -> None:
    """Damage the log."""
    body = bytearray(content[DATABASE])
    body[len(body) // 2] ^= 1
    content[DATABASE] = bytes(body)


def of_the_future(content: dict[str, bytes]) -> None:
    """Give it another format."""
    manifest = orjson.loads(content[MANIFEST]) | {"format": 2}
    content[MANIFEST] = orjson.dumps(manifest)


def without_manifest(content: dict[str, bytes]) -> None:
    """Leave that out."""
    del content[MANIFEST]


def not_json(content: dict[str, bytes]) -> None:
    """Garble the manifest."""
    content[MANIFEST] = b"{}"


def no_database(content: dict[str, bytes]) -> None:
    """Put in what is no log, with a digest that fits."""
    content[DATABASE] = b"SQLite format 3\0 or not"
    sign(content)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (bytes_flipped, "another SHA-256"),
        (of_the_future, "format 2"),
        (without_manifest, "no backup"),
        (not_json, "cannot be read"),
        (no_database, "damaged"),
    ],
)
def test_a_damaged_backup_is_not_restored(
    tmp_path: Path,
    backup: Path,
    damage: Callable[[dict[str, bytes]], None],
    why: str,
) -> None:
    """Nothing is put into place."""
    content = members(backup)
    damage(content)
    pack(tmp_path / "damaged", content)

    done = rescind("restore", tmp_path / "damaged", "--data-dir", tmp_path / "new")

    assert done.exit_code == 2
    assert why in done.output
    assert not (tmp_path / "new" / DATABASE).exists()


def test_what_is_cut_off_is_not_restored(tmp_path: Path, backup: Path) -> None:
    """Wherever: in the log, before it, or of something else altogether."""
    body = backup.read_bytes()
    for length in (0, 700, len(body) // 2):
        (tmp_path / "cut").write_bytes(body[:length])

        done = rescind("restore", tmp_path / "cut", "--data-dir", tmp_path / "new")

        assert done.exit_code == 2
        assert not (tmp_path / "new" / DATABASE).exists()


def test_a_head_that_was_kept_must_be_in_it(tmp_path: Path, backup: Path) -> None:
    """An old backup in the place of a newer one is found by a newer head."""
    folder = backup.parent / "old" / "data"
    key = HeadKey.read((folder / "audit.key").read_bytes())
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        sequence, last = db.execute(LAST).fetchone()
        query = "SELECT value FROM meta WHERE name = 'genesis'"
        (genesis,) = db.execute(query).fetchone()
    right = key.sign(Head("default", genesis, sequence, last, 1))
    newer = key.sign(Head("default", genesis, sequence + 1, last, 1))
    arguments = ("restore", backup, "--data-dir", tmp_path / "new", "--head")

    assert rescind(*arguments, newer).exit_code == 1
    assert rescind(*arguments, right).exit_code == 0

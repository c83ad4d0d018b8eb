"""Others read nothing in a data folder, also where it was made beforehand."""

from __future__ import annotations

import os
import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest

from streams.apps.bootstrap import audit_key, operator_token
from streams.engines.embedded.store import Store
from streams.engines.kafka.checkpoints.checkpoint import Folder
from streams.engines.kafka.checkpoints.journal import Journal
from streams.engines.kafka.notify.delivery_file import DeliveryFile
from streams.process.private_folder import OpenFolderError, make_private
from tests.integration.serving import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _wide_umask() -> Iterator[None]:
    """Let every file be readable by all, unless it says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def readable(folder: Path) -> list[str]:
    """Give what others than the owner may use, the folder too."""
    entries = [folder, *folder.rglob("*")]
    return [str(each) for each in entries if stat.S_IMODE(each.stat().st_mode) & 0o077]


async def test_a_server_in_a_wide_folder_keeps_its_data_private(
    tmp_path: Path,
) -> None:
    """Log, write-ahead log, keys and genesis; while it serves and afterwards."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    async with running(tmp_path) as server:
        body = {"credentials": [{"identifier": "agent.id:a"}]}
        assert (await server.post("/v1/adopt", "restorer", body))[0] == 201
        names = {each.name for each in folder.iterdir()}
        assert {"rescind.db", "rescind.db-wal", "rescind.db-shm"} <= names
        assert readable(folder) == []
    assert readable(folder) == []


async def test_what_was_readable_before_is_mended(tmp_path: Path) -> None:
    """A database of an older version, its write-ahead log, keys, a left backup."""
    folder = tmp_path / "data"
    async with running(tmp_path):
        pass
    (folder / "deeper").mkdir(mode=0o777)
    (folder / "deeper" / "left.tar").write_text("x")
    audit_key(folder, None)
    operator_token(folder)
    for each in (folder, *folder.rglob("*")):
        each.chmod(0o777 if each.is_dir() else 0o666)
    with sqlite3.connect(folder / "rescind.db") as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    async with running(tmp_path):
        assert readable(folder) == []


def test_what_another_user_owns_and_others_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to do; what is private already is no reason."""
    folder = tmp_path / "data"
    make_private(folder)
    file = folder / "rescind.db"
    file.touch(0o644)
    owner = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    with pytest.raises(OpenFolderError, match=rf"chown {owner + 1}.* and `chmod 600`"):
        make_private(folder)
    file.chmod(0o600)
    make_private(folder)


async def test_a_server_does_not_start_on_what_it_cannot_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on writing where others read."""
    folder = tmp_path / "data"
    await (Store.open(folder, realm="default", genesis="g")).close()
    (folder / "rescind.db").chmod(0o644)
    owner = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    with pytest.raises(OpenFolderError, match=r"rescind\.db belongs to user"):
        Store.open(folder, realm="default", genesis="g")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Rights are mended within the folder alone."""
    outside = tmp_path / "outside"
    outside.write_text("x")
    folder = tmp_path / "data"
    make_private(folder)
    (folder / "link").symlink_to(outside)
    make_private(folder)

    assert stat.S_IMODE(outside.stat().st_mode) == 0o666


def test_a_worker_keeps_its_files_private(tmp_path: Path) -> None:
    """Checkpoints, journal and deliveries."""
    path = tmp_path / "worker"
    path.mkdir(mode=0o777)
    path.chmod(0o777)
    folder = Folder(path)
    deliveries = DeliveryFile(path / "deliveries.db")
    journal = Journal(path / "0" / "facts.journal")
    journal.reset("g")
    journal.close()
    deliveries.close()
    folder.close()

    assert readable(path) == []

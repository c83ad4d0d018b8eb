"""A full disk: nothing new is accepted, and what was accepted goes on holding."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

from enforcement import Guard
from streams.engines.embedded import store
from streams.engines.embedded.store import Store
from streams.engines.embedded.transaction import Mark, Transaction
from streams.pollers.log_rotation import LogRotation
from tests.integration.serving import (
    created_key,
    deleted_key,
    receiving,
    running,
    until,
    used_key,
    webhook,
)

if TYPE_CHECKING:
    from pathlib import Path

    from streams.pollers.logfiles import Generation

pytestmark = pytest.mark.integration

KEY = "AKIAEXAMPLE000000001"


@define
class Disk:
    """Tells every transaction that there is no room, while it is full."""

    full: bool = False
    refused: int = 0


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Put a disk that can be full under all stores."""
    disk = Disk()
    mark = Transaction.mark

    def refusing(tx: Transaction) -> Mark:
        if disk.full:
            disk.refused += 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return mark(tx)

    monkeypatch.setattr(Transaction, "mark", refusing)
    monkeypatch.setattr(store, "PAUSE_SECONDS", 0.01)
    return disk


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


async def test_a_full_disk_costs_no_denial_and_no_finding(
    tmp_path: Path, disk: Disk
) -> None:
    """Requests are told to come again; files and stages wait for room."""
    log = tmp_path / "trail.log"
    log.write_bytes(_line(created_key(KEY, "u", "2026-01-01T10:00:00Z", "e1")))
    watch = {"path": str(log), "source": "cloudtrail", "authority": "aws",
             "poll_seconds": 0.01}  # fmt: skip
    async with (
        receiving() as receiver,
        running(tmp_path, watch=[watch], webhook=webhook(receiver)) as server,
        Guard(server.url, "guard", name="g") as guard,
    ):
        name = f"aws.access_key:{KEY}"
        await until(lambda: guard.check(name).allowed)
        disk.full = True
        with log.open("ab") as file:
            file.write(_line(deleted_key(KEY, "u", "2026-01-01T11:00:00Z", "e2")))
            file.write(_line(used_key(KEY, "u", "2026-01-01T12:00:00Z", "e3")))
        await until(lambda: disk.refused > 2)
        order = {"identifier": name}
        status, _ = await server.post("/v1/revocations", "revoker", order)

        assert 503 == status
        assert guard.check(name).allowed  # nothing was accepted

        disk.full = False
        await until(lambda: not guard.check(name).allowed)
        await until(lambda: receiver.got)
        (found,) = await server.findings()
        assert ["e3"] == found["event_ids"]


async def test_checkpoints_go_on_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them the log beside the file would grow until the next start."""
    monkeypatch.setattr(store, "CHECKPOINT_SECONDS", 0.01)
    tried: list[str] = []

    class Failing(sqlite3.Connection):
        """A connection whose first checkpoint finds no room."""

        def execute(self, text: str, *values: Any) -> sqlite3.Cursor:
            if "wal_checkpoint" in text:
                tried.append(text)
                if len(tried) == 1:
                    raise sqlite3.OperationalError("database or disk is full")
            return super().execute(text, *values)

    def connect(path: Path) -> sqlite3.Connection:
        return Failing(path, isolation_level=None, check_same_thread=False)

    monkeypatch.setattr(store, "connect", connect)
    opened = Store.open(tmp_path, realm="r", genesis="g")
    try:
        await until(lambda: len(tried) > 1)
    finally:
        await opened.close()


async def test_a_folder_that_cannot_be_entered_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rights may be mended while the server runs."""
    folder = tmp_path / "logs"
    folder.mkdir()
    scan, tried = LogRotation.scan, []

    def refused(files: LogRotation) -> list[Generation]:
        tried.append(files)
        if len(tried) == 1:
            raise PermissionError(folder)
        return scan(files)

    monkeypatch.setattr(LogRotation, "scan", refused)
    watch = {"path": str(folder), "source": "cloudtrail", "authority": "aws",
             "poll_seconds": 0.01}  # fmt: skip
    async with running(tmp_path, watch=[watch]) as server:
        event = created_key(KEY, "u", "2026-01-01T10:00:00Z", "e1")
        (folder / "a.log").write_bytes(_line(event))
        await until(lambda: server.served.feed.end)

"""Followed files that are rotated, cut, torn, or have lines without an end."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from streams.pollers import file_tailer as tails
from streams.pollers import log_rotation as generations
from streams.pollers.logfiles import FilePlace
from tests.integration.serving import Server, created_key, running, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def line(number: int) -> bytes:
    """Give the line of one new key."""
    name = f"AKIA{number:016d}"
    event = created_key(name, "u", "2026-01-01T10:00:00Z", f"e{number}")
    return json.dumps(event).encode() + b"\n"


def watching(path: Path) -> dict[str, Any]:
    """Give settings that follow a path."""
    watch = {"path": str(path), "source": "cloudtrail", "authority": "aws",
             "poll_seconds": 0.01}  # fmt: skip
    return {"watch": [watch]}


async def knows(server: Server, number: int) -> bool:
    """Tell whether the server knows a key."""
    _, why = await server.get(f"/v1/why/aws.access_key:AKIA{number:016d}")
    return bool(why["reason"] == "lives")


async def test_follows_a_rotated_file_from_its_start(tmp_path: Path) -> None:
    """A new file under the old name is another file."""
    log = tmp_path / "trail.log"
    log.write_bytes(line(1) + line(2))
    async with running(tmp_path, **watching(log)) as server:
        await until(lambda: knows(server, 2))
        log.rename(tmp_path / "trail.log.1")
        log.write_bytes(line(3))
        await until(lambda: knows(server, 3))


async def test_follows_every_file_of_a_folder(tmp_path: Path) -> None:
    """New files are found while the server runs."""
    folder = tmp_path / "logs"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.log").write_bytes(line(1))
    async with running(tmp_path, **watching(folder)) as server:
        await until(lambda: knows(server, 1))
        (folder / "deep" / "b.log").write_bytes(line(2))
        await until(lambda: knows(server, 2))


async def test_skips_a_line_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endless line is one dead letter, and the lines behind it are read."""
    monkeypatch.setattr(tails, "LONGEST_LINE", tails.CHUNK)
    log = tmp_path / "trail.log"
    log.write_bytes(line(1) + b"x" * (tails.CHUNK * 2) + b"\n" + line(2))
    async with running(tmp_path, **watching(log)) as server:
        await until(lambda: knows(server, 2))
        _, letters = await server.get("/v1/dlq")

        assert await knows(server, 1)
        assert ["line_too_long"] == [
            letter["reason"].partition(":")[0] for letter in letters["dead_letters"]
        ]


async def test_reads_a_document_without_a_line_end(tmp_path: Path) -> None:
    """CloudTrail's files end without one; one that comes later is no event."""
    folder = tmp_path / "logs"
    folder.mkdir()
    events = [json.loads(line(number)) for number in (1, 2)]
    whole = folder / "whole.json"
    whole.write_bytes(json.dumps({"Records": events}).encode())
    torn = folder / "torn.json"
    torn.write_bytes(line(3)[:-20])
    async with running(tmp_path, **watching(folder)) as server:
        await until(lambda: knows(server, 2))
        with torn.open("ab") as file:
            file.write(line(3)[-20:-1])
        await until(lambda: knows(server, 3))
        with torn.open("ab") as file:
            file.write(b"\n" + line(4))
        await until(lambda: knows(server, 4))
        _, letters = await server.get("/v1/dlq")

        assert await knows(server, 1)
        assert [] == letters["dead_letters"]


async def test_reads_packed_files_of_a_folder_once(tmp_path: Path) -> None:
    """Also one that was read before it was packed, by a server that is gone."""
    folder = tmp_path / "logs"
    folder.mkdir()
    plain = folder / "plain.log"
    plain.write_bytes(line(1) * 3)
    async with running(tmp_path, **watching(folder)) as server:
        await until(lambda: knows(server, 1))
        seen = await until(lambda: places(tmp_path))
    (folder / "other.json.gz").write_bytes(gzip.compress(line(2)[:-1]))
    (folder / "plain.log.1.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    async with running(tmp_path, **watching(folder)) as server:
        await until(lambda: knows(server, 2))
        await until(lambda: dict(places(tmp_path)).get("plain.log.1.gz"))
        _, letters = await server.get("/v1/dlq")

        assert [("plain.log", 3 * len(line(1)))] == seen
        assert dict(places(tmp_path)) == {
            "other.json.gz": len(line(2)) - 1,
            "plain.log.1.gz": 3 * len(line(1)),
        }
        assert [] == letters["dead_letters"]


async def test_a_path_that_is_not_there_is_said_until_it_is(tmp_path: Path) -> None:
    """A misspelt path looked like a log in which nothing happens."""
    log = tmp_path / "tral.log"

    async with running(tmp_path, **watching(log)) as server:

        async def state() -> tuple[str, str]:
            _, answer = await server.get("/v1/sources")
            rows = {row["name"]: row for row in answer["sources"]}
            row = rows[f"watch:{log}"]
            return row["state"], row["trouble"]

        async def missing() -> bool:
            return (await state())[0] == "failing"

        await until(missing)
        assert "no such file or folder yet" in (await state())[1]
        log.write_bytes(line(1))
        await until(lambda: knows(server, 1))

        async def good() -> bool:
            return (await state()) == ("good", "")

        await until(good)


async def test_what_may_be_missing_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that was emptied without a copy may have held more than was read."""
    monkeypatch.setattr(generations, "SEARCH", 0.2)
    log = tmp_path / "trail.log"
    log.write_bytes(line(1))
    async with running(tmp_path, **watching(log)) as server:
        await until(lambda: knows(server, 1))
        log.write_bytes(b"")
        with log.open("ab") as file:
            file.write(line(2))
        await until(lambda: knows(server, 2))
        (found,) = await until(server.findings)

        assert ("source_gap", f"source:watch:{log}") == (
            found["kind"], found["presented"],
        )  # fmt: skip


def places(folder: Path) -> list[tuple[str, int]]:
    """Give how far the server read which file."""
    with closing(sqlite3.connect(folder / "data" / "rescind.db")) as database:
        rows = database.execute("SELECT body FROM kept WHERE kind = 'place'").fetchall()
    found = [FilePlace.load(body) for (body,) in rows]
    return [(each.path.rpartition("/")[2], each.position) for each in found]

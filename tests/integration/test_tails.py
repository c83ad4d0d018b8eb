"""Followed files that are rotated, cut, torn, or have lines without an end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from streams.engine import tails
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

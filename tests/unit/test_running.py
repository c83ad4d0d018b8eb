"""What every process of ours does when it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.running import say_ready

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

URL = "http://127.0.0.1:8080"


def test_who_finds_the_ready_file_finds_the_url_in_it(tmp_path: Path) -> None:
    """It comes whole: one that was there before is replaced, never emptied."""
    file = tmp_path / "ready"
    file.write_text("http://of.the.process.before\n")
    with file.open() as looking:
        say_ready(file, URL)
        assert "http://of.the.process.before\n" == looking.read()
    assert f"{URL}\n" == file.read_text()
    assert [file] == list(tmp_path.iterdir())


def test_nobody_may_wait_for_a_file() -> None:
    """Without one nothing is written."""
    say_ready(None, URL)

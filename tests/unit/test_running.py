"""What every process of ours does when it starts."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from streams.process.lifecycle import keep_collections_short, say_ready

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


@pytest.mark.parametrize(("long", "aside"), [(-1.0, True), (1e9, False)])
def test_what_a_long_search_for_garbage_leaves_is_not_searched_again(
    long: float, *, aside: bool
) -> None:
    """After a short one it stays where it is."""
    end = keep_collections_short(long)
    try:
        kept = [[number] for number in range(10_000)]
        gc.collect()
    finally:
        end()

    gc.collect()  # nobody sets anything aside now
    searched = set(map(id, gc.get_objects()))
    assert {not aside} == {id(each) in searched for each in kept}


def test_nobody_may_wait_for_a_file() -> None:
    """Without one nothing is written."""
    say_ready(None, URL)

"""Jars that are there and right are left alone: others run from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.devkafka import distribution
from streams.devkafka.distribution import BrokerError, digest, find, missing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


class Maven:
    """Stands in for the client: counts how often it links jars anew."""

    def __init__(self, folder: Path) -> None:
        """Have two jars."""
        self.jars = (folder / "a.jar", folder / "b.jar")
        self.asked = 0
        self.bring(folder)

    def bring(self, _: Path) -> tuple[Path, ...]:
        """Link the jars."""
        self.asked += 1
        for jar in self.jars:
            jar.write_bytes(jar.name.encode())
        return self.jars


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maven:
    """Give a client of an own cache, whose jars are the expected ones."""
    found = Maven(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(distribution, "_jars", found.bring)
    monkeypatch.setattr(distribution, "JARS_SHA256", digest(found.jars))
    found.asked = 0
    return found


def test_jars_are_linked_once(maven: Maven) -> None:
    """Whoever comes later runs from what is there."""
    assert [maven.jars] * 2 == [find().jars, find().jars]
    assert maven.asked == 1


def test_a_download_says_so_first(maven: Maven, tmp_path: Path) -> None:
    """A slow network would look like a program that hangs."""
    assert f"about 45 MB, into {tmp_path / 'rescind'}" in missing()
    find()
    assert maven.asked == 1
    assert missing() == ""


@pytest.mark.parametrize("lost", [True, False])
def test_what_is_lost_or_damaged_is_brought_again(maven: Maven, lost: bool) -> None:
    """By what the jars hold, not by the list."""
    find()
    if lost:
        maven.jars[0].unlink()
    else:
        maven.jars[0].write_bytes(b"cut")

    assert find().jars == maven.jars
    assert maven.asked == 2


def test_others_than_the_expected_ones_are_refused(
    maven: Maven, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are not listed either."""
    monkeypatch.setattr(distribution, "JARS_SHA256", "0")
    for asked in (1, 2):
        with pytest.raises(BrokerError, match="not the expected ones"):
            find()
        assert maven.asked == asked

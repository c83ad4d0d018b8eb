"""How much of the credentials' standing a turn of the sentinel looks at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from streams.engines.kafka.sentinel import judged_partitions
from streams.engines.kafka.sentinel.judged_partitions import JudgedPartitions

if TYPE_CHECKING:
    from agents_registry.steps import Steps

pytestmark = pytest.mark.unit

SLICES = 7


class Home:
    """A partition that tells of one realm, of which some slices are to be looked at."""

    number = 0

    def __init__(self) -> None:
        """Start with all of them."""
        self.left = SLICES

    def inspect(self, _realm: str, _now: int) -> Steps[int]:
        """Look at the next one."""
        yield
        self.left -= 1
        return self.left

    def unsettled(self, _now: int) -> int:
        """Count no uses."""
        return 0

    def follow(self, _now: int) -> Steps[None]:
        """Find no table that was built anew."""
        yield

    settle = follow


def turned(home: Home) -> JudgedPartitions:
    """Partitions of a worker that has this one."""
    realm = SimpleNamespace(take_late=list, heard=None)
    replica: Any = SimpleNamespace(partitions={0: SimpleNamespace(realms={"r": realm})})
    ours: Any = lambda: [home]  # noqa: E731 - of another type than it is
    return JudgedPartitions(ours, replica, 1, lambda: 1)


@pytest.mark.parametrize(
    ("seconds", "looks"), [(3600.0, SLICES), (0.0, 1)], ids=["time", "no time"]
)
async def test_a_turn_looks_for_as_long_as_it_has_time(
    monkeypatch: pytest.MonkeyPatch, seconds: float, looks: int
) -> None:
    """A turn for each slice would take several times as long as the looks."""
    monkeypatch.setattr(judged_partitions, "LOOK_SECONDS", seconds)
    home = Home()
    judged = turned(home)
    await judged.look_again()
    assert (home.left, judged.left) == (SLICES - looks, SLICES - looks)

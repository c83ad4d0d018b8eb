"""What of the tests is dealt out together, and in which order."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
# How far each kind is spread over all that is dealt out.
SPREAD: Final = {"kafka": 0.9, "integration": 0.95, "unit": 0.95, "other": 1.0}


def share(nodeid: str, root: Path = ROOT) -> str:
    """Name what is dealt out together with a test."""
    file = nodeid.partition("::")[0]
    return file if _together(root / file) else nodeid


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Mix what waits, for brokers and leases, with what computes all the time.

    So no core has nothing to do while all processes wait. What takes least comes last:
    no process has a long one left then.
    """
    shares: dict[str, list[pytest.Item]] = {}
    for item in items:
        shares.setdefault(share(item.nodeid), []).append(item)
    places = []
    for kind, end in SPREAD.items():
        of_kind = [each for each in shares.values() if _kind(each[0]) == kind]
        of_kind.sort(key=len, reverse=True)
        places += [(end * n / len(of_kind), items) for n, items in enumerate(of_kind)]
    places.sort(key=lambda place: place[0])
    return [item for _, items in places for item in items]


def _kind(item: pytest.Item) -> str:
    tier = item.path.parent.name
    if tier != "unit" and ("kafka" in item.nodeid or "engines" in item.nodeid):
        return "kafka"
    tier = "integration" if tier == "e2e" else tier
    return tier if tier in SPREAD else "other"


@cache
def _together(path: Path) -> bool:
    """Tell whether a module's tests share a fixture, or take milliseconds."""
    read = [each.read_text("utf-8") for each in (path, path.parent / "conftest.py")
            if each.is_file()]  # fmt: skip
    return path.parent.name == "unit" or any('scope="module"' in text for text in read)

"""The public samples, repeated, reordered and cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents_registry.inventory import table
from agents_registry.registry import Registry
from streams.sources.aws.cloudtrail import CloudTrail
from streams.sources.catalogue import source
from streams.sources.reading.envelope import Event, events
from tests.generators.samples import Events, as_lines
from tests.property.replays import NOW, facts, orders

if TYPE_CHECKING:
    from pathlib import Path

    from agents_registry.facts import Fact

pytestmark = pytest.mark.public_samples

SOURCES = {
    "anthropic": "anthropic", "aws": "cloudtrail", "caep": "ssf", "entra": "entra",
    "github": "github", "kubernetes": "kubernetes", "okta": "okta",
}  # fmt: skip


@pytest.mark.parametrize("folder", SOURCES)
def test_twice_reversed_and_shuffled_give_the_same_state(
    public_samples: Path, folder: str
) -> None:
    """Each file by itself."""
    for file in sorted((public_samples / folder).iterdir()):
        items = events(file.read_bytes(), "")
        found = [item.body for item in items if isinstance(item, Event)]

        def read(bodies: Events) -> list[Fact]:
            return facts(source(SOURCES[folder]).records(as_lines(bodies)))

        once = read(found)
        expected = table(Registry.build(once), NOW)
        for order in orders(found):
            again = read(order)
            assert set(once) == set(again), file.name
            assert expected == table(Registry.build(again), NOW), file.name


@pytest.mark.parametrize("folder", SOURCES)
def test_a_cut_never_raises(public_samples: Path, folder: str) -> None:
    """At every 97th byte; both halves are read, whatever form the file has."""
    for file in sorted((public_samples / folder).iterdir()):
        data = file.read_bytes()
        for cut in range(0, len(data), 97):
            for half in (data[:cut], data[cut:]):
                for record in source(SOURCES[folder]).records(half):
                    assert record.offset <= len(half), file.name


def test_a_cut_of_recorded_traffic_never_raises(public_samples: Path) -> None:
    """Every CloudTrail sample, cut at every 7th byte."""
    for file in sorted((public_samples / "aws").iterdir()):
        data = file.read_bytes()
        for cut in range(0, len(data), 7):
            for record in CloudTrail().records(data[:cut]):
                assert record.offset <= cut

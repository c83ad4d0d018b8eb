"""A partition that is only tailed claims nothing, and is listed again when it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

from agents_registry.facts import Cause, Effect, Node, fact_key
from agents_registry.identifiers import Identifier, extend
from agents_registry.steps import finish
from schemas.codec import encode_fact
from streams.engines.kafka.checkpoints.checkpoint import FactsFile
from streams.engines.kafka.facts.partition import Partition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agents_registry.facts import Fact

pytestmark = pytest.mark.unit

NAMES = [Identifier("aws.access_key", f"AKIAEXAMPLE00000000{n}") for n in range(3)]


@define
class Record:
    """A record as the client gives it."""

    offset: int
    key: bytes | None
    value: bytes | None


def record(offset: int, fact: Fact) -> Record:
    """Give a fact its place."""
    return Record(offset, fact_key("default", fact).encode(), encode_fact(fact))


def facts() -> list[Record]:
    """Make three keys known, and revoke them, at the offsets 0 to 5."""
    said: dict[str, Any] = {"authority": "aws", "received_at": 7, "version": 5}
    nodes = [Node(node=n, event_id=f"n{n.value}", **said) for n in NAMES]
    causes = [
        Cause(target=n, effect=Effect.REVOKE, at=5, event_id=f"c{n.value}", **said)
        for n in NAMES
    ]
    return [record(*each) for each in enumerate([*nodes, *causes])]


def dead(partition: Partition) -> list[str]:
    """List what a partition would publish, to the end."""
    found = []
    while partition.waiting:
        listed = finish(partition.slices())
        found += [str(each.identifier) for _, (some, _) in listed for each in some]
        partition.finish(listed)
    return found


@pytest.fixture
def tailed(tmp_path: Path) -> Iterator[Partition]:
    """Tail all facts, and save."""
    file = FactsFile(tmp_path / "facts-0", extend({}))
    file.reset("g")
    partition = Partition(0, file, extend({}), "g")
    partition.standby = True
    partition.restore(0)
    partition.take(facts()[:5])
    partition.save()
    partition.take(facts()[5:])
    yield partition
    file.close()


def test_a_standby_lists_nothing_and_says_so(tailed: Partition) -> None:
    """A restart from its file lists all of it."""
    assert [] == dead(tailed)
    assert 5 == tailed.file.position
    assert 0 == tailed.file.listed == tailed.listed


@pytest.mark.parametrize("committed", [0, 4, 5, 6])
def test_who_takes_over_lists_from_the_commit_on(
    tailed: Partition, committed: int
) -> None:
    """What lies above it was known to the standby, and perhaps never published."""
    tailed.promote(committed)
    expected = [str(n) for offset, n in enumerate(NAMES, 3) if offset >= committed]

    assert expected == sorted({*dead(tailed)})
    assert 6 == tailed.listed


def test_what_an_owner_had_not_listed_is_not_said_to_be(tailed: Partition) -> None:
    """It loses the partition between two slices, and tails it from then on."""
    tailed.promote(4)
    tailed.stand_by()

    assert [] == dead(tailed)
    assert 4 == tailed.listed
    tailed.save()
    assert 4 == tailed.file.listed


def test_bad_records_above_the_commit_are_told_of_by_who_takes_over(
    tailed: Partition,
) -> None:
    """Those below it were told of by the owner that went."""
    tailed.take([Record(6, b"default/node/x", b"\0x"), Record(7, b"", b"\0y")])
    tailed.promote(7)

    assert [7] == [each.offset for each in tailed.poison]

"""Hunts over generated CloudTrail logs give the truth, whatever the order."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import SECOND
from agents_registry.identifiers import Identifier
from streams.model.records import Access, Lifecycle
from streams.services.hunt import Hunt, Report
from streams.sources.aws.cloudtrail import CloudTrail
from tests.campaigns import some
from tests.generators.cloudtrail import World, as_lines, generate

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.model.records import Record

pytestmark = pytest.mark.property

SEEDS = some(range(8), range(3), pytest.mark.long)


def report_of(events: list[dict[str, Any]]) -> Report:
    """Hunt over events in the order given."""
    hunt = Hunt()
    for record in CloudTrail().records(as_lines(events)):
        hunt.add(record)
    return hunt.report()


def found(report: Report) -> dict[str, str]:
    """Give the event id of every use found, with its kind."""
    return {
        event_id: reuse.kind.value
        for reuse in report.findings
        for event_id in reuse.event_ids
    }


def truth(world: World) -> dict[str, str]:
    """Give what must be found: every use that some cause had ended before."""
    return {
        use.event_id: (
            "blocked_attempt" if use.outcome == "denied" else "use_after_revocation"
        )
        for use in world.uses
        if use.ended_by
    }


def shape(report: Report) -> tuple[object, ...]:
    """Give all of a report that must not depend on order and repetition."""
    return (
        report.issued,
        report.edges,
        [(c.id, c.event_id) for c in report.causes],
        [
            (f.kind, f.identifiers, f.death.cause.fact_id, f.count, f.event_ids)
            for f in report.findings
        ],
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_finds_exactly_the_uses_of_ended_credentials(seed: int) -> None:
    """Every use after a cause that reaches it is found, and no other."""
    world = generate(Random(seed), 1500)

    report = report_of(world.events)

    assert truth(world), f"seed {seed} planted nothing"
    assert truth(world) == found(report)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "arrange",
    [
        lambda events, _: events[::-1],
        lambda events, rng: rng.sample(events, len(events)),
        lambda events, _: [e for e in events for _ in range(2)],
        lambda events, rng: rng.sample(events * 2, 2 * len(events)),
    ],
    ids=["reverse", "shuffle", "every record twice", "twice and shuffled"],
)
def test_order_and_repetition_change_nothing(
    seed: int,
    arrange: Callable[[list[dict[str, Any]], Random], list[dict[str, Any]]],
) -> None:
    """File order, reverse, shuffle and doubled records give the same report."""
    world = generate(Random(seed), 800)
    straight = report_of(world.events)

    arranged = report_of(arrange(world.events, Random(seed + 1)))

    assert shape(straight) == shape(arranged)
    assert straight.counts.access == arranged.counts.access


def test_uses_of_one_time_and_of_one_name_come_in_any_order() -> None:
    """Which log is read first decides neither the first use nor the order of ids."""
    key = Identifier("aws.access_key", "AKIA")
    events: list[Record] = [
        Lifecycle("cloudtrail", "end", "x", "revoke", 5 * SECOND, (key,), 0),
        Lifecycle("cloudtrail", "end", "x", "revoke", 5 * SECOND,
                  (key, Identifier("aws.access_key", "AKIB")), 1),
        *(
            Access("cloudtrail", name, "x", at * SECOND, (key,), 10 + at, "allowed",
                   issued_at=issued_at)
            for name, at, issued_at in (
                ("b", 7, 1), ("a", 7, 1), ("c", 9, 1), ("d", 6, None), ("e", 8, None)
            )
        ),
    ]  # fmt: skip
    reports = []
    for arranged in (events, events[::-1], Random(1).sample(events, len(events))):
        hunt = Hunt()
        for record in arranged:
            hunt.add(record)
        reports.append(hunt.report())

    (finding,) = reports[0].findings
    assert ["d", "a", "b", "e", "c"] == finding.event_ids
    assert (6 * SECOND, 9 * SECOND) == (finding.first.time, finding.last.time)
    assert reports[0] == reports[1] == reports[2]

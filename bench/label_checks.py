"""What a cause on a label costs, by how many have the label.

``python -m bench.label_checks`` makes a table of a million credentials with agents and
suspends a label that 100,000 of them have; and beside it one in which each of as
many labels has one member, and all labels that are asked about are suspended. So what
is compared is asked about as often, for the first time and again.
"""

from __future__ import annotations

import argparse
import sys
from random import Random
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from agents_registry.facts import Cause, Edge, Effect, LabelSet, Node
from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SAID: Final[dict[str, Any]] = {"authority": "bench", "version": 1, "received_at": 1}
NOW: Final = 1_800_000_000_000_000_000
ASKED: Final = 2_000
PRODUCTION: Final = Identifier("label.env", "prod")
LIMITS: Final[dict[str, dict[str, Any]]] = {
    "no limit": {},
    "kinds": {"kinds": ("github.token",)},
    "where": {"where": (PRODUCTION,)},
}


def made(credentials: int, matches: int, *, one_each: bool) -> Registry:
    """Make the table; all members of a team are in production."""
    registry = Registry()
    for n in range(credentials):
        name, agent = (
            Identifier("github.token", f"t{n}"),
            Identifier("agent.id", f"{n}"),
        )
        registry.apply(Node(node=name, issued_at=1, **SAID))
        registry.apply(Edge(child=name, parent=agent, **SAID))
    for n in range(matches):
        labels = (team(n if one_each else 0), PRODUCTION)
        registry.apply(
            LabelSet(node=member(n, credentials, matches), labels=labels, **SAID)
        )
    return registry


def team(number: int) -> Identifier:
    """Name a team."""
    return Identifier("label.team", f"payments-{number}")


def member(number: int, credentials: int, matches: int) -> Identifier:
    """Name a member of a team."""
    return Identifier("github.token", f"t{number * (credentials // matches)}")


def asked(registry: Registry, names: Iterable[Identifier]) -> float:
    """Measure the median time of a check, in microseconds."""
    times = []
    for name in names:
        presented = Presented((name,))
        begin = perf_counter_ns()
        judge(registry, presented, NOW)
        times.append(perf_counter_ns() - begin)
    return median(times) / 1000


def measured(
    registry: Registry, sizes: tuple[int, int], limit: dict[str, Any], *, one_each: bool
) -> dict[str, float]:
    """Measure facts and checks, in microseconds."""
    credentials, matches = sizes
    random, found = Random(7), dict[str, float]()
    numbers = random.sample(range(matches), ASKED)
    members = [member(n, credentials, matches) for n in numbers]
    others = [
        Identifier("github.token", f"t{random.randrange(credentials) | 1}")
        for _ in range(ASKED)
    ]
    asked(registry, [*others, *members])
    found["check of a member, before"] = asked(registry, members)
    found["check of others, before"] = asked(registry, others)
    facts = []
    for number in numbers if one_each else (0,):
        cause = Cause(
            target=team(number), effect=Effect.SUSPEND, at=1, until=2 * NOW, **limit,
            **SAID,
        )  # fmt: skip
        begin = perf_counter_ns()
        registry.apply(cause)
        facts.append(perf_counter_ns() - begin)
    found["the fact"] = median(facts) / 1000
    found["check of a member, first"] = asked(registry, members)
    found["check of a member, again"] = asked(registry, members)
    found["check of others, first"] = asked(registry, others)
    found["check of others, again"] = asked(registry, others)
    assert not judge(registry, Presented((members[0],)), NOW).allowed
    return found


def main(arguments: Sequence[str]) -> None:
    """Print both tables for each limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--credentials", type=int, default=1_000_000)
    parser.add_argument("--matches", type=int, default=100_000)
    parser.add_argument("--limit", choices=LIMITS, default="no limit")
    options = parser.parse_args(arguments)
    sizes = options.credentials, options.matches
    found = []
    for one_each in (True, False):
        registry = made(*sizes, one_each=one_each)
        limit = LIMITS[options.limit]
        found.append(measured(registry, sizes, limit, one_each=one_each))
        del registry
    print(f"{options.limit}; medians in microseconds")
    for what, one in found[0].items():
        many = found[1][what]
        told = (
            f"one match: {one:8.2f}  {options.matches}: {many:8.2f}  x{many / one:.2f}"
        )
        print(f"{what:<26} {told}")


if __name__ == "__main__":
    main(sys.argv[1:])

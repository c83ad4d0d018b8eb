"""No step of work that is cut takes long, however much hangs on one thing."""

from __future__ import annotations

import asyncio
from itertools import islice, pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from agents_registry.facts import (
    Alias,
    Cause,
    Distrust,
    Edge,
    Effect,
    Fact,
    Lift,
    Node,
    OwnerSet,
    Reach,
    Relation,
    Renewal,
    ScopeSet,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import Identifier, extend
from agents_registry.registry import Registry
from agents_registry.steps import finish
from enforcement import turns
from streams.engines.kafka.checkpoints.checkpoint import FactsFile
from streams.engines.kafka.facts.partition import Partition
from streams.engines.kafka.facts.recovery import take
from streams.http.prober import Prober
from streams.http.table_answers import MAKERS, explained
from streams.model.findings import Finding, FindingKind, Severity
from streams.observability.progress import Progress
from streams.services.status_entries import StatusEntries
from streams.stages.access.agent_kinds import is_agent
from streams.stages.closure.results import Revocation
from streams.stages.ingest.blast import BatchReach
from streams.stages.notify import notify
from streams.stages.notify.deliveries import ReceiverRoute
from streams.stages.notify.state import DeliveryState, differing
from streams.stages.posture.posture import Limits, Posture
from streams.stages.posture.view import View
from streams.stages.status.status_list import Status, StatusEntry, StatusList
from tests.held_loop import least_held, most_calls
from tests.notify_steps import step
from tests.unit.kept_bodies import BodiesInMemory
from tests.unit.test_kafka_standby import record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable
    from pathlib import Path

    from agents_registry.steps import Steps

pytestmark = pytest.mark.unit

# Calls in a step, each of about 0.1 us and more: a turn of an event loop is as long as
# it may be, and one step.
MOST: Final = 20_000
OF_NAMES: Final = 10_000  # what takes all names of a node makes 16,000 calls
ENOUGH: Final = 0.4  # seconds for what takes a tenth of them
S: Final = 10**9
ANN: Final = Identifier("person.id", "ann")
SAID: Final[dict[str, Any]] = {"authority": "a", "received_at": S, "version": S}


def table(facts: Iterable[Fact]) -> Registry:
    """Give the table of some facts."""
    registry = Registry()
    for fact in facts:
        registry.apply(fact)
    return registry


def names(count: int) -> list[Identifier]:
    """Give agents."""
    return [Identifier("agent.id", f"n{number}") for number in range(count)]


def owned(count: int) -> list[Fact]:
    """Give many agents of one owner."""
    return [OwnerSet(node=each, owners=(ANN,), **SAID) for each in names(count)]


def ended(count: int) -> list[Fact]:
    """Give the same, each with an end of its own, and that of their owner."""
    return [
        *owned(count),
        *(
            Cause(target=each, effect=Effect.REVOKE, at=number, **SAID)
            for number, each in enumerate([ANN, *names(count)])
        ),
    ]


def children(count: int) -> list[Fact]:
    """Give many children of one agent."""
    top, *rest = names(count)
    return [Edge(child=each, parent=top, **SAID) for each in rest]


def ended_alone(count: int) -> list[Fact]:
    """Give the same, of which the parent ended alone."""
    (top,) = names(1)
    end = Cause(target=top, effect=Effect.REVOKE, reach=Reach.SELF, at=S, **SAID)
    return [*children(count), end]


def expired(count: int) -> list[Fact]:
    """Give many leases of one token, which expired."""
    top, *rest = names(count)
    with_it = Relation.ENDS_WITH_PARENT
    edges = [Edge(child=each, parent=top, relation=with_it, **SAID) for each in rest]
    return [*edges, Renewal(node=top, expires_at=S, **SAID)]


def called(count: int) -> list[Fact]:
    """Give many names of one agent that has an owner."""
    first, *rest = names(count)
    owned = OwnerSet(node=first, owners=(ANN,), **SAID)
    return [owned, *(Alias(first=first, second=each, **SAID) for each in rest)]


def declaring(count: int) -> list[Fact]:
    """Give a deep chain of agents of which each declares scopes, its end first."""
    line = names(count)
    scopes = tuple(f"api|v{number}" for number in range(20))
    return [
        *(Node(node=each, **SAID) for each in line),
        *(Edge(child=child, parent=parent, **SAID) for child, parent in pairwise(line)),
        *(ScopeSet(node=each, scopes=scopes, **SAID) for each in line),
    ]


SHAPES: Final = [owned, ended, children, ended_alone, expired, called]


@pytest.mark.parametrize("shape", SHAPES)
def test_no_step_of_a_sweep_is_long(shape: Any) -> None:
    """However many hang on one owner, on one parent, or are names of one node."""
    registry = table(shape(8000))

    def collect() -> Steps[None]:
        return View(registry).collect(range(len(registry.lineage)), 2 * S, is_agent)

    assert most_calls(collect()) < MOST


@pytest.mark.parametrize("at", [ANN, names(1)[0]])
def test_no_step_takes_all_names_of_a_node(at: Identifier) -> None:
    """One that ends alone, and an owner on whose things a cause stands."""
    target = Identifier("owner.of", str(at))
    alone = Cause(target=at, effect=Effect.REVOKE, reach=Reach.SELF, at=S, **SAID)
    had = Cause(target=target, effect=Effect.SUSPEND, at=S, **SAID)
    registry = table([*called(8000), alone, had])

    def collect() -> Steps[None]:
        return View(registry).collect(range(len(registry.lineage)), 2 * S, is_agent)

    assert most_calls(collect()) < OF_NAMES


def test_no_step_of_posture_is_long() -> None:
    """However deep below others that declare scopes somebody declares them."""
    registry = table(declaring(800))

    def look() -> Steps[Any]:
        posture = Posture(Limits(settle=0))
        posture.follow(registry)
        return posture.step(2 * S, 2)

    assert most_calls(look()) < MOST


def many_owners(count: int) -> tuple[list[Fact], list[Fact]]:
    """Give owners, each deep below what ended, and a set of them all."""
    (node,), facts, owners = names(1), list[Fact](), list[Identifier]()
    for number in range(count):
        line = [Identifier("person.id", f"p{number}-{deep}") for deep in range(800)]
        owners.append(line[0])
        pairs = pairwise(line)
        facts += (Edge(child=low, parent=top, **SAID) for low, top in pairs)
        facts.append(Cause(target=line[-1], effect=Effect.SUSPEND, at=S, **SAID))
    return facts, [OwnerSet(node=node, owners=tuple(owners), **SAID)]


def many_children(count: int) -> tuple[list[Fact], list[Fact]]:
    """Give many children of one agent, and its end."""
    (top,) = names(1)
    return children(count), [Cause(target=top, effect=Effect.REVOKE, at=S, **SAID)]


def many_facts(count: int) -> tuple[list[Fact], list[Fact]]:
    """Give facts of one batch that hang on what ended, one below the other."""
    line = names(count)
    end = Cause(target=line[-1], effect=Effect.REVOKE, at=S, **SAID)
    return [end], [
        Edge(child=child, parent=parent, **SAID) for child, parent in pairwise(line)
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    ("shape", "count"), [(many_owners, 30), (many_children, 20_000), (many_facts, 8000)]
)
def test_no_step_of_a_blast_limit_is_long(shape: Any, count: int) -> None:
    """However much a batch names, and however much hangs on that."""
    merged, batch = shape(count)
    reach = BatchReach(table(merged), batch, 10**9, 2 * S)

    assert most_calls(reach.steps()) < MOST
    assert set() == reach.over
    low = BatchReach(table(merged), batch, 0, 2 * S)
    assert finish(low.steps()) == low.over != set()


def test_no_step_of_why_is_long() -> None:
    """However deep what created it hangs below what ended."""
    made, *line = names(1500)
    deep, top = line[0], line[-1]
    makers = [Identifier("agent.id", f"m{number}") for number in range(MAKERS)]
    registry = table([
        *(Edge(child=child, parent=parent, **SAID) for child, parent in pairwise(line)),
        *(Edge(child=each, parent=deep, **SAID) for each in makers),
        *(
            Edge(child=made, parent=each, relation=Relation.CREATED_BY, **SAID)
            for each in makers
        ),
        Cause(target=top, effect=Effect.REVOKE, at=S, **SAID),
    ])  # fmt: skip
    told: list[Any] = []

    def explain() -> Steps[None]:
        told.append((yield from explained(registry, made, 2 * S, None)))

    assert most_calls(explain()) < MOST
    assert [False] * MAKERS == [each["allowed"] for each in told[0]["created_by"]]


async def test_a_worker_builds_a_table_anew_in_steps(tmp_path: Path) -> None:
    """However much is in it, and what watches the worker sees that it gets on."""
    facts: list[Fact] = [
        Node(node=each, authority="a", received_at=S, version=S) for each in names(2000)
    ]
    distrust = Distrust(
        suspect="a", suspect_key="", received_from=0, received_to=S,
        authority="operators", received_at=S, version=S,
    )  # fmt: skip
    file = FactsFile(tmp_path / "facts-0", extend({}))
    file.reset("g")
    partition = Partition(0, file, extend({}), "g")
    records = [record(*each) for each in enumerate([*facts, distrust])]
    partition.take(records)

    assert 0 < most_calls(partition.rebuild()) < MOST
    table = partition.realm("default").cascade.registry
    assert not table.needs_rebuild
    assert not len(table.lineage)
    progress = Progress()
    partition.take([record(2001, facts[0])])
    await take(
        partition, [record(2002, attrs.evolve(distrust, version=S + 1))], progress
    )
    assert progress.steps > 10
    file.close()


async def test_a_workers_facts_wait_for_a_walk_that_needs_its_tables(
    tmp_path: Path,
) -> None:
    """They change only where nobody has them stand still."""
    file = FactsFile(tmp_path / "facts-0", extend({}))
    file.reset("g")
    partition = Partition(0, file, extend({}), "g")
    (name,) = names(1)
    fact = Node(node=name, authority="a", received_at=S, version=S)
    async with turns.resting_tables():
        taking = asyncio.create_task(take(partition, [record(0, fact)], Progress()))
        for _ in range(100):
            await asyncio.sleep(0)

        assert 0 == partition.position
    await taking
    assert 1 == partition.position
    file.close()


def test_no_step_of_a_summary_is_long() -> None:
    """However many posture findings a first import has."""
    found = [
        Finding(
            id=f"{number:032x}", kind=FindingKind.OWNERLESS, severity=Severity.LOW,
            realm="r", presented=name, first_seen=S, last_seen=S, message="",
        )
        for number, name in enumerate(names(2000))
    ]  # fmt: skip
    routes = (ReceiverRoute(name="soc"),)
    begun = step(
        DeliveryState(), map(notify.FindingChange, found), S, routes=routes
    ).state
    told: list[notify.Step] = []

    def tell() -> Steps[None]:
        told.append((yield from notify.stepping(begun, (), 4 * S, routes=routes)))

    assert most_calls(tell()) < MOST
    assert [2000] == [each.finding.count for each in told[0].due]
    assert most_calls(differing(begun, told[0].state)) < MOST


def below_an_end(count: int) -> tuple[Registry, Identifier, Cause]:
    """Give a chain below what ended, with its deepest part and the cause."""
    line = names(count)
    cause = Cause(target=line[-1], effect=Effect.REVOKE, at=S, **SAID)
    hangs = (Edge(child=low, parent=top, **SAID) for low, top in pairwise(line))
    return table([*hangs, cause]), line[0], cause


async def turns_beside(work: Awaitable[object]) -> int:
    """Count the turns that others have while some work is done."""
    had = 0

    async def other() -> None:
        nonlocal had
        while True:
            had += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await work
    beside.cancel()
    return had


async def test_a_probe_lets_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It looks what of its sample is dead, however deep that hangs."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    registry, deep, cause = below_an_end(500)
    server: Any = SimpleNamespace(registry=registry)
    prober = Prober(server, server, server, server, "r", "g", int, list, 1.0)  # type: ignore[arg-type]
    revoked = Revocation(0, fact_id(cause).hex(), str(deep), "revoke", S, S)
    found: list[Revocation] = []

    async def look() -> None:
        found.extend(await prober._dead([revoked]))

    assert await turns_beside(look()) > 100
    assert [revoked] == found


@pytest.mark.parametrize("at", [None, 3 * S])
async def test_a_status_list_lets_others_have_their_turn(
    at: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may ask for it, and for how it was."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    registry, deep, _ = below_an_end(500)
    table: Any = SimpleNamespace(registry=registry, genesis="g")
    entries = StatusEntries(
        BodiesInMemory(), table, lambda: 2 * S, lambda: "n", lambda _: 3
    )
    await entries.give(StatusEntry((deep,), S), 2, 8)
    (known,) = await entries.lists()
    judged: list[StatusList] = []

    async def judge() -> None:
        judged.append(await entries.statuses(known, at))

    assert await turns_beside(judge()) > 100
    assert [Status.INVALID << 6, 0] == [*judged[0].array]


async def test_taking_lifts_back_costs_nothing_for_those_of_others() -> None:
    """However many credentials were suspended and lifted."""
    lifts = [Lift(target=each, **SAID) for each in names(20_000)]
    registry, taken = table(lifts), iter(lifts)

    async def take_back() -> None:
        for lift in islice(taken, 2000):
            registry.apply(
                Withdraw(
                    kind=Lift.NAME,
                    fact_id=fact_id(lift).hex(),
                    target=lift.target,
                    **SAID,
                )
            )

    async def work() -> None:
        await asyncio.create_task(take_back())

    assert (await least_held(work, ENOUGH)).seconds < ENOUGH
    assert len(registry.causes.dump()["lifts"]) <= 18_000

"""A check that lets others of the loop go on judges as one in one go does."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents_registry.facts import OwnerSet, to_plain
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.verdict import judging
from enforcement import turns
from enforcement.feed import Link
from enforcement.kafka.feed import LogFeed
from enforcement.turns import resting_tables
from enforcement.verdict import Lapse
from tests.held_loop import most_calls
from tests.pdp import NOW, SAID, SECOND, edge, node, point, revoke, sub, token
from tests.unit.test_steps_held import MOST, turns_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents_registry.facts import Fact
    from enforcement.verdict import Verdict

pytestmark = pytest.mark.unit

DEPTH: Final = 1000
LINE: Final = [sub(f"n{number}") for number in range(DEPTH)]
TOP: Final = LINE[-1]
CHAIN: Final[list[Fact]] = [
    *map(node, LINE),
    *(edge(child, parent) for child, parent in pairwise(LINE)),
]
# What has one owner left is looked at closely, and lives.
GONE, LEFT = sub("gone"), sub("left")
OWNED: Final = OwnerSet(**SAID, node=TOP, owners=(GONE, LEFT))
ONE_LEFT: Final = (*CHAIN, OWNED, revoke(GONE))


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the loop away at each step."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)


async def test_a_decision_point_lets_others_have_their_turn() -> None:
    """However deep a token's subject hangs."""
    asked = point(*CHAIN, revoke(TOP))
    reasons: list[str] = []

    async def decide() -> None:
        reasons.append(await asked.reason(token("n0")))

    assert await turns_beside(decide()) > 20
    assert [Reason.REVOKED.value] == reasons


def test_no_step_of_a_check_is_long() -> None:
    """Nor of a judgement that ends in nothing."""
    for facts in ([*CHAIN, revoke(TOP)], ONE_LEFT):
        table = point(*facts).guard.standing.replica.registry
        steps = judging(table, Presented((LINE[0],)), now=NOW)

        assert 0 < most_calls(steps) < MOST


async def checked(meanwhile: Callable[[Any], None], after: int = 5) -> Verdict:
    """Check what lives, and have something happen after some turns of it."""
    asked = point(*ONE_LEFT)
    assert asked.guard.check((LINE[0],)).allowed
    asked.guard.standing.replica.registry.clearance.begin()  # look again
    checking = asyncio.create_task(asked.guard.check_in_turns((LINE[0],)))
    for _ in range(after):
        await asyncio.sleep(0)
    assert not checking.done()
    meanwhile(asked)
    return await checking


async def test_what_lives_is_allowed() -> None:
    """Where nothing happens meanwhile."""
    assert (await checked(lambda _: None)).allowed


@pytest.mark.parametrize("left", [2, 10, DEPTH])
async def test_a_fact_that_comes_meanwhile_counts(left: int) -> None:
    """It has been applied when the verdict is given, whatever was walked by then."""
    table = point(*ONE_LEFT).guard.standing.replica.registry
    whole = sum(1 for _ in judging(table, Presented((LINE[0],)), now=NOW))

    verdict = await checked(lambda asked: asked.learn([revoke(TOP)]), whole - left)
    assert (False, Reason.REVOKED) == (verdict.allowed, verdict.reason)


async def test_a_table_that_replaces_the_other_meanwhile_counts() -> None:
    """A guard answers from the one in force."""

    def replace(asked: Any) -> None:
        other = point(*CHAIN, revoke(TOP)).guard.standing.replica
        other.position = asked.guard.standing.replica.position + 1
        assert asked.guard.standing.offer(other)

    assert Reason.REVOKED == (await checked(replace)).reason


async def test_a_lease_that_ends_meanwhile_allows_nothing() -> None:
    """The clock is read last."""

    def wait(asked: Any) -> None:
        asked.clocks.boot += 3600 * SECOND

    assert Lapse.NO_LEASE == (await checked(wait)).reason


async def test_a_feed_waits_for_a_walk_that_needs_the_table() -> None:
    """Facts wait while one holds the tables, and are applied then."""
    fed = point(*CHAIN)
    replica, position = fed.guard.standing.replica, fed.position
    plain = [to_plain(revoke(TOP))]
    delta = {"type": "delta", "from": position, "to": position + 1, "facts": plain}
    link = Link(succeeds=False, replica=replica)
    async with resting_tables():
        taking = asyncio.create_task(fed.guard.feed._receive(link, delta))
        for _ in range(100):
            await asyncio.sleep(0)
        assert position == replica.position
    await taking
    assert position + 1 == replica.position


async def test_a_feed_from_kafka_waits_for_it_too() -> None:
    """A batch of records is applied under the same lock."""
    taken: list[int] = []

    class Replica:
        complete, beats = False, list[Any]()

        def take(self, records: list[int], _: int) -> Iterator[None]:
            taken.extend(records)
            yield

    class Consumer:
        async def getmany(self, place: str, **_: Any) -> dict[str, list[int]]:
            return {place: [7]}

        async def position(self, _: str) -> int:
            return 8

    feed: Any = SimpleNamespace(_standing=None, learn=None)
    reader: Any = SimpleNamespace(replica=Replica())
    batches: Any = LogFeed._batches(feed, reader, Consumer(), "facts")
    async with resting_tables():
        taking = asyncio.ensure_future(anext(batches))
        for _ in range(100):
            await asyncio.sleep(0)
        assert [] == taken
    await taking
    assert [7] == taken
    await batches.aclose()

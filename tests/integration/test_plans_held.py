"""A plan on 100,000 descendants: no loop is held, no lease is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents_registry.facts import Cause, Edge, Effect, Fact, Node, OwnerSet
from agents_registry.identifiers import Identifier
from tests.held_loop import least_held
from tests.integration.healthy_guard import beside
from tests.integration.serving import running, until
from tests.integration.test_stages_loop import append

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(600)]

LIMIT: Final = 0.020  # seconds of CPU that a callback may hold a loop
MANY: Final = 100_000
AT_ONCE: Final = 1000
S: Final = 10**9
TOP: Final = Identifier("agent.id", "planner")
LEASE: Final = 2.0  # the guard shares the process with the server, and its interpreter


def tree() -> Iterator[list[Fact]]:
    """Yield the facts of an owned agent with many credentials, ten below each."""
    said: dict[str, Any] = {"authority": "aws", "received_at": S, "version": S}
    owner = Identifier("person.id", "ann")
    facts: list[Fact] = [
        Node(node=TOP, **said), OwnerSet(node=TOP, owners=(owner,), **said)
    ]  # fmt: skip
    for number in range(MANY):
        name = Identifier("vault.accessor", f"n{number}")
        up = Identifier("vault.accessor", f"n{number // 10}") if number > 9 else TOP
        facts.append(Node(node=name, issued_at=S, **said))
        facts.append(Edge(child=name, parent=up, **said))
        if len(facts) >= AT_ONCE:
            yield facts
            facts = []
    yield facts


async def test_a_plan_on_a_hundred_thousand_holds_no_loop(tmp_path: Path) -> None:
    """While it is made, compared and applied a guard beside it keeps its lease."""
    order = {"act": "revoke", "identifier": str(TOP), "reason": "leaked"}
    async with running(tmp_path, lease_seconds=LEASE) as run:
        stages = run.served.stages
        for facts in tree():
            await append(stages.store, *facts)
        await until(lambda: stages.idle, 300)
        plans: list[dict[str, Any]] = []

        async def plan() -> None:
            status, answer = await run.post("/v1/plans", "revoker", order)
            assert status == 201, answer
            plans.append(answer)

        async def refused() -> None:
            path = f"/v1/plans/{plans[0]['id']}/apply"
            status, answer = await run.post(path, "revoker", {})
            assert (status, answer["title"]) == (409, "changed since the plan")

        async with beside(run.url, LEASE) as guard:
            held = await least_held(plan, LIMIT)
            assert held.seconds < LIMIT, held
            assert plans[0]["ends"]["total"] == MANY + 1
            gone = Identifier("vault.accessor", f"n{MANY - 1}")
            cause = Cause(
                target=gone, effect=Effect.REVOKE, at=S, authority="aws",
                version=S, received_at=S,
            )  # fmt: skip
            await append(stages.store, cause)
            await until(lambda: stages.idle)
            held = await least_held(refused, LIMIT)
            assert held.seconds < LIMIT, held
            await asyncio.sleep(0)
            assert 0 == guard.lost

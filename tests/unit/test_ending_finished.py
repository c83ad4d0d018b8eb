"""An act of two requests, and a kill between them: the next start finishes it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Effect, Node
from agents_registry.identifiers import VOCABULARY, Identifier
from streams.actuators.actuator import WantedEnd
from streams.actuators.kubernetes.settings import KubernetesActuator
from streams.outbound.answers import HttpAnswer
from streams.services.actuated_issuer import ActuatedIssuer
from streams.services.ending import EndingRounds
from streams.stages.ending.items import EndingItem, EndingState
from streams.stages.ingest.entitlement import Grant
from tests import virtual
from tests.ending_world import FakeSettings, World, until
from tests.issuers.fake import BASE, SECRET
from tests.issuers.kubernetes import SPACE, FakeKubernetes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.virtual import VirtualLoop

    Story = Callable[["Cluster", World], Coroutine[Any, Any, None]]

pytestmark = pytest.mark.unit

NAME = Identifier("k8s.service_account", "agents/planner")
ACCOUNT = f"{SPACE}/serviceaccounts/planner"


class Cluster(FakeKubernetes):
    """A cluster that may not answer, as a process that is killed hears nothing."""

    clock: Callable[[], int]
    silent: bool = False
    refuses: str = ""

    async def request(self, method: str, url: str, **more: Any) -> HttpAnswer:
        """Answer at the time of the world."""
        self.now = self.clock()
        if method == self.refuses:
            return HttpAnswer({}, b"{}", 403)
        if method == "POST" and self.silent:
            await asyncio.Event().wait()
        return await super().request(method, url, **more)


class KubernetesWorld(World):
    """One cluster."""

    cluster: Cluster

    def rounds(self) -> EndingRounds:
        """Work as a process that starts now."""
        actuator: Any = KubernetesActuator(
            vendor="kubernetes", authority="k8s", url=BASE, token={"value": SECRET}
        ).actuator("k8s", self.clock)
        actuator.api.client = self.cluster
        settings = FakeSettings(
            authority="k8s", mode="automatic", limit=100, per_second=1e6, attempts=3
        )
        grants = (Grant("k8s.*"),)
        issuer = ActuatedIssuer("k8s", settings, actuator, grants, self.clock)
        return EndingRounds({"k8s": issuer}, VOCABULARY, self, self, self.clock)


def run(story: Story) -> KubernetesWorld:
    """Run a story with a service account, whose tokens of before are to end."""

    async def main(loop: VirtualLoop) -> KubernetesWorld:
        world = KubernetesWorld(loop, Random(1))
        world.cluster = Cluster()
        world.cluster.clock = world.clock
        metadata = world.cluster.objects[ACCOUNT]["metadata"]
        metadata["creationTimestamp"] = "2020-01-01T00:00:00Z"  # before the world began
        world.accept(Node, node=NAME)
        world.end(NAME, Effect.NOT_BEFORE, not_before=world.clock())
        await story(world.cluster, world)
        return world

    world: KubernetesWorld = virtual.run(main)
    return world


async def killed_between(world: KubernetesWorld | World, cluster: Cluster) -> None:
    """Kill a process that deleted the account, and heard of nothing more."""
    cluster.silent = True
    working = asyncio.create_task(world.rounds().run())
    await until(world, lambda: ACCOUNT not in cluster.objects)
    working.cancel()
    await asyncio.wait([working])
    cluster.silent = False


async def until_over(world: World) -> EndingItem:
    """Let the next process work until nothing is open."""
    working = asyncio.create_task(world.rounds().run())
    over = (EndingState.ENDED, EndingState.FAILED, EndingState.RESTORED)
    try:
        await until(
            world, lambda: any(each.state in over for each in world.items().values())
        )
    finally:
        working.cancel()
    return world.items()[NAME]


def test_what_was_deleted_is_made_anew_by_the_next_start() -> None:
    """Its act names in the audit chain what is missing until then."""

    async def story(cluster: Cluster, world: World) -> None:
        await killed_between(world, cluster)
        assert "planner" in world.items()[NAME].kept
        item = await until_over(world)
        assert (EndingState.ENDED, "") == (item.state, item.kept)

    world = run(story)

    assert "u-10" == world.cluster.objects[ACCOUNT]["metadata"]["uid"]
    assert 2 == len(world.audit)
    acts = [each.split(" ")[0] for each in world.cluster.acts()]
    assert ["DELETE", "POST"] == acts


def test_what_was_deleted_is_made_anew_where_its_cause_is_taken_back() -> None:
    """Nothing ends it any more, so its name is to work again."""

    async def story(cluster: Cluster, world: World) -> None:
        await killed_between(world, cluster)
        world.withdraw(NAME)
        item = await until_over(world)
        assert (EndingState.RESTORED, WantedEnd.RESTORED) == (item.state, item.wanted)

    world = run(story)

    assert ACCOUNT in world.cluster.objects


def test_what_cannot_be_made_anew_is_given_up_and_not_ended() -> None:
    """The account is gone; a probe alone would say dead, and nobody would look."""

    async def story(cluster: Cluster, world: World) -> None:
        cluster.refuses = "POST"
        item = await until_over(world)
        assert EndingState.FAILED is item.state
        assert "planner" in item.kept

    run(story)


def test_what_was_not_deleted_is_not_put_back_later() -> None:
    """Somebody else deletes it after our act was refused: that stays so."""

    async def story(cluster: Cluster, world: World) -> None:
        cluster.refuses = "DELETE"
        item = await until_over(world)
        assert (EndingState.FAILED, "") == (item.state, item.kept)
        cluster.refuses = ""
        del cluster.objects[ACCOUNT]
        world.again["k8s"] = world.clock()
        working = asyncio.create_task(world.rounds().run())
        try:
            await until(
                world, lambda: world.items()[NAME].state is EndingState.ENDED, 60
            )
        finally:
            working.cancel()

    world = run(story)

    assert ACCOUNT not in world.cluster.objects

"""Who holds which partition is asked of the coordinators, wherever they move."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    NotCoordinatorForGroupError,
)
from attrs import Factory, define

from streams.engines.kafka.client.group_holders import GroupHolders

pytestmark = pytest.mark.unit

GROUPS = {"g1": "facts", "g2": "facts", "g3": "access"}


def member(name: str, topic: str, *partitions: int) -> tuple[Any, ...]:
    """Member of a group as a broker tells of it, with what it was given."""
    given = ConsumerProtocolMemberAssignment(0, [(topic, list(partitions))], b"")
    return (f"{name}-id", name, "/192.0.2.1", b"", given.encode())


@define
class Answer:
    """What a coordinator answers."""

    groups: list[tuple[Any, ...]]


@define
class Admin:
    """A client that counts what it is asked.

    Attributes:
        nodes: the coordinator of each group.
        states: of groups that are not stable.
        away: nodes that do not answer.
        refused: groups that we may not see.
    """

    nodes: dict[str, int] = Factory(lambda: {"g1": 1, "g2": 1, "g3": 2})
    states: dict[str, str] = Factory(dict)
    away: set[int] = Factory(set)
    refused: set[str] = Factory(set)
    asked: list[object] = Factory(list)

    async def find_coordinator(self, group: str) -> int:
        """Say where a group is."""
        self.asked.append(group)
        if group in self.refused:
            raise GroupAuthorizationFailedError
        return self.nodes[group]

    async def describe_consumer_groups(
        self, groups: list[str], node: int
    ) -> list[Answer]:
        """Tell of a group."""
        (group,) = groups
        self.asked.append((node, group))
        if node in self.away:
            raise KafkaConnectionError
        moved = self.nodes[group] != node
        code = NotCoordinatorForGroupError.errno if moved else 0
        state = "" if moved else self.states.get(group, "Stable")
        members = [member(f"{group}-a", GROUPS[group], 0, 1)]
        return [Answer([(code, group, state, "", "", members)])]


async def held(of: GroupHolders, admin: Admin) -> dict[str, dict[int, str]]:
    """Look, and say who has what."""
    admin.asked.clear()
    await of.look(admin)
    return {g: {n: h.name for n, h in held.items()} for g, held in of.of.items()}


ALL = {group: {0: f"{group}-a", 1: f"{group}-a"} for group in GROUPS}


async def test_a_coordinator_is_looked_up_once() -> None:
    """There is a look each half second, in every process."""
    of, admin = GroupHolders(GROUPS), Admin()
    assert await held(of, admin) == ALL
    assert admin.asked == ["g1", (1, "g1"), "g2", (1, "g2"), "g3", (2, "g3")]
    assert await held(of, admin) == ALL
    assert admin.asked == [(1, "g1"), (1, "g2"), (2, "g3")]


async def test_a_coordinator_that_moved_is_looked_up_anew() -> None:
    """The old one says so; until the next look nothing is known of the group."""
    of, admin = GroupHolders(GROUPS), Admin()
    await held(of, admin)
    admin.nodes["g2"] = 2
    assert (await held(of, admin)).keys() == {"g1", "g3"}
    assert await held(of, admin) == ALL
    assert admin.asked == [(1, "g1"), "g2", (2, "g2"), (2, "g3")]


async def test_of_a_coordinator_that_is_away_nothing_is_known() -> None:
    """Others are asked all the same, and another one takes its groups."""
    of, admin = GroupHolders(GROUPS), Admin()
    await held(of, admin)
    admin.away = {1}
    assert (await held(of, admin)).keys() == {"g3"}
    admin.nodes |= {"g1": 2, "g2": 2}
    assert await held(of, admin) == ALL


async def test_of_a_group_that_we_may_not_see_nothing_is_known() -> None:
    """Our user may have the rights of its own stages alone."""
    of, admin = GroupHolders(GROUPS), Admin(refused={"g1"})
    assert (await held(of, admin)).keys() == {"g2", "g3"}


async def test_a_group_that_is_being_rearranged_has_no_holders() -> None:
    """What its members had before is no answer."""
    of, admin = GroupHolders(GROUPS), Admin()
    await held(of, admin)
    admin.states = {"g1": "PreparingRebalance"}
    assert await held(of, admin) == ALL | {"g1": {}}

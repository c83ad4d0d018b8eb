"""Who has which partition in some groups, as their coordinators tell.

A coordinator is looked up once, and again after it failed or says that it is none any
more: to look each of them up each time was a quarter of what a process without work
asked its brokers for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import KafkaError, for_code
from attrs import Factory, define, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STABLE: Final = "Stable"

log = structlog.get_logger()


@frozen
class PartitionHolder:
    """The member of a group that has a partition.

    Attributes:
        member: its id in the group.
        name: its client's name; a worker's own.
        host: from where it speaks to the broker.
    """

    member: str
    name: str
    host: str


@define(eq=False)
class GroupHolders:
    """The holders in some groups.

    Attributes:
        groups: the topic that each reads.
        of: group to partition to who has it; a group that is being rearranged has none.
    """

    groups: Mapping[str, str]
    of: dict[str, dict[int, PartitionHolder]] = Factory(dict)
    _coordinators: dict[str, int] = Factory(dict)

    async def look(self, admin: Any) -> None:
        """Ask for all of them; of those that nobody tells of nothing is known."""
        for group in self.groups:
            try:
                await self._look_at(group, admin)
            except (KafkaError, TimeoutError) as error:
                # It moves, or we may not look; the log itself answers.
                self.of.pop(group, None)
                self._coordinators.pop(group, None)
                log.info("no_holders", group=group, error=type(error).__name__)

    async def _look_at(self, group: str, admin: Any) -> None:
        node = self._coordinators.get(group)
        if node is None:
            node = self._coordinators[group] = await admin.find_coordinator(group)
        # The client cannot read an answer about several groups.
        (answer,) = await admin.describe_consumer_groups([group], node)
        code, _, state, _, _, members, *_ = answer.groups[0]
        if code:
            raise for_code(code)
        stable = state == STABLE
        self.of[group] = _holders(members, self.groups[group]) if stable else {}


def _holders(
    members: Iterable[tuple[Any, ...]], topic: str
) -> dict[int, PartitionHolder]:
    holders = {}
    for member, client, host, _, assignment, *_ in members:
        if not assignment:
            continue
        for tp in ConsumerProtocol.ASSIGNMENT.decode(assignment).partitions():
            if tp.topic == topic:
                holders[tp.partition] = PartitionHolder(
                    member, client, host.lstrip("/")
                )
    return holders

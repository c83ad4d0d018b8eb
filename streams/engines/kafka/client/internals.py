"""Every name that aiokafka keeps private and that is used here, in this module alone.

A renamed one ends the process at its start, or at its first use: none is asked for with
a default. docs/testing.md lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.consumer.group_coordinator import GroupCoordinator

if TYPE_CHECKING:
    from aiokafka import TopicPartition
    from aiokafka.structs import OffsetAndMetadata


class RenamedError(RuntimeError):
    """This version of aiokafka lacks a name that is needed."""


def member_id(consumer: Any) -> str:
    """Id of a consumer in its group; empty outside of one, and before it joined.

    Nothing public tells it.
    """
    found = consumer._coordinator  # noqa: SLF001 - as above
    return str(found.member_id) if isinstance(found, GroupCoordinator) else ""


async def committed(consumer: Any, tp: TopicPartition) -> OffsetAndMetadata | None:
    """Place that a group committed, with its note, which `committed` hides."""
    found = await consumer._coordinator.fetch_committed_offsets([tp])  # noqa: SLF001
    place: OffsetAndMetadata | None = found.get(tp)
    return place


async def beat(consumer: Any) -> bool:
    """Whether the group counts a consumer in now; it beats by itself otherwise."""
    coordinator = consumer._coordinator  # noqa: SLF001 - as above
    await coordinator.ensure_coordinator_known()
    counted: bool = await coordinator._do_heartbeat()  # noqa: SLF001 - as above
    return counted


def leave_on_stop(consumer: Any) -> None:
    """Have a member with a stable name leave its group as it stops.

    It would keep its place until its session is over.

    Raises:
        RenamedError: it would be set where nobody reads it.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 - as above
    if not hasattr(coordinator, "_group_instance_id"):
        raise RenamedError("aiokafka: _group_instance_id is gone: pin it below")
    coordinator._group_instance_id = None  # noqa: SLF001 - as above


def limit_requests(producer: Any, milliseconds: int) -> None:
    """Set after which time a producer gives up each request.

    The client has one setting for a request and for how long a batch is sent again.

    Raises:
        RenamedError: it would be set where nobody reads it.
    """
    sender = producer._sender  # noqa: SLF001 - as above
    for part in (producer.client, sender):
        if not hasattr(part, "_request_timeout_ms"):
            raise RenamedError("aiokafka: _request_timeout_ms is gone: pin it below")
        part._request_timeout_ms = milliseconds  # noqa: SLF001 - as above

"""Small bodies under keys, durable beside the log of facts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import quote

# Kinds; they name what lies in the file or in the topic, so they never change.
ACKNOWLEDGEMENT: Final = "acknowledgement"
ASKED: Final = "asked"
CONTAINMENT: Final = "containment"
CURSOR: Final = "cursor"
ENDING: Final = "ending"
ENDING_CAUSE: Final = "ending_cause"
ENDING_ORDER: Final = "ending_order"
ENDING_QUESTION: Final = "ending_question"
HEALTH: Final = "health"
ORDER_PART: Final = "order_part"
PENDING: Final = "pending"
PLACE: Final = "place"
PLAN: Final = "plan"
PLAN_CLAIM: Final = "plan_claim"
PLAN_PART: Final = "plan_part"
SCHEDULE: Final = "schedule"
SCHEDULE_CANCEL: Final = "schedule_cancel"
SCHEDULE_CLAIM: Final = "schedule_claim"
SCIM: Final = "scim"
SILENCE: Final = "silence"
STATUS_ENTRY: Final = "status_entry"
STATUS_LIST: Final = "status_list"

Heard = Callable[[str, bytes | None], None]  # a name and its body; None: forgotten


class Put(NamedTuple):
    """A body to be kept under a kind and a name; None forgets it."""

    kind: str
    name: str
    body: bytes | None


class KeyedStore(ABC):
    """The last body of each kind and name of one realm.

    Durability: what `put` or `forget` returned from outlives the process and its
    machine. Order: of two writes of one key, awaited one after the other, the later one
    stands, after a restart too. Idempotence: a repeated write changes nothing.
    Reads are of memory: they hold all that this process wrote once a `catch_up` after
    it has returned, and by then also what any other process had written.
    """

    def __init__(self) -> None:
        self._bodies: dict[str, dict[str, bytes]] = {}
        self._followers: dict[str, list[Heard]] = {}

    def items(self, kind: str) -> dict[str, bytes]:
        """Names and bodies of a kind, as heard so far."""
        return dict(self._bodies.get(kind, ()))

    def get(self, kind: str, name: str) -> bytes | None:
        """Body as heard so far; None: there is none."""
        return self._bodies.get(kind, {}).get(name)

    def follow(self, kind: str, heard: Heard) -> None:
        """Report all that is there, and from now on each write, in order.

        Args:
            kind: of the bodies.
            heard: called in the event loop that runs now.
        """
        for name, body in self.items(kind).items():
            heard(name, body)
        self._followers.setdefault(kind, []).append(heard)

    @abstractmethod
    async def catch_up(self) -> None:
        """Wait until all is heard that is durable now, whoever wrote it.

        Raises:
            NotWrittenError: how far that is cannot be told now.
        """

    @abstractmethod
    async def put(
        self, kind: str, name: str, body: bytes | None, *, patient: bool = False
    ) -> None:
        """Keep a body (JSON); returns once that is durable.

        Args:
            kind: of the body.
            name: of the body in its kind.
            body: replaces the one before; None forgets it.
            patient: wait while the backend takes nothing, instead of raising.

        Raises:
            NotWrittenError: it is not durable; it may become so nevertheless.
        """

    async def forget(self, kind: str, name: str) -> None:
        """Keep a body no longer, as `put` does."""
        await self.put(kind, name, None)

    def _hear(self, kind: str, name: str, body: bytes | None) -> None:
        bodies = self._bodies.setdefault(kind, {})
        if body is None:
            bodies.pop(name, None)
        else:
            # Copied: orjson leaves 4 KiB behind what it makes.
            bodies[name] = bytes(memoryview(body))
        for heard in self._followers.get(kind, ()):
            heard(name, body)


def part(text: str) -> str:
    """Text as one part of a name, whatever stands in it."""
    return quote(text, safe="")


def under(owner: str, name: str) -> str:
    """Name of what one process of a realm keeps for itself; "" is the only one."""
    return f"{part(owner)}/{name}" if owner else name

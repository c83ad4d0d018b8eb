"""What the delivery of alerts asks of an engine: findings in, and its state kept.

A finding is durable before it is told, and stays with the engine until a saved state
owes it or has it delivered; so a crash repeats alerts and loses none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import Factory, frozen

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping, Sequence

    from streams.stages.notify.deliveries import Dead, Delivery
    from streams.stages.notify.notify import FindingChange
    from streams.stages.notify.state import Buried, DeliveryState


@frozen(kw_only=True)
class TakenFindings:
    """Changes of findings to take in.

    Attributes:
        changes: in their order, what is urgent first.
        about: findings to `DeliveryPort.recall`, also where their change is saved.
        took: where the engine is once they are saved; None: where it was.
        more: others wait behind them.
        anew: what was saved, where what is in memory is of no use any more.
    """

    changes: Sequence[FindingChange] = ()
    about: Iterable[str] = ()
    took: Any = None
    more: bool = False
    anew: DeliveryState | None = None


@frozen(kw_only=True)
class DeliveryChange:
    """What leads to a state, which is saved with it.

    Attributes:
        put: key to row, as `streams.stages.notify.state.differing` gives them.
        dropped: keys of rows.
        dead: deliveries that were given up, for the dead letters.
        at: when that was (ns).
        took: as in `TakenFindings`, of the step that takes them in.
        state: owes what is still to be delivered.
        told: what is to be told changed, so others may be owed no more.
        ended: an attempt at it did.
    """

    put: Mapping[str, Mapping[str, Any]] = Factory(dict)
    dropped: Iterable[str] = ()
    dead: Sequence[Dead] = ()
    at: int = 0
    took: Any = None
    state: DeliveryState
    told: bool = False
    ended: Delivery | None = None


class DeliveryPort(Protocol):
    """Findings that changed, and the saved state of their deliveries.

    Attributes:
        news: set where there is work.
    """

    news: asyncio.Event

    async def next(self, most: int, few: int) -> TakenFindings:
        """Take the next changes, and at the start what was saved.

        Args:
            most: urgent ones.
            few: others, so that urgent ones are looked for again soon.
        """

    async def recall(self, findings: Iterable[str]) -> DeliveryState:
        """Bring back what is not in memory of findings, by all saves called before."""

    async def save(self, change: DeliveryChange) -> bool:
        """Save a change whole, or not at all; returns once that is durable.

        Changes become durable in the order of the calls, and a dead letter before its
        delivery is dropped. Then the engine may let go what the state does not owe.

        Returns:
            False where another process has by now what `next` gave last, and tells it.
        """

    async def buried(self, most: int) -> list[Buried]:
        """Messages given up that have not arrived since, the oldest first."""

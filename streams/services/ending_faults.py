"""What is wrong at issuers, told to the sentinel: one finding an issuer.

An issuer that says yes and does nothing, one that gives no answer for long, and what
was given up: each is told once, again when it changes, and is over by itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from streams.model.findings import FindingKind
from streams.model.times import SECOND
from streams.stages.ending.items import OPEN, EndingState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from streams.services.actuated_issuer import ActuatedIssuer
    from streams.services.ending_ports import EndingRecords
    from streams.stages.ending.items import EndingItem
    from streams.stages.ending.queue import EndingQueue

SHOWN: Final = 3
ANEW: Final = 5 * SECOND  # an issuer without an answer becomes a fault by the clock
STEP: Final = 255  # a mask: items looked at between two turns of others
KIND: Final = "rescind.actuator"
DENIED: Final = "says yes and does nothing"
UNANSWERED: Final = "gives no answer"
GIVEN_UP: Final = "did not end what is dead here"


@define(eq=False)
class IssuerFaults:
    """What was told of each issuer, and tells what changed."""

    _issuers: Mapping[str, ActuatedIssuer]
    _queue: EndingQueue
    _records: EndingRecords
    _clock: Callable[[], int]
    _told: dict[str, str] = field(factory=dict, init=False)
    _seen: tuple[int, int] = field(default=(-1, 0), init=False)

    async def tell(self) -> None:
        """Report what changed since.

        Raises:
            NotWrittenError: it is not told.
        """
        now = self._clock()
        if self._seen[0] == self._queue.version and now - self._seen[1] < ANEW:
            return
        version, wrong = self._queue.version, await self._wrong()
        changed = {
            name: wrong.get(name, "")
            for name in self._issuers
            if self._told.get(name) != wrong.get(name, "")
        }
        signals = [signal(name, text, now) for name, text in changed.items()]
        if signals:
            await self._records.tell(signals)
        self._told |= changed
        self._seen = version, now

    async def _wrong(self) -> dict[str, str]:
        """Say what is wrong, by issuer."""
        found: dict[tuple[str, str], list[EndingItem]] = {}
        for count, item in enumerate(self._queue.items()):
            if not count & STEP:
                await asyncio.sleep(0)
            for fault in self._faults(item):
                found.setdefault((item.actuator, fault), []).append(item)
        texts: dict[str, list[str]] = {}
        for (name, fault), items in sorted(found.items()):
            shown = ", ".join(str(each.identifier) for each in items[:SHOWN])
            more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
            texts.setdefault(name, []).append(f"it {fault}: {shown}{more}")
        return {name: "; ".join(parts) for name, parts in texts.items()}

    def _faults(self, item: EndingItem) -> Iterator[str]:
        if item.state is EndingState.FAILED:
            yield DENIED if item.denied else GIVEN_UP
        elif item.state in OPEN and item.denied:
            yield DENIED
        elif item.state in OPEN and item.unanswered is not None:
            limit = self._issuers[item.actuator].settings.unreachable_seconds
            if self._clock() - item.unanswered >= limit * SECOND:
                yield UNANSWERED


def signal(name: str, text: str, now: int) -> dict[str, Any]:
    """Signal for the finding on an issuer; without a text it is over."""
    return {
        "kind": FindingKind.NOT_ENDED_AT_ISSUER.value,
        "presented": [KIND, name],
        "at": now,
        "event_ids": [],
        "detail": text,
        "over": not text,
    }

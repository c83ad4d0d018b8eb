"""The guards of one realm as their receipts on Kafka tell of them.

Nobody can be refused there, so two processes of one name are told apart: while both
are heard neither speaks for the other, nothing that they say counts, and the name is
fenced at best. A restart looks the same until the process before is silent for ten
leases, or said goodbye.

Of a guard the topic may hold nothing but its last receipt. Whoever has applied
something was registered before, so it is a member of everything.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs
from attrs import define

from streams.stages.closure import SILENCE, Closure, Mode

if TYPE_CHECKING:
    from streams.kafka.receipts import Receipt
    from streams.stages.closure import Registration

WEAKEST_FIRST = (Mode.FAIL_OPEN, Mode.FAIL_CLOSED, Mode.OBSERVE)


@define(eq=False)
class Speaker:
    """A process that speaks under a guard's name.

    Attributes:
        sequence: of its last receipt; an older one was sent before.
        heard: when that came in (ns, closure's clock).
    """

    terms: Registration
    sequence: int
    heard: int


class LogRoll:
    """Who is registered, and in whose name who speaks.

    Attributes:
        closure: the stage; it counts receipts by their offsets.
        refused: receipts that could not be used, by reason.
    """

    def __init__(self, genesis: str, deadline: int, refused: Counter[str]) -> None:
        """Start with nobody.

        Args:
            genesis: of the log that receipts must speak of.
            deadline: of a cause (ns).
            refused: counted here.
        """
        self.closure = Closure(deadline)
        self.refused = refused
        self._genesis = genesis
        self._speakers: dict[str, dict[str, Speaker]] = {}

    def take(self, offset: int, receipt: Receipt, now: int) -> None:
        """Take a receipt.

        Args:
            offset: where it lies; they come in order.
            receipt: as it was read.
            now: ns of a clock that nobody sets.
        """
        self.closure.receipts = offset
        if not receipt.proven:
            self.refused["unproven"] += 1
        if receipt.status == "goodbye":
            self._goodbye(receipt)
        elif self._is_news(receipt, now):
            self._hear(receipt, now)
        self.closure.receipts = offset + 1

    def leave(self, guard: str) -> bool:
        """Let a guard go on an operator's word; tell whether it was a member."""
        self._speakers.pop(guard, None)
        known = guard in self.closure.guards
        at = self.closure.receipts
        self.closure.leave(guard)
        self.closure.receipts = at
        return known

    def expire(self, now: int) -> list[str]:
        """Let those go that were silent for too long, and name them."""
        gone = self.closure.expire(now)
        for guard in gone:
            self._speakers.pop(guard, None)
        return gone

    def _is_news(self, receipt: Receipt, now: int) -> bool:
        """Take note of who speaks; tell whether it was not said before."""
        speakers = self._speakers.setdefault(receipt.terms.guard, {})
        speaker = speakers.get(receipt.instance)
        if speaker is None:
            speakers[receipt.instance] = Speaker(receipt.terms, 0, now)
            speaker = speakers[receipt.instance]
        if receipt.sequence <= speaker.sequence:
            self.refused["repeated"] += 1
            return False
        speaker.heard = now
        if receipt.proven:  # else anybody could have the guard's own ones passed over
            speaker.sequence = receipt.sequence
        return True

    def _hear(self, receipt: Receipt, now: int) -> None:
        guard, closure = receipt.terms.guard, self.closure
        speakers = self._speakers[guard]
        for instance, other in list(speakers.items()):
            if now - other.heard >= SILENCE * other.terms.lease:
                del speakers[instance]
        modes = {each.terms.mode for each in speakers.values()}
        mode = next(each for each in WEAKEST_FIRST if each in modes)
        terms = attrs.evolve(receipt.terms, mode=mode)
        known = closure.guards.get(guard)
        first = receipt.status == "registered" and receipt.sequence == 1
        if known is None or first or not _covers(known.terms, terms):
            at = closure.receipts
            member = closure.register(terms, now)
            closure.receipts = at
            if known is None and not first:
                member.since = 0  # its registration was compacted away
        member = closure.guards[guard]
        member.heard = now
        if receipt.status != "applied" or not receipt.proven:
            return
        if len(speakers) > 1:
            self.refused["name_in_use"] += 1
        elif receipt.genesis != self._genesis:
            self.refused["other_log"] += 1
        else:
            closure.apply(guard, receipt.applied, now)

    def _goodbye(self, receipt: Receipt) -> None:
        guard = receipt.terms.guard
        speakers = self._speakers.get(guard, {})
        speaker = speakers.get(receipt.instance)
        if not receipt.proven or speaker is None:
            return
        if receipt.sequence <= speaker.sequence:
            self.refused["repeated"] += 1
            return
        del speakers[receipt.instance]
        if not speakers:
            self.leave(guard)


def _covers(known: Registration, terms: Registration) -> bool:
    """Tell whether terms ask for nothing that is not known."""
    return (
        known.mode is terms.mode
        and known.lease >= terms.lease
        and known.live_sessions >= terms.live_sessions
    )

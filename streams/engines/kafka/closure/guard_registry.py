"""The guards of one realm as their receipts on Kafka tell of them.

Nobody can be refused there, so two processes of one name are told apart: while both
are heard neither speaks for the other, nothing that they say counts, and the name is
fenced at best. A restart looks the same until the process before is silent for ten
leases, or said goodbye.

Of a guard the topic may hold nothing but its last receipt. Whoever has applied
something was registered before, so it is a member of everything.

What is not signed as it must be may come from the guard, with a wrong key, or from
somebody else. So it makes a member of its own, that can be fenced and nothing more, and
what the guard itself says counts as if nobody else had spoken.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import attrs
from attrs import define

from streams.engines.kafka.records.receipts import UNPROVEN
from streams.model.times import SECOND
from streams.stages.closure.closure import SILENCE, Closure, GuardMode
from streams.stages.closure.results import GuardRefusals

if TYPE_CHECKING:
    from streams.engines.kafka.records.receipts import GuardReceipt
    from streams.stages.closure.closure import Registration

CEILING: Final = 60 * SECOND
MOST_GUARDS: Final = 5000
WRITER: Final = "a writer of receipts"  # nobody knows its credential
UNSIGNED: Final = "a receipt is not signed with the key that guard_keys names"
TOO_LONG: Final = "its lease is above closure.max_lease, and counts as that long"
TOO_MANY: Final = "its key has {} guards: see closure.max_guards"
WEAKEST_FIRST = (GuardMode.FAIL_OPEN, GuardMode.FAIL_CLOSED, GuardMode.OBSERVE)


@define(eq=False)
class GuardProcess:
    """A process that speaks under a guard's name.

    Attributes:
        sequence: of its last receipt; an older one was sent before.
        heard: when that came in (ns, closure's clock).
    """

    terms: Registration
    sequence: int
    heard: int


class KafkaGuardRegistry:
    """Who is registered, and in whose name who speaks.

    Attributes:
        closure: the stage; it counts receipts by their offsets.
        refused: receipts that could not be used, by reason.
        refusals: of which no finding was made yet.
    """

    def __init__(
        self,
        genesis: str,
        deadline: int,
        refused: Counter[str],
        ceiling: int = CEILING,
        most: int = MOST_GUARDS,
    ) -> None:
        """Start with nobody.

        Args:
            genesis: of the log that receipts must speak of.
            deadline: of a cause (ns).
            refused: counted here.
            ceiling: of leases (ns).
            most: members of one key, or without any.
        """
        self.closure = Closure(deadline, ceiling)
        self.refused = refused
        self.refusals = GuardRefusals()
        self._ceiling = ceiling
        self._most = most
        self._entries: dict[str, str | None] = {}
        self._counts: Counter[str | None] = Counter()
        self._genesis = genesis
        self._speakers: dict[str, dict[str, GuardProcess]] = {}

    def take(self, offset: int, receipt: GuardReceipt, now: int) -> None:
        """Take a receipt.

        Args:
            offset: where it lies; they come in order.
            receipt: as it was read.
            now: ns of a clock that nobody sets.
        """
        self.closure.receipts = offset
        if not receipt.proven:
            self._refuse("unproven", receipt, UNSIGNED, now)
            guard = receipt.terms.guard + UNPROVEN
            terms = attrs.evolve(receipt.terms, guard=guard)
            receipt = attrs.evolve(receipt, terms=terms, entry=UNPROVEN)
        if receipt.status == "goodbye":
            self._goodbye(receipt)
        elif self._has_room(receipt, now) and self._is_news(receipt, now):
            self._hear(receipt, now)
        self.closure.receipts = offset + 1

    def entry(self, guard: str) -> str | None:
        """Entry of the keys that a member falls under."""
        return self._entries.get(guard)

    def _has_room(self, receipt: GuardReceipt, now: int) -> bool:
        """Whether a guard is a member, or one more may be of its key."""
        guard = receipt.terms.guard
        if guard in self._entries:
            return True
        if receipt.terms.lease > self._ceiling:
            self._refuse("lease_too_long", receipt, TOO_LONG, now)
        if self._counts[receipt.entry] >= self._most:
            why = TOO_MANY.format(self._most)
            self._refuse("too_many_names", receipt, why, now)
            return False
        self._counts[receipt.entry] += 1
        self._entries[guard] = receipt.entry
        return True

    def _forget(self, guard: str) -> None:
        self._speakers.pop(guard, None)
        if guard in self._entries:
            self._counts[self._entries.pop(guard)] -= 1

    def _refuse(self, reason: str, receipt: GuardReceipt, why: str, now: int) -> None:
        """Count what does not count, and have a finding made of it now and then."""
        self.refused[reason] += 1
        self.refusals.add(receipt.terms.guard, WRITER, why, now)

    def leave(self, guard: str) -> bool:
        """Let a guard go on an operator's word; tell whether it was a member."""
        self._forget(guard)
        at = self.closure.receipts
        known = self.closure.leave(guard)
        self.closure.receipts = at
        return known

    def expire(self, now: int) -> list[str]:
        """Let those go that were silent for too long, and name them."""
        gone = self.closure.expire(now)
        for guard in gone:
            self._forget(guard)
        return gone

    def _is_news(self, receipt: GuardReceipt, now: int) -> bool:
        """Take note of who speaks; tell whether it was not said before."""
        speakers = self._speakers.setdefault(receipt.terms.guard, {})
        speaker = speakers.get(receipt.instance)
        if speaker is None:
            speakers[receipt.instance] = GuardProcess(receipt.terms, 0, now)
            speaker = speakers[receipt.instance]
        if receipt.sequence <= speaker.sequence:
            self.refused["repeated"] += 1
            return False
        speaker.heard = now
        if receipt.proven:  # else anybody could have the guard's own ones passed over
            speaker.sequence = receipt.sequence
        return True

    def _hear(self, receipt: GuardReceipt, now: int) -> None:
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
        if receipt.proven and receipt.genesis:
            member.trial = None  # what it applied once stands in each of its receipts
        if receipt.status != "applied" or not receipt.proven:
            return
        if len(speakers) > 1:
            self.refused["name_in_use"] += 1
        elif receipt.genesis != self._genesis:
            self.refused["other_log"] += 1
        else:
            closure.apply(guard, receipt.applied, now)

    def _goodbye(self, receipt: GuardReceipt) -> None:
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
    """Whether terms ask for nothing that is not known."""
    return (
        known.mode is terms.mode
        and known.lease >= terms.lease
        and known.live_sessions >= terms.live_sessions
    )

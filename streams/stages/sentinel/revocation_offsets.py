"""From which offset on the log tells that an identifier is dead.

An enforcement point that applied the cause may still lack the edge or the alias that
ties a credential to it: then it could not know. So what counts is not where the cause
lies but where the last fact lies that made the credential dead. Whenever facts condemn
identifiers they are listed (`streams.stages.registry.cascade`), so the first listing
of an identifier under a cause bounds that offset from above. Of old ones only the
bound of all is kept: it claims less than is true, never more.

An owner who came may have made a credential live again, and one who went may have ended
it anew by the same cause; so does a lift that is taken back. So what is said last of
the owners of anything on the way to the cause counts too.
"""

from __future__ import annotations

from operator import itemgetter
from sys import intern
from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.facts import (
    Cause,
    Effect,
    Fact,
    LabelSet,
    OwnerSet,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import Identifier
from agents_registry.parts import PartedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from agents_registry.death import Death

MOST: Final = 100_000  # pairs of identifier and cause
AT_ONCE: Final = 256  # that are forgotten, in less than a millisecond
TURNS: Final = frozenset(
    {OwnerSet, LabelSet, Withdraw}
)  # they may let a credential live again
# Of these the cause alone decides, where it names the identifier itself.
_PLAIN: Final = frozenset({Effect.REVOKE, Effect.SUSPEND})


class Accepted(NamedTuple):
    """A cause in the log.

    Attributes:
        at: when its earliest copy was accepted (ns).
        offset: of that copy.
        actor: whoever ended it, as a copy tells.
        authority: that said so.
        reason: why, as a copy tells.
        event_id: the source's id of the event.
    """

    at: int
    offset: int
    actor: str | None = None
    authority: str | None = None
    reason: str | None = None
    event_id: str | None = None

    def interned(self) -> Accepted:
        """Share the texts: few people end most of what is ended, for few reasons."""
        at, offset, actor, authority, reason, event_id = self
        actor, reason = actor and intern(actor), reason and intern(reason)
        authority = authority and intern(authority)
        return Accepted(at, offset, actor, authority, reason, event_id)


class Turns(NamedTuple):
    """Where something was said last that may let a credential live, or end it.

    Attributes:
        floor: whatever is forgotten of them lies below it.
        rebuilt: end of the log when something was taken back last.
        turned: kind and value of a name, and the offset behind the last fact on it.
    """

    floor: int
    rebuilt: int
    turned: list[tuple[str, str, int]]


class RevocationOffsets:
    """What was listed, and below which offset all that is forgotten lies."""

    def __init__(self, floor: int = 0, most: int = MOST) -> None:
        """Start with nothing listed.

        Args:
            floor: what was listed before is known below this offset.
            most: pairs to keep.
        """
        self._floor = floor
        self._rebuilt = 0
        self._most = most
        self._at_once = min(AT_ONCE, most // 2)
        self._first: PartedDict[tuple[Identifier, str], int] = PartedDict()
        self._last: PartedDict[Identifier, int] = PartedDict()
        self._turned: PartedDict[Identifier, int] = PartedDict()
        self._turned_count = 0  # how many they are
        self._turned_floor = 0

    def __len__(self) -> int:
        """Return the number of pairs that are kept."""
        return len(self._first)

    def turn(self, fact: Fact, offset: int) -> None:
        """Note where something was said that may let a credential live, or end it."""
        if isinstance(fact, OwnerSet | LabelSet | Withdraw):
            name = fact.target if isinstance(fact, Withdraw) else fact.node
            # The latest stand last.
            self._turned_count += self._turned.pop(name, None) is None
            self._turned[name] = offset + 1
            if self._turned_count > self._most:
                for old in self._turned.oldest(self._at_once):
                    floor = self._turned.pop(old)
                    self._turned_floor = max(self._turned_floor, floor)
                    self._turned_count -= 1

    def turns(self) -> Turns:
        """Return what `turn` and `rebuilt` noted, as plain values."""
        turned = [(*name, offset) for name, offset in self._turned.items()]
        return Turns(self._turned_floor, self._rebuilt, turned)

    def restore_turns(self, turns: Turns) -> None:
        """Take up what `turns` gave."""
        self._turned_floor, self._rebuilt, turned = turns
        self._turned.clear()
        for kind, of, offset in sorted(turned, key=itemgetter(2)):
            self._turned[Identifier(kind, of)] = offset
        self._turned_count = len(self._turned)

    def note(self, found: Iterable[tuple[Identifier, str]], as_of: int) -> None:
        """Take in what facts condemned.

        Args:
            found: identifiers, each with the id of the cause that it is dead by.
            as_of: every fact below this offset was in the table by then.
        """
        for identifier, cause in found:
            self._first.setdefault((identifier, cause), as_of)
            self._last[identifier] = as_of
        if (more := len(self._first) - self._most) > 0:
            # To look for the oldest one each time would take as long as for some.
            for pair in self._first.oldest(max(more, self._at_once)):
                last = self._last.pop(pair[0], 0)
                self._floor = max(self._floor, last, self._first.pop(pair))

    def restore(self, pairs: Iterable[tuple[Identifier, str, int]], end: int) -> None:
        """Take back what was saved of the listings.

        Args:
            pairs: identifier, cause and the offset of the first listing, in order.
            end: of the log: later listings of the same identifiers are not known.
        """
        for identifier, cause, as_of in pairs:
            self._first.setdefault((identifier, cause), as_of)
        self.begin(end)

    def begin(self, end: int) -> None:
        """Know of no listing below an offset any more than what is kept."""
        self._floor = max(self._floor, end)

    def rebuilt(self, end: int) -> None:
        """Forget all: something was taken back, so the dead of now may be others."""
        self._first.clear()
        self._last.clear()
        self._floor = self._rebuilt = end

    def as_of(self, why: Death, accepted: Accepted | None) -> int:
        """Offset below which everything is that makes a credential dead.

        It may be given too high, never too low.

        Args:
            why: by which cause it is dead, and over which path.
            accepted: that cause in the log, where it is known.
        """
        cause, identifier = why.cause, why.path[0]
        turned = (self._turned.get(name, self._turned_floor) for name in why.path)
        latest = max(self._rebuilt, *turned)
        if len(why.path) == 1 and cause.effect in _PLAIN and accepted is not None:
            return max(accepted.offset + 1, latest)
        first = self._first.get((identifier, cause.fact_id))
        if first is None:
            # Listed under another cause then, or so long ago that it is forgotten.
            first = max(self._last.get(identifier, 0), self._floor)
        return max(first, latest)


def note_acceptance(
    accepted: MutableMapping[str, Accepted], fact: Fact, offset: int
) -> None:
    """Remember when and where a cause was accepted; the earliest copy counts."""
    if isinstance(fact, Cause):
        identity = fact_id(fact).hex()
        at, actor, reason = fact.received_at, fact.actor, fact.reason
        known = accepted.get(identity)
        if known is not None:
            at, offset = min(known.at, at), min(known.offset, offset)
            actor, reason = known.actor or actor, known.reason or reason
        told = Accepted(at, offset, actor, fact.authority, reason, fact.event_id)
        accepted[identity] = told.interned()

"""One realm of a partition of ``facts``: its table, and what goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, define

from agents_registry.facts import Cause
from agents_registry.parts import PartedDict
from streams.stages.registry.registry import dead
from streams.stages.sentinel.issue_recheck import tells_issue
from streams.stages.sentinel.liveness_index import LivenessIndex
from streams.stages.sentinel.revocation_offsets import (
    TURNS,
    RevocationOffsets,
    note_acceptance,
)
from streams.stages.sentinel.scope_recheck import limited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from streams.stages.registry.cascade import Cascade
    from streams.stages.registry.registry import Condemned
    from streams.stages.sentinel.revocation_offsets import Accepted


@define
class Realm:
    """The state of one realm.

    Attributes:
        accepted: id of a cause to its earliest copy in the log.
        known: from where on the log tells of the dead.
        bits: of the table, where somebody asked for them.
        heard: is told of each fact, once it is merged.
        late: facts by which earlier uses may be judged otherwise, though nothing is
            listed for them; where somebody asked for these.
    """

    cascade: Cascade
    accepted: PartedDict[str, Accepted] = Factory(PartedDict)
    known: RevocationOffsets = Factory(RevocationOffsets)
    bits: LivenessIndex | None = None
    heard: Callable[[Fact], None] | None = None
    late: list[Fact] | None = None

    def dead_bits(self) -> LivenessIndex:
        """Liveness index of the table as it is now."""
        if self.bits is None or self.bits.registry is not self.cascade.registry:
            self.bits = LivenessIndex(self.cascade.registry)
        return self.bits

    def take_late(self) -> list[Fact]:
        """Facts noted since the last call; they are noted from the first call on."""
        facts, self.late = self.late or [], []
        return facts

    def note_dead(
        self, found: Iterable[Condemned], as_of: int
    ) -> list[tuple[Identifier, str]]:
        """Note which of a slice are dead; give them, each with the id of its cause.

        Args:
            found: of the slice.
            as_of: every fact below this offset is in the table.
        """
        pairs = [(name, why.cause.fact_id) for name, why in dead(found)]
        self.known.note(pairs, as_of)
        return pairs

    def apply(self, fact: Fact, offset: int) -> None:
        """Merge a fact."""
        self.cascade.apply(fact)
        if type(fact) in TURNS:
            self.known.turn(fact, offset)
        if self.heard is not None:
            self.heard(fact)
        if self.bits is not None:
            self.bits.note(fact)
        if self.late is not None and (limited(fact) or tells_issue(fact)):
            self.late.append(fact)
        if isinstance(fact, Cause):
            note_acceptance(self.accepted, fact, offset)

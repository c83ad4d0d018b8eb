"""Kept verdicts: the last one of a presentation, for who presents that object again.

It is kept by the object that was presented, not by the table: so one look finds it, and
it takes memory as long as somebody holds that object. A verdict stands while

- the *seals* of all nodes that were presented stand. A fact that touches what a node
  hangs on ends its seal, as it undoes what else is known of the node;
- the *era* of the seals lasts: no other table was put in the place of theirs, no
  generation began, its answers were not dropped;
- the clock is within the span of time for which it was found out.

A table has a bounded number of seals, more where it has many names. Those that are
there stay, until very many others were asked for in vain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.verdict import Judgement

NO_SCOPE: Final = object()  # was asked for
LEAST_SEALS: Final = 1 << 15  # of a table, some 110 bytes each
MOST_SEALS: Final = 1 << 17  # to leave them all takes some milliseconds
NAMES_A_SEAL: Final = 4
MOST_REFUSED: Final = 1 << 20  # until all are ended
LOOKED_AT: Final = 64  # of those that are refused one: whether there may be more seals
LONGEST_PATH: Final = 128  # names of a verdict that is kept


class Seal:
    """Stands for a node until a fact touches what that hangs on.

    Attributes:
        era: in which it stands; None once a fact did.
    """

    __slots__ = ("era",)

    def __init__(self, era: object) -> None:
        """Stand in an era."""
        self.era = era


class JointSeal:
    """Seals that stand for several nodes."""

    __slots__ = ("_seals",)

    def __init__(self, seals: tuple[Seal, ...]) -> None:
        """Join some."""
        self._seals = seals

    @property
    def era(self) -> object:
        """In which all stand."""
        first = self._seals[0].era
        return first if all(seal.era is first for seal in self._seals) else None


# What was found out of one presentation. Its parts:
# - the seal of the first node;
# - that of all others; of the same one where it is alone;
# - the first time at which the verdict is the same (ns);
# - the first time after which it may be another one (ns);
# - the scope that was asked for, or NO_SCOPE; None where the verdict is the same for
#   each;
# - the verdict, which is the same whatever the policy.
# A plain tuple: to take one with names apart takes thrice the time.
KeptVerdict: TypeAlias = "tuple[Seal, Seal | JointSeal, int, int, object, Judgement]"
_NOTHING: Any = None
_ENDED: Final = Seal(None)
NOT_KEPT: Final[KeptVerdict] = (_ENDED, _ENDED, 0, 0, None, _NOTHING)


def joined(seals: tuple[Seal, ...]) -> Seal | JointSeal:
    """Return what stands while all of some seals do, one at least."""
    return seals[0] if len(seals) == 1 else JointSeal(seals)


class Seals:
    """The seals of a table, by node.

    Attributes:
        refused: how many were asked for in vain.
    """

    def __init__(self, era: object) -> None:
        """Start with none; all will stand in an era."""
        self._era = era
        self._by_node: dict[int, Seal] = {}
        self._most = LEAST_SEALS
        self.refused = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._by_node)

    def takes(self, node: int) -> bool:
        """Whether there is a seal of a node, or room for one."""
        if len(self._by_node) < self._most or node in self._by_node:
            return True
        if not self.refused % LOOKED_AT:
            # Nodes are numbered: there are more names than that.
            self._most = max(self._most, min(MOST_SEALS, node // NAMES_A_SEAL))
        self.refused += 1
        return False

    def of(self, nodes: Iterable[int]) -> tuple[Seal, ...] | None:
        """Return the seals of nodes; None where there would be too many."""
        by_node, seals = self._by_node, []
        for node in nodes:
            seal = by_node.get(node)
            if seal is None:
                if not self.takes(node):
                    return None
                seal = by_node[node] = Seal(self._era)
            seals.append(seal)
        return tuple(seals)

    def end(self, nodes: Iterable[int]) -> None:
        """End those of some nodes."""
        if not self._by_node:
            return
        for node in nodes:
            seal = self._by_node.pop(node, None)
            if seal is not None:
                seal.era = None

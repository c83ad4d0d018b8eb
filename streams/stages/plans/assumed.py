"""The table as it would be with some causes that nobody has said yet.

It shares all but the causes and the flags of nodes with the table that it is made of,
which stays as it is. Both are judged by the same rules. It is to be used before facts
are merged into the other one.
"""

from __future__ import annotations

from copy import copy
from itertools import chain
from typing import TYPE_CHECKING

from agents_registry.cause_rows import RecordedCause
from agents_registry.causes import CauseBook
from agents_registry.clearance import Clearance
from agents_registry.facts import fact_id
from agents_registry.identifiers import owner_in
from agents_registry.lineage import CAUSED, NONE
from agents_registry.parts import PartedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.facts import Cause
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps


class AssumedCauses(CauseBook):
    """The causes of a book, and some more."""

    def __init__(self, book: CauseBook) -> None:
        super().__init__()
        self._book = book

    def on(self, node: int) -> Iterator[RecordedCause]:
        """Yield the causes that name this very identifier."""
        return chain(self._book.on(node), super().on(node))

    def standing(self, node: int) -> Iterator[RecordedCause]:
        """Yield what `on` does, without most of what a lift has ended."""
        return chain(self._book.standing(node), super().on(node))

    def in_force(
        self,
        cause: RecordedCause,
        at: int | None = None,
        *,
        inclusive: bool = False,
        now: int | None = None,
    ) -> bool:
        """Whether a cause counts, by the lifts that were said."""
        return self._book.in_force(cause, at, inclusive=inclusive, now=now)


def assuming(registry: Registry, causes: Iterable[Cause]) -> Steps[Registry]:
    """Make the table as it would be with some causes.

    What no fact names stays unknown: nothing hangs on it yet.
    """
    assumed = copy(registry)
    assumed.lineage = copy(registry.lineage)
    assumed.lineage.flags = bytearray(registry.lineage.flags)
    assumed.causes = AssumedCauses(registry.causes)
    assumed.clearance = Clearance(assumed.lineage, registry.owned)
    assumed.selecting = PartedDict(registry.selecting)
    assumed.selected = PartedDict(registry.selected)
    for cause in causes:
        yield
        if registry.stands(cause):
            _assume(assumed, cause)
    return assumed


def _assume(assumed: Registry, cause: Cause) -> None:
    """Add a cause, but no name: names are shared with the other table.

    That of what an owner has may be a name that no table has yet: it gets a number
    behind all names.
    """
    lineage = assumed.lineage
    node, carrier = lineage.find(cause.target), NONE
    if (owner := owner_in(cause.target)) is not None:
        carrier = lineage.find(owner)
        if carrier == NONE:
            return
        free = lineage.count + len(assumed.selecting)
        node = assumed.selecting.setdefault(carrier, free if node == NONE else node)
        assumed.selected[node] = carrier
    if node == NONE:
        return
    assumed.causes.add(RecordedCause.read(fact_id(cause), node, cause))
    lineage.flags[node if carrier == NONE else carrier] |= CAUSED

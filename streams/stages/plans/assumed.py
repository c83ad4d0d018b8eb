"""The table as it would be with some causes that nobody has said yet.

It shares all but the causes and the flags of nodes with the table that it is made of,
which stays as it is. Both are judged by the same rules. It is to be used before facts
are merged into the other one.
"""

from __future__ import annotations

from copy import copy
from itertools import chain
from typing import TYPE_CHECKING

from agents_registry.causes import CauseBook
from agents_registry.clearance import Clearance
from agents_registry.lineage import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.cause_rows import RecordedCause
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
    for cause in causes:
        yield
        if registry.lineage.find(cause.target) != NONE:
            assumed.apply(cause)
    return assumed

"""Which remembered uses to judge again, since a fact told late how old a name is.

What is presented together is as old as the oldest of its credentials. So a credential
that turns out to be older may make a use one of something dead, by a ``not_before`` on
another name of that use: nothing that the credential itself hangs on was ended.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, TypeGuard

import numpy as np

from agents_registry.facts import Node
from streams.stages.access.columns import U64, prints_of

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers
    from streams.stages.access.index import AccessIndex
    from streams.stages.access.segment import Segment

AT_ONCE: Final = 1000  # names looked up in one step
PIECES: Final = 15  # a mask: pieces searched between two yields


def tells_issue(fact: Fact) -> TypeGuard[Node]:
    """Whether a fact may make a credential older."""
    return isinstance(fact, Node) and fact.issued_at is not None


class IssueRecheck:
    """Names that uses are still to be looked up of."""

    def __init__(self, uses: AccessIndex) -> None:
        """Start with nothing, of all the uses that are remembered."""
        self._uses = uses
        self._names: dict[Identifier, None] = {}

    def note(self, name: Identifier) -> None:
        """Have the uses looked up that presented a name."""
        if self._uses:
            self._names[name] = None

    @property
    def waiting(self) -> bool:
        """Whether there may be more to look up."""
        return bool(self._names)

    def step(self, registry: Registry) -> Steps[list[tuple[Segment, Numbers]]]:
        """Next uses that presented one of the names beside others."""
        names = list(islice(self._names, AT_ONCE))
        for name in names:
            del self._names[name]
        if not registry.causes.marked:
            return []
        prints = []
        for name in names:
            yield
            prints.append(prints_of(name)[0])
        wanted = np.unique(np.array(prints, U64))
        found = []
        for count, piece in enumerate(self._uses):
            if not count & PIECES:
                yield
            rows = piece.find(wanted)
            rows = rows[piece.lines.names[rows] > 1]
            if len(rows):
                found.append((piece, rows))
        return found

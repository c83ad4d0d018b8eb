"""Names whose uses are to be judged again, since a fact told late how old they are.

What is presented together is as old as the oldest of its credentials. So a credential
that turns out to be older may make a use one of something dead, by a ``not_before`` on
another name of that use: nothing that the credential itself hangs on was ended. Of too
many names, and after a start, all remembered uses are judged again.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, TypeGuard

from agents_registry.facts import Node

if TYPE_CHECKING:
    from collections.abc import Sized

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry

AT_ONCE: Final = 1000  # names looked up in one step
MOST: Final = 100_000  # names that wait


def tells_issue(fact: Fact) -> TypeGuard[Node]:
    """Whether a fact may make a credential older."""
    return isinstance(fact, Node) and fact.issued_at is not None


class IssueRecheck:
    """The names that wait."""

    def __init__(self, uses: Sized) -> None:
        """Start with none, of all the uses that are remembered."""
        self._uses = uses
        self._everything = False
        self._names: dict[Identifier, None] = {}

    def note(self, name: Identifier) -> None:
        """Have the uses judged again that presented a name."""
        if self._uses and not self._everything:
            self._names[name] = None
            if len(self._names) > MOST:
                self.note_all()

    def note_all(self) -> None:
        """Have all uses judged again."""
        self._everything = bool(self._uses)
        self._names.clear()

    @property
    def waiting(self) -> bool:
        """Whether there are uses to be judged again."""
        return self._everything or bool(self._names)

    def take(self, registry: Registry) -> list[Identifier] | None:
        """Take the next names; None stands for all. Without a ``not_before``, none."""
        everything, self._everything = self._everything, False
        if not registry.causes.marked:
            self._names.clear()
            return []
        if everything:
            return None
        names = list(islice(self._names, AT_ONCE))
        for name in names:
            del self._names[name]
        return names

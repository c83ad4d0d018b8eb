"""Read what a caller presents: one identifier or several, as values or texts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Final, TypeAlias

from agents_registry.identifiers import Identifier
from agents_registry.presentation import MOST_IDENTIFIERS, NOWHERE, Presented

Names: TypeAlias = Identifier | str | Iterable[Identifier | str]
PATIENCE: Final = 32  # times so many other names, until those that stay are forgotten
ONE: Final = {Identifier, str}  # types of a single name
PREPARED: Final = 4_096  # presentations of one name, for those that come again


def read_presented(presented: Presented | Names) -> Presented | None:
    """Presentation that values or texts name; None: no identifier, or too many."""
    if isinstance(presented, Presented):
        # What was found is bounded: nothing else is noted.
        is_read = presented.found is not NOWHERE or presented.is_bounded()
        return presented if is_read else None
    try:
        if isinstance(presented, (Identifier, str)):
            return _alone(presented)
        names = tuple(map(_identifier, islice(presented, MOST_IDENTIFIERS + 1)))
    except (ValueError, AttributeError, TypeError):
        # What is not even a text comes from the token that was presented.
        return None
    return Presented(names) if len(names) <= MOST_IDENTIFIERS else None


class RecentNames:
    """What single names were read as, for who asks about the same ones again.

    Where there is no room left, those stay that are there, until many others came.

    Attributes:
        read: presentations by name.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.read: dict[object, Presented] = {}
        self._without_room = 0

    def note(self, name: Presented | Names) -> None:
        """Read a name that came again, where there is room."""
        if len(self.read) >= PREPARED:
            self._without_room += 1
            if self._without_room < PREPARED * PATIENCE:
                return
            self.read.clear()
            self._without_room = 0
        read = read_presented(name)
        if read is not None:
            self.read[name] = read


@lru_cache(PREPARED)
def _alone(name: Identifier | str) -> Presented:
    return Presented((_identifier(name),))


def _identifier(name: Identifier | str) -> Identifier:
    return name.checked() if isinstance(name, Identifier) else Identifier.parse(name)

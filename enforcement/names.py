"""Read what a caller presents: one identifier or several, as values or texts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TypeAlias

from agents_registry.identifiers import Identifier
from agents_registry.presentation import MOST_IDENTIFIERS, Presented

Names: TypeAlias = Identifier | str | Iterable[Identifier | str]


def read_presented(presented: Presented | Names) -> Presented | None:
    """Presentation that values or texts name; None: no identifier, or too many."""
    if isinstance(presented, Presented):
        return presented if presented.is_bounded() else None
    try:
        if isinstance(presented, (Identifier, str)):
            return Presented((_identifier(presented),))
        names = tuple(map(_identifier, islice(presented, MOST_IDENTIFIERS + 1)))
    except (ValueError, AttributeError, TypeError):
        # What is not even a text comes from the token that was presented.
        return None
    return Presented(names) if len(names) <= MOST_IDENTIFIERS else None


def _identifier(name: Identifier | str) -> Identifier:
    return name.checked() if isinstance(name, Identifier) else Identifier.parse(name)

"""Read what a caller presents: one identifier or several, as values or texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from agents_registry.identifiers import Identifier
from agents_registry.verdict import Presented

Names: TypeAlias = Identifier | str | Iterable[Identifier | str]


def read_presented(presented: Presented | Names) -> Presented | None:
    """Give what is presented; None when an identifier cannot be read."""
    if isinstance(presented, Presented):
        return presented
    try:
        if isinstance(presented, (Identifier, str)):
            return Presented((_identifier(presented),))
        return Presented(tuple(map(_identifier, presented)))
    except (ValueError, AttributeError, TypeError):
        # What is not even a text comes from the token that was presented.
        return None


def _identifier(name: Identifier | str) -> Identifier:
    return name.checked() if isinstance(name, Identifier) else Identifier.parse(name)

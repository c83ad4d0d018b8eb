"""Make a failing world small, and readable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agents_registry.facts import SECOND, Fact
from agents_registry.identifiers import Identifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.property.worlds import Question, World


def smaller(world: World, fails: Callable[[World], object]) -> World:
    """Take facts and questions away for as long as the world still fails."""
    for name in ("questions", "facts"):
        tried = True
        while tried:
            tried = False
            for i in range(len(getattr(world, name)) - 1, -1, -1):
                items = getattr(world, name)
                one = {name: items[:i] + items[i + 1 :]}
                candidate = attrs.evolve(world, **one)
                if fails(candidate):
                    world, tried = candidate, True
    return world


def tell(world: World) -> str:
    """Write a world so that a person can read it: only what differs from plain."""
    lines = []
    items: tuple[Fact | Question, ...] = (*world.facts, *world.questions)
    for item in items:
        shown = [
            f"{a.name}={plain(getattr(item, a.name))}"
            for a in attrs.fields(type(item))
            if getattr(item, a.name) != a.default
        ]
        lines.append(f"  {type(item).__name__}({', '.join(shown)})")
    return "\n".join(lines)


def plain(value: object) -> str:
    """Show identifiers as people write them and times in seconds."""
    if isinstance(value, Identifier):
        return str(value)
    if isinstance(value, tuple):
        return f"({', '.join(plain(v) for v in value)})"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value / SECOND:g}s"
    return getattr(value, "value", None) or repr(value)

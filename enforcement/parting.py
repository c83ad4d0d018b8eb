"""Lets go of a table that another one replaced, bit by bit.

To free the owners and scopes of 100,000 agents at once takes 50 ms, and whoever drops
the last reference waits for it: that would be the event loop. So the parts of a table
are held beside it, and freed by a thread that rests often, once nobody holds the table
any more. A part that something else holds is left alone.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from agents_registry.registry import Registry
from agents_registry.steps import ROWS
from enforcement.table import Breaths

if TYPE_CHECKING:
    from agents_registry.steps import Rest

FEW: Final = 10_000  # names of a table that is freed at once
PATIENCE: Final = 60.0  # seconds for which somebody may still judge by the table
PAUSE: Final = 0.05  # seconds
_CONTAINERS: Final = (dict, list, set)
_CORE: Final = Registry.__module__.rpartition(".")[0]  # moved in a wheel


def let_go(registry: Registry) -> threading.Thread | None:
    """Free a table in a thread, once whoever calls this and all others dropped it.

    Returns:
        The thread; None where the table is small.
    """
    if len(registry.lineage) < FEW:
        return None
    arguments = weakref.ref(registry), parts_of(registry)
    thread = threading.Thread(
        target=_wait_and_free, args=arguments, name="rescind-free", daemon=True
    )
    thread.start()
    return thread


def parts_of(registry: Registry) -> list[Any]:
    """Return what a table is made of, each once."""
    return [*{id(part): part for part in _parts(registry)}.values()]


def _wait_and_free(table: weakref.ref[Registry], parts: list[Any]) -> None:
    until = time.monotonic() + PATIENCE
    while table() is not None and time.monotonic() < until:
        time.sleep(PAUSE)
    free(parts, Breaths())


def free(parts: list[Any], rest: Rest) -> None:
    """Empty parts that nothing else holds, and drop all."""
    while parts:
        rest()
        if _references(parts) > _OURS or not isinstance(parts[-1], _CONTAINERS):
            parts.pop()
        elif parts[-1]:
            # What is long itself comes next; no variable may hold it meanwhile.
            parts += filter(_is_long, _taken(parts[-1]))
        else:
            parts.pop()


def _references(parts: list[Any]) -> int:
    """Count the references to the last part, with those that asking takes."""
    return sys.getrefcount(parts[-1])


_OURS: Final = _references([[]])  # of a part that nothing else holds; differs by Python


def _taken(part: Any) -> list[Any]:
    """Take some of what a container holds out of it."""
    count = min(len(part), ROWS)
    if isinstance(part, dict):
        return [part.popitem()[1] for _ in range(count)]
    return [part.pop() for _ in range(count)]


def _is_long(part: Any) -> bool:
    return isinstance(part, _CONTAINERS) and len(part) > ROWS


def _parts(of: object) -> Iterator[Any]:
    """Yield what an object of a table holds, and what the objects in it hold."""
    for value in vars(of).values():
        if isinstance(value, (*_CONTAINERS, array, bytearray)):
            yield value
        elif type(value).__module__.startswith(_CORE) and hasattr(value, "__dict__"):
            yield from _parts(value)

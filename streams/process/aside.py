"""How handlers ask what takes long: elsewhere, and in slices."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping

T = TypeVar("T")

SLICE_SECONDS: Final = 0.01
PIECE: Final = 1000  # entries of a list


class Aside(Protocol):
    """Runs a coroutine function where it disturbs nobody, and gives its result."""

    async def __call__(self, function: Callable[[], Coroutine[Any, Any, T]], /) -> T:
        """Run it in the event loop that the table belongs to."""


async def here(function: Callable[[], Coroutine[Any, Any, T]], /) -> T:
    """Run it in this event loop: where no guard waits for it."""
    return await function()


async def walked(steps: Iterable[object]) -> None:
    """Take many steps; others get their turn every 10 ms."""
    time = asyncio.get_running_loop().time
    until = time() + SLICE_SECONDS
    for _ in steps:
        if time() > until:
            await asyncio.sleep(0)
            until = time() + SLICE_SECONDS


async def collected(found: Iterable[T]) -> list[T]:
    """Collect what may take long to find, in slices as `walked`."""
    some: list[T] = []

    def steps() -> Iterator[None]:
        for each in found:
            some.append(each)
            yield

    await walked(steps())
    return some


async def packed(document: Mapping[str, Any]) -> bytes:
    """Document as JSON, made in a thread, long lists in pieces.

    A single call on a long list would keep every other thread waiting.
    """
    return await asyncio.to_thread(_packed, document)


def _packed(document: Mapping[str, Any]) -> bytes:
    parts: list[bytes] = []
    for name, value in document.items():
        parts += [b"," if parts else b"{", orjson.dumps(name), b":"]
        if isinstance(value, list):
            pieces = (
                orjson.dumps(value[start : start + PIECE])[1:-1]
                for start in range(0, len(value), PIECE)
            )
            parts += [b"[", b",".join(pieces), b"]"]
        else:
            parts.append(orjson.dumps(value))
    return b"".join((*parts, b"}" if parts else b"{}"))

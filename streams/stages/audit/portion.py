"""Parts of an export of the audit chain: a part begins and ends with a signed head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streams.stages.audit.chain import Head


def behind(lines: Iterable[Any], head: Head) -> Iterator[Any]:
    """Leave out what stands before a head; the entry that it names, too."""
    lines = iter(lines)
    for line in lines:
        if not isinstance(line, dict) or _number(line) > head.sequence:
            yield line
            break
    yield from lines


def from_a_head(lines: Iterable[Any]) -> Iterator[Any]:
    """Begin with a head where the chain has lost its start."""
    lines = iter(lines)
    for line in lines:
        if _number(line) <= 1:
            yield line
            break
    yield from lines


def until_a_head(lines: Iterable[Any]) -> Iterator[Any]:
    """Leave out the last entries that no head has signed yet."""
    held: list[Any] = []
    for line in lines:
        held.append(line)
        if "head" in line or "unchained" in line:
            yield from held
            held = []


def between(
    lines: Iterable[Any],
    peek: Callable[[str], Head],
    since: int | None = None,
    until: int | None = None,
) -> Iterator[Any]:
    """Entries of a span of time, with the heads around them.

    Args:
        lines: of a chain; the last one is a head.
        peek: reads a head, whoever signed it.
        since: in seconds; it begins with the last head that was signed by then, or
            where the chain begins.
        until: in seconds; it ends with the first head that was signed then or later.
    """
    held: list[Any] = []
    begun = since is None
    for line in lines:
        head = peek(line["head"]) if "head" in line else None
        if not begun and since is not None and head is not None:
            begun = head.at > since
            if not begun:
                held = []
        held.append(line)
        if begun:
            yield from held
            held = []
        if head is not None and until is not None and head.at >= until:
            break
    yield from held[:1]  # nothing came behind this head


def _number(line: Any) -> int:
    """Return the number of an entry, 0 for a line that is none."""
    number = line.get("sequence", 0) if isinstance(line, dict) else 0
    return number if isinstance(number, int) else 0

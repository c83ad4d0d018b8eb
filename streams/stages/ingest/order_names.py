"""The names of an order in one line: all of them, or their number and digest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.identifiers import Identifier
    from streams.model.selectors import Selector

MOST_SHOWN: Final = 16


def called(names: Iterable[Identifier]) -> str:
    """Names of an order as a line shows them; many are a number and a digest."""
    texts = [*map(str, names)]
    if len(texts) <= MOST_SHOWN:
        return ", ".join(texts)
    return f"{len(texts)} identifiers (sha256 {digest_of(texts)})"


def where_called(where: Selector) -> str:
    """Return what a selector means, as a line shows it."""
    return f"what is where {where.text()}"


def digest_of(texts: Iterable[str]) -> str:
    """SHA-256 in hex of sorted texts, a line each."""
    lines = "".join(f"{one}\n" for one in sorted(texts))
    return hashlib.sha256(lines.encode()).hexdigest()

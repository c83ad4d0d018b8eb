"""The names of an order in one line: all of them, or their number and digest."""

from __future__ import annotations

import hashlib
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Final

from agents_registry.steps import finish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Steps
    from streams.model.selectors import Selector

MOST_SHOWN: Final = 16
RUN: Final = 256  # texts that are sorted without a yield


def called(names: Iterable[Identifier]) -> str:
    """Names of an order as a line shows them; many are a number and a digest."""
    return finish(calling(names))


def calling(names: Iterable[Identifier]) -> Steps[str]:
    """Find what `called` gives, in steps."""
    texts = []
    for name in names:
        yield
        texts.append(str(name))
    if len(texts) <= MOST_SHOWN:
        return ", ".join(texts)
    return f"{len(texts)} identifiers (sha256 {yield from digesting(texts)})"


def where_called(where: Selector) -> str:
    """Return what a selector means, as a line shows it."""
    return f"what fits {where.text()}"


def digest_of(texts: Iterable[str]) -> str:
    """SHA-256 in hex of sorted texts, a line each."""
    return finish(digesting(texts))


def digesting(texts: Iterable[str]) -> Steps[str]:
    """Find what `digest_of` gives, in steps: 10,000 names take more than a turn."""
    left, runs = iter(texts), []
    while run := sorted(islice(left, RUN)):
        yield
        runs.append(run)
    digest = hashlib.sha256()
    for one in merge(*runs):
        yield
        digest.update(f"{one}\n".encode())
    return digest.hexdigest()

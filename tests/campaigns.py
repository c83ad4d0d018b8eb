"""Which cases of a long test the default run takes; the campaign takes all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def some(names: Collection[str], quick: Iterable[str]) -> list[Any]:
    """Give all names as parameters; those that are not quick wait for the campaign.

    Raises:
        LookupError: a quick one is none of them.
    """
    quick = set(quick)
    if unknown := quick.difference(names):
        raise LookupError(f"no case is called {', '.join(sorted(unknown))}")
    later = pytest.mark.campaign
    return [n if n in quick else pytest.param(n, marks=later) for n in names]

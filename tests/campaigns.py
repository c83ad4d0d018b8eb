"""Which cases of a long test the default run takes, and which wait for another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def some(
    names: Collection[Any],
    quick: Iterable[Any],
    later: pytest.MarkDecorator = pytest.mark.campaign,
) -> list[Any]:
    """Give all names as parameters; those that are not quick wait for a later run.

    Args:
        names: of all cases.
        quick: those of the default run.
        later: the marker of the run that takes the others; the campaign's.

    Raises:
        LookupError: a quick one is none of them.
    """
    quick = set(quick)
    if unknown := quick.difference(names):
        raise LookupError(f"no case is called {', '.join(map(str, unknown))}")
    return [n if n in quick else pytest.param(n, marks=later) for n in names]

"""The guards of a realm, told by the main loop and asked by the sentinel's."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from streams.stages.sentinel.points import EnforcementPoints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

P = ParamSpec("P")
T = TypeVar("T")


def _alone(
    method: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Any, P], T]:
    @functools.wraps(method)
    def alone(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.alone:
            return method(self, *args, **kwargs)

    return alone


class SharedPoints(EnforcementPoints):
    """Points that two threads use; each step is short, and alone."""

    def __init__(self, bound: Mapping[str, Sequence[str]] | None = None) -> None:
        """Start with nobody registered."""
        super().__init__(bound)
        self.alone = threading.RLock()

    registered = _alone(EnforcementPoints.registered)
    applied = _alone(EnforcementPoints.applied)
    begin_anew = _alone(EnforcementPoints.begin_anew)
    left = _alone(EnforcementPoints.left)
    forget = _alone(EnforcementPoints.forget)
    standing = _alone(EnforcementPoints.standing)
    behind = _alone(EnforcementPoints.behind)
    take_news = _alone(EnforcementPoints.take_news)
    take_unsaved = _alone(EnforcementPoints.take_unsaved)
    restore = _alone(EnforcementPoints.restore)

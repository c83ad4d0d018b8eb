"""Guards that the feed does not let in: counted, and said in the log.

Such a guard denies everything, and whoever runs it looks at its own process first.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog

from streams.http.problems import ProblemError
from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiohttp import web

PAUSE_SECONDS: Final = 60.0  # between two lines on one address and reason
MOST_TOLD: Final = 1000  # addresses and reasons

log = structlog.get_logger()


class RefusedFeeds:
    """Counts refusals by reason.

    Attributes:
        counter: of all of them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with none; ``clock`` gives seconds."""
        self.counter = metrics.FEEDS_REFUSED.counter()
        self._clock = clock
        self._told: dict[tuple[str | None, str], float] = {}

    @contextmanager
    def counting(self, request: web.Request) -> Iterator[None]:
        """Count it where the body of ``with`` refuses a request."""
        try:
            yield
        except ProblemError as problem:
            self.counter.labels(problem.title).inc()
            if self._is_news(request.remote, problem.title):
                log.warning(
                    "feed_refused", address=request.remote, reason=problem.title
                )
            raise

    def _is_news(self, address: str | None, reason: str) -> bool:
        now, told = self._clock(), self._told.get((address, reason))
        if told is not None and now - told < PAUSE_SECONDS:
            return False
        if len(self._told) >= MOST_TOLD:
            self._told.clear()
        self._told[address, reason] = now
        return True

"""What a console counts of itself: pages, how long they take, logins, sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define, field
from prometheus_client.registry import Collector

from streams.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sized

    from prometheus_client import Counter, Histogram
    from prometheus_client.core import Metric

SHOWN, REFUSED, FAILED = "shown", "refused", "failed"
LET_IN, HELD_BACK = "let_in", "held_back"
PAGE_RESULTS: Final = (SHOWN, REFUSED, FAILED)
LOGIN_RESULTS: Final = (LET_IN, REFUSED, HELD_BACK)
_FAULTS: Final = 500
_REFUSALS: Final = 400


@define(eq=False)
class ConsoleTally(Collector):
    """Counts, read at every scrape; whoever counts may be another thread.

    Attributes:
        sessions: that are open.
        pages: paths of all pages, so that each has its series from the start.
    """

    sessions: Sized
    pages: Iterable[str]
    _pages: Counter = field(factory=metrics.CONSOLE_PAGES.counter, init=False)
    _seconds: Histogram = field(
        factory=metrics.CONSOLE_PAGE_SECONDS.histogram, init=False
    )
    _logins: Counter = field(factory=metrics.CONSOLE_LOGINS.counter, init=False)

    def __attrs_post_init__(self) -> None:
        for page in self.pages:
            for result in PAGE_RESULTS:
                self._pages.labels(page, result)
        for result in LOGIN_RESULTS:
            self._logins.labels(result)

    def page(self, path: str, status: int, seconds: float) -> None:
        """Count a page that was made, or the first part of one."""
        is_bad = FAILED if status >= _FAULTS else REFUSED
        result = is_bad if status >= _REFUSALS else SHOWN
        self._pages.labels(path, result).inc()
        self._seconds.observe(seconds)

    def login(self, result: str) -> None:
        """Count a try to log in."""
        self._logins.labels(result).inc()

    def collect(self) -> Iterator[Metric]:
        """Return all counts by now."""
        yield from self._pages.collect()
        yield from self._seconds.collect()
        yield from self._logins.collect()
        yield metrics.CONSOLE_SESSIONS.of(len(self.sessions))

"""What each of our processes does first: set its log up, and heed signals."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from streams.observability.logs import PROCESSORS, route_libraries
from streams.process.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from pathlib import Path
    from typing import Any


LONG_COLLECTION: Final = 0.005  # seconds; the next one may take a little longer


class _NotQuoted(logging.Filter):
    """Says that a request could not be read, for aiohttp, which quotes its lines.

    A token may stand in the one that is broken or too long.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Log the kind of the error in our way, and the record itself not at all."""
        kind = record.exc_info[0] if record.exc_info else None
        error = "" if kind is None else kind.__name__
        structlog.get_logger().warning("request_not_read", error=error)
        return False


_NOT_QUOTED: Final = _NotQuoted()


def configure_logging(level: int = logging.INFO) -> None:
    """Write JSON lines to standard error, see `streams.observability.logs`."""
    structlog.configure(
        processors=list(PROCESSORS),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    aiohttp = logging.getLogger("aiohttp.server")  # noqa: TID251 - its own logger
    aiohttp.addFilter(_NOT_QUOTED)
    route_libraries(level)


def first_error(error: BaseException) -> BaseException:
    """First error within a group, however deep; any other as it is."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def say_ready(file: Path | None, url: str) -> None:
    """Write where a process accepts requests, for who waits for the file.

    Args:
        file: gets the URL and a line end, all at once: who finds it can use it.
            None for nobody.
        url: of the process.

    Raises:
        OSError: it cannot be written, or no other file beside it.
    """
    if file is not None:
        write_whole(file, f"{url}\n")


def keep_collections_short(seconds: float = LONG_COLLECTION) -> Callable[[], None]:
    """Look for garbage only among what came since a look last took long.

    A look halts every thread, and one at all that a large table holds takes 50 ms and
    more. What lived through a long one is a table's, but for the few objects of the
    requests of that moment, which are never looked at again.

    Args:
        seconds: of CPU time; after a look that took longer, what is left is set aside.

    Returns:
        Ends that.
    """
    began = 0.0

    def heed(phase: str, _: Mapping[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.thread_time()
        elif time.thread_time() - began > seconds:
            gc.freeze()

    gc.freeze()  # what is loaded by now stays
    gc.callbacks.append(heed)
    return lambda: gc.callbacks.remove(heed)


@contextmanager
def heeding_signals(stop: asyncio.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set an event meanwhile."""
    loop = asyncio.get_running_loop()
    heeded = []
    for number in (signal.SIGTERM, signal.SIGINT):
        # Only the main thread may; elsewhere there is the caller's `stop`.
        with suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, stop.set)
            heeded.append(number)
    try:
        yield
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)


async def until_stopped(stop: asyncio.Event, *works: Coroutine[Any, Any, None]) -> None:
    """Run some works until they are told to stop; the first that breaks ends all."""
    with heeding_signals(stop):
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each) for each in works]
            await stop.wait()
            for task in running:
                task.cancel()

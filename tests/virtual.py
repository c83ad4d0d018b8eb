"""An event loop whose time passes at once: hours of retries in a second of a test.

Sockets, threads and files are real. Time stands still while anything is ready or a
thread works, and jumps to the next timer otherwise.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

STUCK = 60.0  # seconds of the machine's clock without anything to wait for
# A busy kernel hands over what was sent on loopback a little later than at once: before
# a jump that some timeout may mean, it gets this much of the machine's time.
LONG, ON_ITS_WAY = 1.0, 0.003


class _Selector(selectors.DefaultSelector):
    """Waits for nothing but sockets and threads."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        """Give what is ready; else let the time pass."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.loop.working or timeout is None:
            ready = super().select(STUCK)
            assert ready, "nothing happens any more"
            return ready
        if timeout >= LONG and (ready := super().select(ON_ITS_WAY)):
            return ready
        self.loop.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop.

    Attributes:
        now: seconds since its start.
        working: how many threads work for it.
    """

    def __init__(self) -> None:
        """Start at zero."""
        self.now = 0.0
        self.working = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Give the virtual time."""
        return self.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Let no time pass while a thread works."""
        future = super().run_in_executor(executor, func, *args)
        self.working += 1
        future.add_done_callback(self._worked)
        return future

    def _worked(self, _: object) -> None:
        self.working -= 1


def run(
    main: Callable[[VirtualLoop], Coroutine[Any, Any, Any]],
    factory: type[VirtualLoop] = VirtualLoop,
) -> Any:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=factory) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(main(loop))

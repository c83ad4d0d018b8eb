"""What makes a unit test one: it starts no process and no server."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Events of Python's own audit; bind is that of a server.
FORBIDDEN: Final = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system",
     "socket.bind", "subprocess.Popen"}
)  # fmt: skip


class Watch:
    """What the unit test that runs has done and should not; there is one for ever."""

    def __init__(self) -> None:
        self.runs = False
        self.seen: list[str] = []
        # CPython 3.11 starts no thread with a tracer while the hook is asked about the
        # tracer of another one. So coverage is measured without.
        if threading.gettrace() is None:
            sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.runs and event in FORBIDDEN:
            self.seen.append(f"{event} {arguments[:2]}")


WATCH: Final = Watch()


@pytest.fixture(autouse=True)
def _no_process_and_no_server() -> Iterator[None]:
    """Fail a unit test that starts one: it belongs into another tier."""
    WATCH.seen.clear()
    WATCH.runs = True
    yield
    WATCH.runs = False
    assert not WATCH.seen, f"a unit test started {', '.join(WATCH.seen)}"

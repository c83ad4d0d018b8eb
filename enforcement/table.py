"""A table sent as it is, instead of the facts that made it: how a guard starts fast.

To merge a million facts takes a guard many seconds, to take up the table that they
make less than one. A guard tells the versions of the form that it reads, and a server
that writes none of them sends facts.

The message ``table`` lists the sections, and binary frames bring them one after the
other. See docs/table-format.md.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from agents_registry.registry import Registry
from agents_registry.table_bounds import check_bounds
from agents_registry.table_form import DERIVED, SPOKEN, Section, unpack
from enforcement.replica import (
    MalformedError,
    number,
    partition_of,
    text,
    vocabulary_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents_registry.steps import Rest

MOST_BYTES: Final = 1 << 32
WORK: Final = 0.001  # seconds
BREATH: Final = 0.000_1  # the same: whoever waits for the interpreter gets it


class ComingTable:
    """A table on its way.

    Attributes:
        genesis: of the log that it is of, and its partition.
        offset: everything below it is in the table.
        peppers: as a snapshot brings them.
    """

    def __init__(self, message: Mapping[str, Any]) -> None:
        """Read what the server announces.

        Raises:
            MalformedError: it is no table, too large a one, or of another version.
        """
        if message.get("version") not in SPOKEN:
            raise MalformedError(f"a table of version {message.get('version')!r}")
        self.genesis = text(message, "genesis")
        self.partition = partition_of(message)
        self.offset = number(message, "offset")
        self.peppers = message.get("peppers")
        self._vocabulary = vocabulary_of(message.get("vocabulary"))
        self._sections = _sections(message.get("sections"))
        self._size = sum(section.size for section in self._sections)
        self._parts: deque[bytes | memoryview] = deque()
        self._missing = self._size
        if self._size > MOST_BYTES:
            raise MalformedError(f"a table of {self._size} bytes")

    @property
    def complete(self) -> bool:
        """Whether every byte is there."""
        return self._missing == 0

    def take(self, part: bytes) -> None:
        """Keep the next bytes.

        Raises:
            MalformedError: they are more than were announced.
        """
        self._parts.append(part)
        self._missing -= len(part)
        if self._missing < 0:
            raise MalformedError("more bytes than the table has")

    def registry(self, rest: Rest) -> Registry:
        """Make the table; takes about half a second for a million names, in any thread.

        The chains of its names are made in a thread of their own behind that.

        Args:
            rest: called every millisecond or so.

        Raises:
            MalformedError: the sections do not make a table.
        """
        try:
            read = partial(self._next, rest)
            plain = unpack(self._sections, read, passed=DERIVED, rest=rest)
            check_bounds(plain, rest)
            registry = Registry.load(plain, self._vocabulary, rest)
            while plain:  # to free all of it at once would take 5 ms
                rest()
                plain.popitem()
        except (ValueError, TypeError, LookupError) as error:
            raise MalformedError(f"not a table: {error!r}") from error
        make_chains(registry)
        return registry

    def _next(self, rest: Rest, size: int) -> bytearray:
        """Next bytes of what came; one copy of all would keep other threads waiting."""
        found = bytearray()  # grows: to clear all of it at once would take 10 ms
        while len(found) < size:
            rest()
            part = memoryview(self._parts.popleft())
            missing = size - len(found)
            if len(part) > missing:
                self._parts.appendleft(part[missing:])
            found += part[:missing]
        return found


class Breaths:
    """Lets other threads go on, a little and often, while one makes a table.

    A thread that computes gives the interpreter up after 5 ms at the earliest, and an
    event loop asks for it after each call of the system. So a loop would be late by
    several times that in each turn.
    """

    def __init__(self) -> None:
        self._due = 0.0

    def __call__(self) -> None:
        """Rest, where it is time to."""
        if time.monotonic() >= self._due:
            time.sleep(BREATH)
            self._due = time.monotonic() + WORK


def make_chains(registry: Registry) -> None:
    """Make the chains of the names of a table while it is in use.

    A process may end in the midst of it.
    """
    names = registry.lineage.names
    threading.Thread(target=names.chain, args=(Breaths(),), daemon=True).start()


def _sections(plain: Any) -> list[Section]:
    try:
        return [Section(str(name), str(of), _size(size)) for name, of, size in plain]
    except (TypeError, ValueError) as error:
        raise MalformedError(f"not the sections of a table: {error}") from error


def _size(value: Any) -> int:
    return number({"size": value}, "size")

"""A table sent as it is, instead of the facts that made it: how a guard starts fast.

To merge a million facts takes a guard many seconds, to take up the table that they
make less than one. A guard tells the versions of the form that it reads, and a server
that writes none of them sends facts.

The message ``table`` lists the sections, and binary frames bring them one after the
other. See docs/table-format.md.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from agents_registry.registry import Registry
from agents_registry.table_bounds import check_bounds
from agents_registry.table_form import SPOKEN, Section, unpack
from enforcement.replica import (
    MalformedError,
    number,
    partition_of,
    text,
    vocabulary_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES: Final = 1 << 32


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

    def registry(self) -> Registry:
        """Make the table; takes about a second for a million names, in any thread.

        Raises:
            MalformedError: the sections do not make a table.
        """
        try:
            plain = unpack(self._sections, self._next)
            check_bounds(plain)
            return Registry.load(plain, self._vocabulary)
        except (ValueError, TypeError, LookupError) as error:
            raise MalformedError(f"not a table: {error!r}") from error

    def _next(self, size: int) -> bytes:
        """Next bytes of what came; one copy of all would keep other threads waiting."""
        pieces: list[bytes | memoryview] = []
        while size:
            part = memoryview(self._parts.popleft())
            if len(part) > size:
                self._parts.appendleft(part[size:])
            pieces.append(part[:size])
            size -= len(pieces[-1])
        return b"".join(pieces)


def _sections(plain: Any) -> list[Section]:
    try:
        return [Section(str(name), str(of), _size(size)) for name, of, size in plain]
    except (TypeError, ValueError) as error:
        raise MalformedError(f"not the sections of a table: {error}") from error


def _size(value: Any) -> int:
    return number({"size": value}, "size")

"""A table sent as it is, instead of the facts that made it: how a guard starts fast.

To merge a million facts takes a guard many seconds, to take up the table that they
make less than one. A table means something only to the very code that made it. So a
guard tells the server its `edition`, and a server of another one sends facts.

The message ``table`` lists the sections of `Registry.dump`, and binary frames bring
them one after the other: arrays as bytes, everything else as JSON, long lists in
several sections of one name. See docs/adr/0021-tables-for-guards.md.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import agents_registry as core
from agents_registry.registry import Registry
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


class Section(NamedTuple):
    """A part of a table: raw bytes of an array, or JSON, and its length in bytes."""

    name: str
    raw: bool
    size: int


@functools.cache
def edition() -> str:
    """Name the core by its code and the machine's byte order.

    A table that other rules made must not be taken up. The guard's distribution puts
    the same code below a package of its own, which its imports then name; that place is
    left out, or a guard would never be of its server's edition.
    """
    digest = hashlib.sha256(sys.byteorder.encode())
    roof = "".join(core.__name__.rpartition(".")[:2]).encode()
    files = resources.files(core).iterdir()
    for file in sorted(files, key=lambda each: each.name):
        if file.name.endswith(".py"):
            digest.update(file.read_bytes().replace(roof, b""))
    return digest.hexdigest()


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
            MalformedError: it is no table, or too large a one.
        """
        self.genesis = text(message, "genesis")
        self.partition = partition_of(message)
        self.offset = number(message, "offset")
        self.peppers = message.get("peppers")
        self._vocabulary = vocabulary_of(message.get("vocabulary"))
        self._sections = _sections(message.get("sections"))
        self._size = sum(section.size for section in self._sections)
        self._parts: list[bytes] = []
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
        whole = b"".join(self._parts)
        self._parts.clear()
        plain: dict[str, Any] = {}
        start = 0
        try:
            for name, raw, size in self._sections:
                piece = whole[start : start + size]
                start += size
                if raw:
                    plain[name] = piece
                elif name in plain:
                    plain[name] += json.loads(piece)
                else:
                    plain[name] = json.loads(piece)
            return Registry.load(plain, self._vocabulary)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise MalformedError(f"not a table: {error!r}") from error


def _sections(plain: Any) -> list[Section]:
    try:
        return [Section(str(name), bool(raw), _size(size)) for name, raw, size in plain]
    except (TypeError, ValueError) as error:
        raise MalformedError(f"not the sections of a table: {error}") from error


def _size(value: Any) -> int:
    return number({"size": value}, "size")

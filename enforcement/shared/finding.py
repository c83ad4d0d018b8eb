"""Where names lie in a shared table: by a hash that is keyed for each table.

Names with the same lowest bits of their hash hang on one bucket, the newest first. A
reader who finds a name while another one is put in meets a whole chain either way.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from importlib import import_module
from itertools import cycle
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from agents_registry.identifiers import MAX_VALUE_BYTES, Identifier
from agents_registry.names import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from enforcement.shared.layout import SharedFile


def _own_sha256() -> Callable[[bytes], Any] | None:
    """SHA-256 of the interpreter itself, where it has one."""
    for module in ("_sha2", "_sha256"):
        with suppress(ImportError):
            found: Callable[[bytes], Any] = import_module(module).sha256
            return found
    return None


SALT: Final = 16  # bytes
PLACE: Final = 4  # bytes of the hash
MOST_BYTES: Final = 1024  # of a name
MOST_KNOWN: Final = 512  # texts
ONE_OF: Final = 8  # texts that are found is kept
NO_VALUE: Final = 0  # less than any that is clear
_ENDED: Final = b"\xff"
# A third of what hashlib's takes, which asks OpenSSL for it each time.
sha256: Final = _own_sha256() or hashlib.sha256
from_bytes: Final = int.from_bytes
_place_in: Final = Struct(f"<I{32 - PLACE}x").unpack  # a step less than `from_bytes`


def endings(kinds: Sequence[str]) -> dict[str, bytes]:
    """Bytes that names of each kind end with."""
    return {
        kind: chr(code).encode("utf-8", "surrogatepass") + _ENDED
        for code, kind in enumerate(kinds)
    }


def place_of(salt: bytes, name: bytes) -> int:
    """Hash of a name; nobody who does not read the table can choose it."""
    return from_bytes(sha256(salt + name).digest()[:PLACE], "little")


class NameFinder:
    """Numbers by name, and names by number; as `NameTable` answers.

    Args:
        file: the table.
        kinds: gives the kinds by their codes; they may have become more.
    """

    def __init__(self, file: SharedFile, kinds: Sequence[str]) -> None:
        """Read the kinds that there are."""
        # Slices of the mapping are bytes, which compare faster than views do.
        self._names, self._begin = file.mapped, file.begin("names")
        self._buckets = file.buckets
        self._salt = bytes.fromhex(file.description["salt"])
        self._mask = len(file.buckets) - 1
        self._starts, self._next = file.columns["start"], file.columns["next"]
        self.kinds = kinds
        self._endings = endings(kinds)

    def find(self, identifier: Identifier) -> int:
        """Return the number of an identifier, ABSENT where no fact named it."""
        kind, value = identifier
        ending = self._endings.get(kind)
        if ending is None:
            return ABSENT
        return self._look(value.encode("utf-8", "surrogatepass") + ending)

    def value_of(
        self, known: dict[str, int], values: Sequence[int]
    ) -> Callable[[str], int]:
        """Return what finds the value of a ``kind:value``, or NO_VALUE.

        A function of its own with all it needs at hand, and `_look` written out: a
        check calls nothing else of ours. Most of it is waiting for memory, so what does
        not depend on what is waited for comes next: a value is read beside the place of
        its name, and counts if the name is the one. NO_VALUE may also mean "read it".

        Args:
            known: takes the numbers of some texts, one of so many that are found: what
                is asked for often is there soon, and what is asked for once seldom
                pushes it out.
            values: by number.
        """
        ends, salt, buckets, mask = self._endings, self._salt, self._buckets, self._mask
        names, begin, starts, after = self._names, self._begin, self._starts, self._next
        keeps = cycle([True] + [False] * (ONE_OF - 1)).__next__

        def find(text: str) -> int:
            kind, _, value = text.partition(":")
            try:
                name = value.encode() + ends[kind]
            except (KeyError, UnicodeEncodeError):
                return NO_VALUE
            size = len(name)
            if size > MAX_VALUE_BYTES:
                return NO_VALUE
            (place,) = _place_in(sha256(salt + name).digest())
            found: int = buckets[place & mask]
            is_kept = keeps()
            while found:
                number = found - 1
                said, start = values[number], begin + starts[number]
                if names[start : start + size] == name:
                    if is_kept:
                        if len(known) >= MOST_KNOWN:
                            known.clear()
                        known[text] = number
                    return said
                found = after[number]
            return NO_VALUE

        return find

    def _look(self, name: bytes) -> int:
        mapped, begin, size = self._names, self._begin, len(name)
        starts = self._starts
        place = from_bytes(sha256(self._salt + name).digest()[:PLACE], "little")
        found: int = self._buckets[place & self._mask]
        while found:
            start = begin + starts[found - 1]
            if mapped[start : start + size] == name:
                return found - 1
            found = self._next[found - 1]
        return ABSENT

    def identifier(self, number: int) -> Identifier:
        """Return the identifier of a number."""
        start = self._begin + self._starts[number]
        end = self._names.find(_ENDED, start, start + MOST_BYTES)
        text = self._names[start:end].decode("utf-8", "surrogatepass")
        return Identifier(self.kinds[ord(text[-1])], text[:-1])

    def kind(self, number: int) -> str:
        """Return the kind of a number's identifier."""
        return self.identifier(number).kind

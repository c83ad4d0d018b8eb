"""Where names lie in a shared table: by a hash that is keyed for each table.

Names with the same lowest bits of their hash hang on one bucket, the newest first. A
reader who finds a name while another one is put in meets a whole chain either way.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from agents_registry.identifiers import Identifier
from agents_registry.names import ABSENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from enforcement.shared.layout import SharedFile

SALT: Final = 16  # bytes
PLACE: Final = 4  # bytes of the hash
_END: Final = 0xFF
_sha256: Final = hashlib.sha256


def endings(kinds: Sequence[str]) -> dict[str, bytes]:
    """Bytes that names of each kind end with."""
    return {
        kind: chr(code).encode("utf-8", "surrogatepass") + bytes([_END])
        for code, kind in enumerate(kinds)
    }


def place_of(salt: bytes, name: bytes) -> int:
    """Hash of a name; nobody who does not read the table can choose it."""
    return int.from_bytes(_sha256(salt + name).digest()[:PLACE], "little")


class NameFinder:
    """Numbers by name, and names by number; as `NameTable` answers.

    Args:
        file: the table.
        kinds: gives the kinds by their codes; they may have become more.
    """

    def __init__(self, file: SharedFile, kinds: Sequence[str]) -> None:
        """Read the kinds that there are."""
        self._file = file
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
        name = value.encode("utf-8", "surrogatepass") + ending
        mapped, starts, size = self._file.names, self._starts, len(name)
        found: int = self._file.buckets[place_of(self._salt, name) & self._mask]
        while found:
            number = found - 1
            start = starts[number]
            if mapped[start : start + size] == name:
                return number
            found = self._next[number]
        return ABSENT

    def identifier(self, number: int) -> Identifier:
        """Return the identifier of a number."""
        start = self._starts[number]
        name = bytes(self._file.names[start : start + 1024])
        text = name[: name.index(_END)].decode("utf-8", "surrogatepass")
        return Identifier(self.kinds[ord(text[-1])], text[:-1])

    def kind(self, number: int) -> str:
        """Return the kind of a number's identifier."""
        return self.identifier(number).kind

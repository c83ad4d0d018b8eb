"""Large values of a database, in files beside it.

A file is written before the row that names it and removed after the row is gone, so a
crash leaves at most a file that nobody names. The row holds the file's length and
checksum: after a power cut it may be there without the file's bytes.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Final

from streams.engines.kafka.checkpoints.journal import DamagedError
from streams.process.private_folder import FOLDER_MODE, create_private

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LARGE: Final = 64 << 10  # bytes; less is at home in the database
_MARK: Final = b"@"  # no value begins with it


class BlobFiles:
    """The folder of the large values of one database."""

    def __init__(self, path: Path) -> None:
        """Take up the folder of a database, or make it."""
        self._folder = path.with_suffix(".large")
        self._folder.mkdir(exist_ok=True, mode=FOLDER_MODE)

    def put(self, realm: str, key: str, body: bytes) -> bytes:
        """Write a value if it is large; give what the row is to hold."""
        if len(body) < LARGE:
            return body
        path = self._path(realm, key)
        create_private(path)
        path.write_bytes(body)
        return _MARK + b"%d %d" % (len(body), zlib.crc32(body))

    def body(self, realm: str, key: str, told: bytes) -> bytes:
        """Value that a row refers to.

        Raises:
            DamagedError: it is not there, or not whole.
        """
        if not told.startswith(_MARK):
            return told
        try:
            body = self._path(realm, key).read_bytes()
        except FileNotFoundError as error:
            raise DamagedError(key) from error
        if told != _MARK + b"%d %d" % (len(body), zlib.crc32(body)):
            raise DamagedError(key)
        return body

    def drop(self, gone: Iterable[tuple[str, str]]) -> None:
        """Remove the values of rows that are gone, where there are any."""
        for realm, key in gone:
            self._path(realm, key).unlink(missing_ok=True)

    def keep(self, named: Iterable[tuple[str, str]]) -> None:
        """Remove all but the values of some rows."""
        names = {self._path(realm, key).name for realm, key in named}
        for path in self._folder.iterdir():
            if path.name not in names:
                path.unlink()

    def _path(self, realm: str, key: str) -> Path:
        # Hashed, since a key is any text: older ones held identifiers, and NUL.
        name = hashlib.sha256(f"{realm}\0{key}".encode()).hexdigest()
        return self._folder / name
